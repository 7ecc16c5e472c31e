/* Reading JSON (RFC 8259): whole texts, into a tree in an arena. Numbers keep their digits: raw is
   how a value stands in the text. */
#pragma once

#include "base/base.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT };
struct json {
    enum json_kind kind;
    struct slice raw;  /* as it stands in the text */
    struct slice key;  /* of a member */
    struct slice text; /* JSON_TEXT, without escapes */
    struct json *first;
    struct json *next;
    u32 count;
};
/* NULL: *why says what is wrong with it. */
const struct json *json_parse(struct arena *arena, struct slice text, const char **why);
/* A member of an object, the last of its name; NULL: there is none. */
const struct json *json_get(const struct json *object, const char *key);
