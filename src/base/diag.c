/* Diagnostics: one event, one line, one write.

   Happy path of diag_event_:
     1. find the row of the code; drop what is below the level;
     2. count it against the code's rate; above it, only count;
     3. build the line in a buffer on the stack, text or JSON;
     4. hand it to the sink, or write it to stderr.
   Nothing fails: a line that is too long is cut and says so, a stderr that is gone is ignored.

   Only the loop thread calls this. Strings from outside are untrusted: in text everything that is
   not printable is escaped, so that a client's name cannot move the cursor; in JSON broken UTF-8
   becomes U+FFFD. */
#include "diag.h"

#include "assert.h"
#include "bytes.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES  4096u
#define VALUE_MAX_BYTES 512u /* of one string, before escaping */

/* Per code: at most BURST lines in a window; the rest is summed up when the window is over. */
#define WINDOW_NS (10ull * 1000 * 1000 * 1000)
#define BURST     20u

/* A row without help ends with its text. */
const struct diag_row diag_rows[] = {
#define MSG(code, level, name, text, ...) \
    {(enum diag_code)(code), DIAG_##level, #name, text, "" __VA_ARGS__},
#include "messages.def"
#undef MSG
};
#define ROW_COUNT ARRAY_LEN(diag_rows)
const u32 diag_row_count = ROW_COUNT;

struct rate {
    u64 window_end_ns; /* 0: no window open */
    u32 printed;
    u32 held_back;
};

static struct {
    enum diag_format format;
    enum diag_level min_level;
    void (*sink)(void *user, const char *line, size_t len);
    void *sink_user;
    u64 now_ns;
    i64 wall_ms;
    struct rate rates[ROW_COUNT];
    u64 summary_due_ns; /* the earliest end of a window that held something back; 0: none */
} diag_state = {.format = DIAG_AUTO, .min_level = DIAG_INFO};

/* A line under construction; what does not fit is dropped and remembered. */
struct line {
    char bytes[LINE_MAX_BYTES];
    size_t len;
    bool cut;
};

static void line_bytes(struct line *l, const char *src, size_t len)
{
    /* Four characters and a quote are kept for the mark of a cut and the end of the line. */
    size_t left = LINE_MAX_BYTES - 16 - l->len;
    if (l->cut || len > left) {
        l->cut = true;
        return;
    }
    memcpy(l->bytes + l->len, src, len);
    l->len += len;
}

static void line_text(struct line *l, const char *s)
{
    line_bytes(l, s, strlen(s));
}

PRINTF_LIKE(2, 3) static void line_printf(struct line *l, const char *fmt, ...)
{
    char piece[64];
    __builtin_va_list args;
    __builtin_va_start(args, fmt);
    int len = vsnprintf(piece, sizeof(piece), fmt, args);
    __builtin_va_end(args);
    assert(len >= 0 && (size_t)len < sizeof(piece));
    line_bytes(l, piece, (size_t)len);
}

/* Controls, and the marks that turn the direction of text around. */
static bool is_hidden(u32 point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0xfeff;
}

enum escaping { ESCAPE_TEXT, ESCAPE_JSON, ESCAPE_PROSE /* quotes stay */ };

static void line_escaped(struct line *l, struct slice s, enum escaping how)
{
    bool json = how == ESCAPE_JSON;
    bool shortened = how != ESCAPE_PROSE && s.len > VALUE_MAX_BYTES;
    s.len = shortened ? (size_t)VALUE_MAX_BYTES : s.len;
    for (size_t at = 0; at < s.len;) {
        u32 point = 0;
        size_t len = utf8_sequence(s.ptr + at, s.len - at, &point);
        if (len == 0) {
            if (json) {
                line_text(l, "\\ufffd");
            } else {
                line_printf(l, "\\x%02x", s.ptr[at]);
            }
            at++;
            continue;
        }
        if (how != ESCAPE_PROSE && (point == '"' || point == '\\')) {
            line_printf(l, "\\%c", (char)point);
        } else if (is_hidden(point)) {
            line_printf(l, json || point > 0xff ? "\\u%04x" : "\\x%02x", point);
        } else {
            line_bytes(l, (const char *)s.ptr + at, len);
        }
        at += len;
    }
    if (shortened) {
        line_text(l, "...");
    }
}

static bool needs_quotes(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f || s.ptr[i] == '"' || s.ptr[i] == '\\' ||
            s.ptr[i] == '=') {
            return true;
        }
    }
    return s.len == 0;
}

static struct slice field_slice(const struct diag_field *f)
{
    if (f->kind == DIAG_FIELD_SLICE) {
        return f->slice;
    }
    return f->str != NULL ? slice_cstr(f->str) : SLICE_LIT("(none)");
}

