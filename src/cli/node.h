/* What a command has found out, as a tree: objects, lists and values. Commands build it, out.c
   prints it in the format that was asked for. Nodes live in the arena they were made in, and so
   does what their texts point to, if the caller wants it so. */
#pragma once

#include "base/base.h"

enum node_kind { NODE_NULL, NODE_BOOL, NODE_NUMBER, NODE_REAL, NODE_TEXT, NODE_LIST, NODE_OBJECT };
struct node {
    enum node_kind kind;
    struct arena *arena;
    const char *key; /* within an object; NULL within a list */
    struct node *next;
    union {
        bool flag;
        i64 number;
        f64 real;
        struct slice text;
        struct {
            struct node *first;
            struct node *last;
            u32 count;
        };
    };
};

struct node *node_list(struct arena *arena);
struct node *node_object(struct arena *arena);
/* Adds to a list (key NULL) or an object; keys are literals. */
struct node *node_add_list(struct node *parent, const char *key);
struct node *node_add_object(struct node *parent, const char *key);
/* A tree that was made by itself, in the same arena; from now on it belongs to this parent. */
void node_adopt(struct node *parent, const char *key, struct node *child);
void node_add_null(struct node *parent, const char *key);
void node_add_bool(struct node *parent, const char *key, bool value);
void node_add_number(struct node *parent, const char *key, i64 value);
void node_add_real(struct node *parent, const char *key, f64 value);
/* ptr NULL: null. The bytes are not copied. */
void node_add_text(struct node *parent, const char *key, struct slice value);
void node_add_cstr(struct node *parent, const char *key, const char *value);
/* Of an object; NULL: it has none of this key. */
const struct node *node_get(const struct node *object, const char *key);
/* The text of a member, or "": for sorting. */
struct slice node_text(const struct node *object, const char *key);
/* Sorts a list of objects by a member that is a text. */
void node_sort(struct node *list, const char *key);
/* The largest number first; where they are equal, by the text. */
void node_sort_by(struct node *list, const char *key, bool largest); /* numbers or texts */
void node_sort_largest(struct node *list, const char *number, const char *text);
