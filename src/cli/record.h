/* One record as the commands print and read it, and the two languages for that: JSON lines, and
   formats as kcat and rpk have them. Printing: cat, tail. Reading: pub. */
#pragma once

#include "cli/cli.h"
#include "cli/node.h"

#include <stdio.h>

struct record_field {
    struct slice name;
    struct slice value; /* ptr NULL: null */
};
struct cli_record {
    struct slice topic;
    i32 partition; /* -1: any */
    i64 offset;
    i64 timestamp;      /* ms; -1: none */
    struct slice key;   /* ptr NULL: null */
    struct slice value; /* the same */
    const struct record_field *headers;
    u32 header_count;
};

/* A format:
     %t topic  %p partition  %o offset  %k key  %v or %s value  %T timestamp in ms
     %h headers, as name=value,...  %h{%k: %v;} the inner format for each header
     %K %S (or %V) length of key and value, -1: null   %H number of headers
     %R length of the value as four bytes, the highest first: for programs
     %d timestamp as UTC, %d{%Y-%m-%d} by strftime   %i 1, 2, 3 ...
     %k{hex} %k{base64} %k{json}, and so for %v, %s   %% %{ %} themselves   \n \t \x1f ...
   False: told why. */
bool cli_record_format_check(const struct cli_args *a, const char *format);
/* Prints one record; format has been checked. */
void cli_record_format_print(FILE *to, const char *format, const struct cli_record *r, i64 number);

/* Adds the record to a list, as an object: key and value as texts, or key_base64 and value_base64
   where they are not UTF-8. */
void cli_record_add(struct node *list, const struct cli_record *r);
/* Reads such an object, from one line. A value that is no text is taken as the JSON it is.
   False: *why says what is wrong. */
bool cli_record_from_json(struct arena *arena, struct slice line, struct cli_record *out,
                          const char **why);
/* Reads a line by a format of %k, %v (or %s), %p, %T, %h and what stands between them. */
bool cli_record_from_line(struct arena *arena, const char *format, struct slice line,
                          struct cli_record *out, const char **why);
