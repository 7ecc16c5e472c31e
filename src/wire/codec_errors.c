/* The walker that finds the errors of an answer; see codec.h. */
#include "wire/codec_walk.h"

struct error_walk {
    struct walk walk;
    wire_error_fn fn;
    void *user;
};

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

/* outer: the code of the struct around this one, NULL when there is none. Returns this one's. */
static const i16 *error_here(const struct error_walk *w, const struct struct_def *def, u8 *at,
                             const i16 *outer)
{
    const struct field_def *code = NULL;
    const struct field_def *text = NULL;
    const struct field_def *text_alone = NULL; /* batch_index_error_message */
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        bool has = walk_has(&w->walk, field) && field->shape == WIRE_ONE;
        if (has && field->kind == WIRE_I16 && strcmp(field->name, "error_code") == 0) {
            code = field;
        } else if (has && field->kind == WIRE_STRING && strcmp(field->name, "error_message") == 0) {
            text = field;
        } else if (has && field->kind == WIRE_STRING && ends_with(field->name, "_error_message")) {
            text_alone = field;
        }
    }
    const i16 *here = code != NULL ? (const i16 *)(at + code->offset) : outer;
    text = text == NULL && code == NULL ? text_alone : text;
    if (here != NULL && text != NULL) {
        w->fn(w->user, *here, (struct slice *)(at + text->offset));
    }
    return here;
}

static void walk_struct(const struct error_walk *w, const struct struct_def *def, u8 *at,
                        const i16 *outer)
{
    const i16 *code = error_here(w, def, at, outer);
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        u8 *member = at + field->offset;
        if (field->kind != WIRE_STRUCT || !walk_has(&w->walk, field)) {
            continue;
        }
        if (field->shape == WIRE_ONE) {
            walk_struct(w, field->type, member, code);
        } else if (field->shape == WIRE_OPTIONAL) {
            void *inner = *(any_pointer *)member;
            if (inner != NULL) {
                walk_struct(w, field->type, inner, code);
            }
        } else {
            const struct any_array *list = (const struct any_array *)member;
            for (u32 k = 0; k < list->count; k++) {
                walk_struct(w, field->type, (u8 *)list->items + (size_t)k * field->type->bytes,
                            code);
            }
        }
    }
}

void wire_each_error(const struct message_def *def, i16 version, void *message, wire_error_fn fn,
                     void *user)
{
    struct error_walk w = {.walk = walk_of(def, version), .fn = fn, .user = user};
    walk_struct(&w, def->body, message, NULL);
}