static void line_value(struct line *l, const struct diag_field *f, bool json)
{
    switch (f->kind) {
    case DIAG_FIELD_INT:
        line_printf(l, "%lld", (long long)f->i);
        return;
    case DIAG_FIELD_UINT:
        line_printf(l, "%llu", (unsigned long long)f->u);
        return;
    case DIAG_FIELD_STR:
    case DIAG_FIELD_SLICE:
        break;
    }
    struct slice s = field_slice(f);
    bool quoted = json || needs_quotes(s);
    line_text(l, quoted ? "\"" : "");
    line_escaped(l, s, json ? ESCAPE_JSON : ESCAPE_TEXT);
    line_text(l, quoted ? "\"" : "");
}

/* Days since 1970 to a date in the Gregorian calendar, counting years from March so that the leap
   day comes last. 400 years have 146,097 days. */
static void line_time(struct line *l, i64 wall_ms, bool with_date)
{
    i64 day_ms = 24ll * 3600 * 1000;
    i64 days = wall_ms / day_ms;
    i64 in_day = wall_ms % day_ms;
    if (in_day < 0) {
        in_day += day_ms;
        days--;
    }
    if (with_date) {
        i64 since_march_0 = days + 719468;
        i64 era = (since_march_0 >= 0 ? since_march_0 : since_march_0 - 146096) / 146097;
        i64 day_of_era = since_march_0 - era * 146097;
        i64 year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        i64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        i64 month_from_march = (5 * day_of_year + 2) / 153;
        i64 day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        i64 month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
        i64 year = year_of_era + era * 400 + (month <= 2);
        line_printf(l, "%04lld-%02lld-%02lldT", (long long)year, (long long)month, (long long)day);
    }
    line_printf(l, "%02lld:%02lld:%02lld.%03lldZ", (long long)(in_day / 3600000),
                (long long)(in_day / 60000 % 60), (long long)(in_day / 1000 % 60),
                (long long)(in_day % 1000));
}

const char *diag_level_name(enum diag_level level)
{
    static const char *const names[] = {
        [DIAG_DEBUG] = "debug",
        [DIAG_INFO] = "info",
        [DIAG_WARN] = "warn",
        [DIAG_ERROR] = "error",
    };
    assert((size_t)level < ARRAY_LEN(names));
    return names[level];
}

/* 12:48:37.123Z warn  ODK-1001: closed a connection that sent an impossible frame peer=127.0.0.1:4
 */
static void build_text(struct line *l, const struct diag_row *row, const struct diag_field *fields,
                       u32 count)
{
    line_time(l, diag_state.wall_ms, false);
    line_printf(l, " %-5s ODK-%04u: ", diag_level_name(row->level), (unsigned)row->code);
    line_text(l, row->text);
    for (u32 i = 0; i < count; i++) {
        line_text(l, " ");
        line_text(l, fields[i].key);
        line_text(l, "=");
        line_value(l, &fields[i], false);
    }
    if (l->cut) {
        memcpy(l->bytes + l->len, " ...", 4);
        l->len += 4;
    }
}

/* A field that does not fit leaves as a whole: half a JSON value is no JSON. */
static void build_json(struct line *l, const struct diag_row *row, const struct diag_field *fields,
                       u32 count)
{
    line_text(l, "{\"time\":\"");
    line_time(l, diag_state.wall_ms, true);
    line_printf(l, "\",\"level\":\"%s\",\"code\":\"ODK-%04u\",\"event\":\"",
                diag_level_name(row->level), (unsigned)row->code);
    line_text(l, row->name);
    line_text(l, "\",\"text\":\"");
    line_escaped(l, slice_cstr(row->text), ESCAPE_JSON);
    line_text(l, "\"");
    for (u32 i = 0; i < count; i++) {
        size_t whole = l->len;
        line_text(l, ",\"");
        line_escaped(l, slice_cstr(fields[i].key), ESCAPE_JSON);
        line_text(l, "\":");
        line_value(l, &fields[i], true);
        if (l->cut) {
            l->len = whole;
            memcpy(l->bytes + l->len, ",\"cut\":1", 8);
            l->len += 8;
            break;
        }
    }
    l->bytes[l->len] = '}';
    l->len++;
}

static bool writes_json(void)
{
    if (diag_state.format == DIAG_AUTO) {
        diag_state.format = isatty(STDERR_FILENO) == 1 ? DIAG_TEXT : DIAG_JSON;
    }
    return diag_state.format == DIAG_JSON;
}

static void emit(const struct diag_row *row, const struct diag_field *fields, u32 count)
{
    struct line l;
    l.len = 0;
    l.cut = false;
    if (writes_json()) {
        build_json(&l, row, fields, count);
    } else {
        build_text(&l, row, fields, count);
    }
    assert(l.len < LINE_MAX_BYTES);
    l.bytes[l.len] = '\n';
    l.len++;
    if (diag_state.sink != NULL) {
        diag_state.sink(diag_state.sink_user, l.bytes, l.len);
        return;
    }
    /* Nobody can be told that stderr is gone. */
    ssize_t ignored = write(STDERR_FILENO, l.bytes, l.len);
    (void)ignored;
}

/* ---- the catalogue --------------------------------------------------------------------------- */

static size_t row_index(enum diag_code code);

