/* Any bytes as a file of settings: every one that is taken can be written down again, key and value
   with every byte escaped that could mean something, and is read back the same. */
#include "fuzz.h"

#include "broker/config_file.h"

#include <string.h>

struct again {
    struct slice key;
    struct slice value;
    u32 count;
};

static bool same(void *user, u32 line, struct slice key, struct slice value)
{
    struct again *a = user;
    PROPERTY(line == 1);
    PROPERTY(slice_eq(key, a->key));
    PROPERTY(slice_eq(value, a->value));
    a->count++;
    return true;
}

static size_t escape(u8 *out, struct slice s)
{
    static const char special[] = "\t\n\r\f";
    static const char letters[] = "tnrf";
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        const char *at = memchr(special, s.ptr[i], sizeof special - 1);
        if (s.ptr[i] < 0x80) {
            out[len++] = '\\';
        }
        /* A letter behind a backslash may be an escape of its own. */
        bool letter = s.ptr[i] == 'u' || memchr(letters, s.ptr[i], sizeof letters - 1) != NULL;
        len -= letter ? 1 : 0;
        out[len++] = at != NULL ? (u8)letters[at - special] : s.ptr[i];
    }
    return len;
}

static bool setting(void *user, u32 line, struct slice key, struct slice value)
{
    u32 *last_line = user;
    PROPERTY(line > *last_line);
    PROPERTY(memchr(key.ptr, 0, key.len) == NULL);
    PROPERTY(memchr(value.ptr, 0, value.len) == NULL);
    *last_line = line;
    u8 *text = mem_alloc(2 * (key.len + value.len) + 2);
    size_t len = escape(text, key);
    text[len++] = '=';
    len += escape(text + len, value);
    struct again again = {.key = key, .value = value};
    struct properties_error error = {0};
    err_t e = properties_parse(slice_of(text, len), same, &again, &error);
    PROPERTY(e == OK);
    PROPERTY(again.count == 1);
    mem_free(text);
    return true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    u32 last_line = 0;
    struct properties_error error = {0};
    err_t e = properties_parse(slice_of(data, size), setting, &last_line, &error);
    PROPERTY(e == OK || (e == ERR_INVALID && error.what != NULL && error.line >= last_line));
    return 0;
}
