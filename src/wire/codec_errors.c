/* The walker that finds the errors of an answer; see codec.h. */
#include "wire/codec_walk.h"

struct error_walk {
    struct walk walk;
    wire_error_fn fn;
    void *user;
};

static void error_here(const struct error_walk *w, const struct struct_def *def, u8 *at)
{
    const struct field_def *code = NULL;
    const struct field_def *text = NULL;
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        bool has = walk_has(&w->walk, field) && field->shape == WIRE_ONE;
        if (has && field->kind == WIRE_I16 && strcmp(field->name, "error_code") == 0) {
            code = field;
        } else if (has && field->kind == WIRE_STRING && strcmp(field->name, "error_message") == 0) {
            text = field;
        }
    }
    if (code != NULL && text != NULL) {
        w->fn(w->user, *(const i16 *)(at + code->offset), (struct slice *)(at + text->offset));
    }
}

static void walk_struct(const struct error_walk *w, const struct struct_def *def, u8 *at)
{
    error_here(w, def, at);
    for (u32 i = 0; i < def->field_count; i++) {
        const struct field_def *field = &def->fields[i];
        u8 *member = at + field->offset;
        if (field->kind != WIRE_STRUCT || !walk_has(&w->walk, field)) {
            continue;
        }
        if (field->shape == WIRE_ONE) {
            walk_struct(w, field->type, member);
        } else if (field->shape == WIRE_OPTIONAL) {
            void *inner = *(any_pointer *)member;
            if (inner != NULL) {
                walk_struct(w, field->type, inner);
            }
        } else {
            const struct any_array *list = (const struct any_array *)member;
            for (u32 k = 0; k < list->count; k++) {
                walk_struct(w, field->type, (u8 *)list->items + (size_t)k * field->type->bytes);
            }
        }
    }
}

void wire_each_error(const struct message_def *def, i16 version, void *message, wire_error_fn fn,
                     void *user)
{
    struct error_walk w = {.walk = walk_of(def, version), .fn = fn, .user = user};
    walk_struct(&w, def->body, message);
}