const struct diag_row *diag_row_find(struct slice text)
{
    static const char prefix[] = "odk-";
    size_t at = 0;
    while (at < 4 && at < text.len && (text.ptr[at] | 0x20) == (u8)prefix[at]) {
        at++;
    }
    at = at == 4 ? 4 : 0;
    u32 number = 0;
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || number > 9999) {
            return NULL;
        }
        number = number * 10 + (u32)(text.ptr[i] - '0');
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if ((u32)diag_rows[i].code == number) {
            return &diag_rows[i];
        }
    }
    return NULL;
}

static void problem_line(struct line *l, const char *before, const char *text)
{
    if (text[0] != '\0') {
        line_text(l, before);
        line_escaped(l, slice_cstr(text), ESCAPE_PROSE);
        line_text(l, "\n");
    }
}

size_t diag_problem_text(const struct diag_problem *p, char *out, size_t cap)
{
    assert(cap > 0);
    const struct diag_row *row = &diag_rows[row_index(p->code)];
    struct line l;
    l.len = 0;
    l.cut = false;
    line_printf(&l, "%s ODK-%04u: ", row->level == DIAG_INFO ? "note" : diag_level_name(row->level),
                (unsigned)row->code);
    problem_line(&l, "", p->what);
    problem_line(&l, "  ", p->why);
    problem_line(&l, "  next: ", p->next);
    if (l.cut) {
        memcpy(l.bytes + l.len, " ...\n", 5);
        l.len += 5;
    }
    size_t len = MIN(l.len, cap - 1);
    memcpy(out, l.bytes, len);
    out[len] = '\0';
    return len;
}

void diag_problem_print(const struct diag_problem *p)
{
    char text[LINE_MAX_BYTES];
    size_t len = diag_problem_text(p, text, sizeof(text));
    ssize_t ignored = write(STDERR_FILENO, text, len);
    (void)ignored;
}

/* ---- events ---------------------------------------------------------------------------------- */

static size_t row_index(enum diag_code code)
{
    size_t index = 0;
    while (index < ROW_COUNT && diag_rows[index].code != code) {
        index++;
    }
    assert(index < ROW_COUNT); /* every code is a row of messages.def */
    return index;
}

/* Sums up what a finished window held back, and closes it. */
static void window_close(size_t index)
{
    struct rate *rate = &diag_state.rates[index];
    u32 held_back = rate->held_back;
    *rate = (struct rate){0};
    if (held_back == 0) {
        return;
    }
    char code[16];
    snprintf(code, sizeof(code), "ODK-%04u", (unsigned)diag_rows[index].code);
    const struct diag_field fields[] = {
        D_STR("of_code", code),
        D_STR("of_event", diag_rows[index].name),
        D_UINT("count", held_back),
    };
    emit(&diag_rows[row_index(MSG_repeats)], fields, ARRAY_LEN(fields));
}

static void windows_close_due(void)
{
    u64 next_due_ns = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct rate *rate = &diag_state.rates[i];
        if (rate->held_back == 0) {
            continue;
        }
        if (rate->window_end_ns <= diag_state.now_ns) {
            window_close(i);
        } else if (next_due_ns == 0 || rate->window_end_ns < next_due_ns) {
            next_due_ns = rate->window_end_ns;
        }
    }
    diag_state.summary_due_ns = next_due_ns;
}

/* True when this event is within its code's rate and may be printed. */
static bool rate_take(size_t index)
{
    struct rate *rate = &diag_state.rates[index];
    if (rate->window_end_ns <= diag_state.now_ns) {
        window_close(index);
        rate->window_end_ns = diag_state.now_ns + WINDOW_NS;
    }
    if (rate->printed < BURST) {
        rate->printed++;
        return true;
    }
    rate->held_back++;
    if (diag_state.summary_due_ns == 0 || rate->window_end_ns < diag_state.summary_due_ns) {
        diag_state.summary_due_ns = rate->window_end_ns;
    }
    return false;
}

void diag_configure(enum diag_format format, enum diag_level min_level)
{
    diag_state.format = format;
    diag_state.min_level = min_level;
}

void diag_set_level(enum diag_level min_level)
{
    diag_state.min_level = min_level;
}

enum diag_level diag_min_level(void)
{
    return diag_state.min_level;
}

void diag_redirect(void (*sink)(void *user, const char *line, size_t len), void *user)
{
    diag_state.sink = sink;
    diag_state.sink_user = user;
}

void diag_event_(enum diag_code code, const struct diag_field *fields, u32 count)
{
    assert(fields != NULL || count == 0);
    size_t index = row_index(code);
    if (diag_rows[index].level < diag_state.min_level || !rate_take(index)) {
        return;
    }
    emit(&diag_rows[index], fields, count);
}

void diag_set_now(u64 mono_ns, i64 wall_ms)
{
    diag_state.now_ns = mono_ns;
    diag_state.wall_ms = wall_ms;
    if (diag_state.summary_due_ns != 0 && diag_state.summary_due_ns <= mono_ns) {
        windows_close_due();
    }
}

void diag_settle(void)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (diag_state.rates[i].held_back > 0) {
            window_close(i);
        }
    }
    diag_state.summary_due_ns = 0;
}
