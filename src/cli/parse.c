/* Numbers, durations, moments: see parse.h. */
#include "cli/parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

i64 wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (i64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool parse_number(const char *text, i64 low, i64 high, i64 *out)
{
    bool begins =
        (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0' && text[1] <= '9');
    if (!begins) {
        return false;
    }
    char *end;
    errno = 0;
    i64 value = strtoll(text, &end, 10);
    if (errno != 0 || *end != 0 || value < low || value > high) {
        return false;
    }
    *out = value;
    return true;
}

bool parse_duration(const char *text, i64 *ms)
{
    static const struct {
        const char *unit;
        i64 ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    char *end;
    errno = 0;
    i64 value = strtoll(text, &end, 10);
    for (u32 i = 0; errno == 0 && i < ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].unit) == 0 && value <= INT64_MAX / 10 / units[i].ms) {
            *ms = value * units[i].ms;
            return true;
        }
    }
    return false;
}

/* digits of exactly this length at *at. */
static bool take_digits(const char **at, int length, int *out)
{
    *out = 0;
    for (int i = 0; i < length; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9') {
            return false;
        }
        *out = *out * 10 + ((*at)[i] - '0');
    }
    *at += length;
    return true;
}

static bool take_char(const char **at, char wanted)
{
    if (**at != wanted) {
        return false;
    }
    ++*at;
    return true;
}

/* YYYY-MM-DD[Thh:mm[:ss[.mmm]]][Z], as UTC. */
static bool parse_date(const char *text, i64 *ms)
{
    struct tm t = {0};
    int millis = 0;
    const char *at = text;
    if (!take_digits(&at, 4, &t.tm_year) || !take_char(&at, '-') ||
        !take_digits(&at, 2, &t.tm_mon) || !take_char(&at, '-') ||
        !take_digits(&at, 2, &t.tm_mday)) {
        return false;
    }
    if (take_char(&at, 'T') || take_char(&at, ' ')) {
        if (!take_digits(&at, 2, &t.tm_hour) || !take_char(&at, ':') ||
            !take_digits(&at, 2, &t.tm_min)) {
            return false;
        }
        if (take_char(&at, ':') && !take_digits(&at, 2, &t.tm_sec)) {
            return false;
        }
        if (take_char(&at, '.') && !take_digits(&at, 3, &millis)) {
            return false;
        }
    }
    take_char(&at, 'Z');
    bool in_range = t.tm_mon >= 1 && t.tm_mon <= 12 && t.tm_mday >= 1 && t.tm_mday <= 31 &&
                    t.tm_hour < 24 && t.tm_min < 60 && t.tm_sec < 61;
    if (*at != 0 || !in_range) {
        return false;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ms = (i64)timegm(&t) * 1000 + millis;
    return true;
}

bool parse_time(const char *text, i64 now_ms, i64 *ms)
{
    i64 ago;
    if (text[0] == '-' && parse_duration(text + 1, &ago)) {
        *ms = now_ms - ago;
        return true;
    }
    if (strcmp(text, "now") == 0) {
        *ms = now_ms;
        return true;
    }
    bool at = text[0] == '@';
    return parse_date(text + at, ms) || (at && parse_number(text + 1, 0, INT64_MAX, ms));
}

static int hex_digit(u8 c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

struct slice parse_escapes(struct arena *arena, struct slice text)
{
    u8 *out = arena_alloc(arena, text.len + 1);
    assert(out != NULL);
    size_t used = 0;
    for (size_t i = 0; i < text.len; i++) {
        u8 c = text.ptr[i];
        u8 next = c == '\\' && i + 1 < text.len ? text.ptr[i + 1] : 0;
        static const char names[] = "ntr0\\";
        const char *found = next != 0 ? strchr(names, next) : NULL;
        if (found != NULL) {
            out[used++] = (u8) "\n\t\r\0\\"[found - names];
            i++;
        } else if (next == 'x' && i + 3 < text.len && hex_digit(text.ptr[i + 2]) >= 0 &&
                   hex_digit(text.ptr[i + 3]) >= 0) {
            out[used++] = (u8)(hex_digit(text.ptr[i + 2]) * 16 + hex_digit(text.ptr[i + 3]));
            i += 3;
        } else {
            out[used++] = c;
        }
    }
    return slice_of(out, used);
}
