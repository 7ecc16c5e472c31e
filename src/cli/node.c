/* The tree that commands fill and out.c prints: see node.h. */
#include "cli/node.h"

#include <stdlib.h>
#include <string.h>

static struct node *node_new(struct arena *arena, enum node_kind kind)
{
    struct node *n = arena_alloc(arena, sizeof *n);
    assert(n != NULL); /* the arena of a command has no cap */
    n->kind = kind;
    n->arena = arena;
    return n;
}

void node_adopt(struct node *parent, const char *key, struct node *n)
{
    assert(parent->kind == NODE_LIST || parent->kind == NODE_OBJECT);
    assert((parent->kind == NODE_OBJECT) == (key != NULL));
    assert(n->next == NULL);
    n->key = key;
    if (parent->last == NULL) {
        parent->first = n;
    } else {
        parent->last->next = n;
    }
    parent->last = n;
    parent->count++;
}

static struct node *node_add(struct node *parent, const char *key, enum node_kind kind)
{
    struct node *n = node_new(parent->arena, kind);
    node_adopt(parent, key, n);
    return n;
}

struct node *node_list(struct arena *arena)
{
    return node_new(arena, NODE_LIST);
}

struct node *node_object(struct arena *arena)
{
    return node_new(arena, NODE_OBJECT);
}

struct node *node_add_list(struct node *parent, const char *key)
{
    return node_add(parent, key, NODE_LIST);
}

struct node *node_add_object(struct node *parent, const char *key)
{
    return node_add(parent, key, NODE_OBJECT);
}

void node_add_null(struct node *parent, const char *key)
{
    node_add(parent, key, NODE_NULL);
}

void node_add_bool(struct node *parent, const char *key, bool value)
{
    node_add(parent, key, NODE_BOOL)->flag = value;
}

void node_add_number(struct node *parent, const char *key, i64 value)
{
    node_add(parent, key, NODE_NUMBER)->number = value;
}

void node_add_real(struct node *parent, const char *key, f64 value)
{
    node_add(parent, key, NODE_REAL)->real = value;
}

void node_add_text(struct node *parent, const char *key, struct slice value)
{
    if (value.ptr == NULL) {
        node_add_null(parent, key);
    } else {
        node_add(parent, key, NODE_TEXT)->text = value;
    }
}

void node_add_cstr(struct node *parent, const char *key, const char *value)
{
    node_add_text(parent, key, slice_cstr(value));
}

const struct node *node_get(const struct node *object, const char *key)
{
    for (const struct node *n = object->first; n != NULL; n = n->next) {
        if (strcmp(n->key, key) == 0) {
            return n;
        }
    }
    return NULL;
}

struct slice node_text(const struct node *object, const char *key)
{
    const struct node *n = node_get(object, key);
    return n != NULL && n->kind == NODE_TEXT ? n->text : SLICE_LIT("");
}

struct order {
    const char *number; /* NULL: by text alone */
    const char *text;
    bool smallest;  /* first; else the largest number, but the texts from a to z */
    bool backwards; /* the texts from z to a */
};

static f64 number_of(const struct node *object, const char *key)
{
    const struct node *n = node_get(object, key);
    return n == NULL                ? 0
           : n->kind == NODE_NUMBER ? (f64)n->number
           : n->kind == NODE_REAL   ? n->real
                                    : 0;
}

static int compare(const void *a, const void *b, void *user)
{
    const struct node *const *left = a;
    const struct node *const *right = b;
    const struct order *order = user;
    f64 more = order->number == NULL
                   ? 0
                   : number_of(*right, order->number) - number_of(*left, order->number);
    more = order->smallest ? -more : more;
    int texts = slice_cmp(node_text(*left, order->text), node_text(*right, order->text));
    return more > 0 ? 1 : more < 0 ? -1 : order->backwards ? -texts : texts;
}

static void sort(struct node *list, struct order order)
{
    struct node **items = mem_alloc((list->count + 1) * sizeof(struct node *));
    u32 count = 0;
    for (struct node *n = list->first; n != NULL; n = n->next) {
        items[count++] = n;
    }
    qsort_r(items, count, sizeof(struct node *), compare, &order);
    for (u32 i = 0; i < count; i++) {
        items[i]->next = i + 1 < count ? items[i + 1] : NULL;
    }
    list->first = count > 0 ? items[0] : NULL;
    list->last = count > 0 ? items[count - 1] : NULL;
    mem_free(items);
}

void node_sort(struct node *list, const char *key)
{
    sort(list, (struct order){.text = key});
}

void node_sort_largest(struct node *list, const char *number, const char *text)
{
    sort(list, (struct order){.number = number, .text = text});
}

void node_sort_by(struct node *list, const char *key, bool largest)
{
    sort(list, (struct order){key, key, .smallest = !largest, .backwards = largest});
}
