/* The terminal as a screen: see screen.h. */
#include "cli/screen.h"

#include "cli/out.h"
#include "cli/parse.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { ROWS = 24, COLUMNS = 80, SECTIONS_MAX = 64 };
#define ENTER "\033[?1049h\033[?25l" /* the alternate screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static struct {
    bool on;
    bool has_keys;
    struct termios before; /* of standard input, when there are keys */
    void (*redraw)(void);
    i64 every_ms;
} screen;
static volatile sig_atomic_t asked_to_end;
static volatile sig_atomic_t resized;

static void on_signal(int number)
{
    if (number == SIGWINCH) {
        resized = 1;
    } else {
        asked_to_end = 1;
    }
}

bool screen_is_on(void)
{
    return screen.on;
}

static struct winsize size(void)
{
    struct winsize w = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_row == 0 || w.ws_col == 0) {
        w = (struct winsize){.ws_row = ROWS, .ws_col = COLUMNS};
    }
    return w;
}

u32 screen_columns(void)
{
    return size().ws_col;
}

/* ---- life ------------------------------------------------------------------------------------ */

void screen_begin(void (*redraw)(void), i64 every_ms, bool wanted)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (u32 i = 0; i < ARRAY_LEN(signals); i++) {
        sigaction(signals[i], &action, NULL);
    }
    const char *terminal = getenv("TERM");
    screen.redraw = redraw;
    screen.every_ms = every_ms;
    screen.on =
        wanted && out_is_terminal(stdout) && terminal != NULL && strcmp(terminal, "dumb") != 0;
    if (!screen.on) {
        return;
    }
    screen.has_keys = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &screen.before) == 0;
    if (screen.has_keys) {
        struct termios keys = screen.before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        keys.c_cc[VMIN] = 1;
        keys.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped program would keep the screen */
        tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
    }
    fputs(ENTER, stdout);
    fflush(stdout);
}

void screen_end(void)
{
    if (!screen.on) {
        return;
    }
    screen.on = false;
    fputs(LEAVE, stdout);
    fflush(stdout);
    if (screen.has_keys) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before);
    }
}

static i64 clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (i64)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Was it one that ends? End of input ends too. */
static bool key_ends(void)
{
    char key;
    ssize_t got = read(STDIN_FILENO, &key, 1);
    return got == 0 || (got < 0 && errno != EINTR) ||
           (got == 1 && (key == 'q' || key == 'Q' || key == 4));
}

bool screen_wait(i64 ms)
{
    i64 end_ms = clock_ms() + ms;
    while (asked_to_end == 0) {
        i64 left_ms = end_ms - clock_ms();
        struct pollfd keys = {.fd = screen.on && screen.has_keys ? STDIN_FILENO : -1,
                              .events = POLLIN};
        int ready = left_ms <= 0 ? 0 : poll(&keys, 1, (int)MIN(left_ms, INT32_MAX));
        if (ready == 0) {
            return asked_to_end == 0;
        }
        if (ready > 0) {
            return !key_ends() && asked_to_end == 0;
        }
        if (resized != 0 && screen.on) {
            resized = 0;
            screen.redraw();
        }
    }
    return false;
}

/* ---- fitting --------------------------------------------------------------------------------- */

struct section {
    struct slice text; /* whole lines */
    u32 lines;
    u32 rows; /* what it may take */
};

static u32 sections_split(struct slice text, struct section out[SECTIONS_MAX])
{
    u32 count = 0;
    while (text.len > 0 && count < SECTIONS_MAX) {
        const u8 *end = memchr(text.ptr, '\f', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;
        struct section *s = &out[count++];
        *s = (struct section){.text = slice_of(text.ptr, len)};
        for (size_t i = 0; i < len; i++) {
            s->lines += text.ptr[i] == '\n';
        }
        size_t step = MIN(len + 1, text.len);
        text = slice_of(text.ptr + step, text.len - step);
    }
    return count;
}

/* The first as many as it has; then a row for each in turn, until there are no more. A blank row
   stands between two. */
static void rows_share(struct section *sections, u32 count, u32 rows)
{
    u32 blanks = count - 1;
    sections[0].rows = MIN(sections[0].lines, rows);
    u32 left = rows - sections[0].rows;
    left = left > blanks ? left - blanks : 0;
    for (bool more = true; more && left > 0;) {
        more = false;
        for (u32 i = 1; i < count && left > 0; i++) {
            if (sections[i].rows < sections[i].lines) {
                sections[i].rows++;
                left--;
                more = true;
            }
        }
    }
}

/* The bytes at `at` that stand in one column, or in none: a colour. */
static size_t cell_bytes(struct slice text, size_t at, bool *visible)
{
    size_t len = 1;
    *visible = text.ptr[at] != 0x1b;
    if (!*visible) {
        while (at + len < text.len && text.ptr[at + len - 1] != 'm') {
            len++;
        }
        return len;
    }
    while (at + len < text.len && (text.ptr[at + len] & 0xc0) == 0x80) {
        len++;
    }
    return len;
}

/* A line without its end, cut to the columns there are; colours are kept, they end somewhere. */
static void line_print(FILE *to, struct slice line, u32 columns)
{
    u32 used = 0;
    for (size_t at = 0; at < line.len;) {
        bool visible;
        size_t len = cell_bytes(line, at, &visible);
        if (!visible || used < columns) {
            fwrite(line.ptr + at, 1, len, to);
        }
        used += visible;
        at += len;
    }
}

static void section_print(FILE *to, const struct section *s, u32 columns, const char *line_end)
{
    struct slice left = s->text;
    for (u32 row = 0; row < s->rows; row++) {
        const u8 *end = memchr(left.ptr, '\n', left.len);
        struct slice line = slice_of(left.ptr, (size_t)(end - left.ptr));
        left = slice_of(end + 1, left.len - line.len - 1);
        char more[64];
        if (row + 1 == s->rows && s->rows < s->lines && row > 0) {
            snprintf(more, sizeof more, "... and %u more", s->lines - row);
            line = slice_cstr(more);
        }
        line_print(to, line, columns);
        fputs(line_end, to);
    }
}

static void fit_print(FILE *to, struct slice text, u32 rows, u32 columns, const char *line_end)
{
    struct section sections[SECTIONS_MAX];
    u32 count = sections_split(text, sections);
    if (count == 0) {
        return;
    }
    rows_share(sections, count, rows);
    for (u32 i = 0; i < count; i++) {
        if (i > 0 && sections[i].rows > 0) {
            fputs(line_end, to);
        }
        section_print(to, &sections[i], columns, line_end);
    }
}

char *screen_fit(struct slice text, u32 rows, u32 columns)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&bytes, &len);
    assert(to != NULL);
    fit_print(to, text, rows, columns, "\n");
    fclose(to);
    char *fitted = mem_strndup(slice_of(bytes, len));
    free(bytes);
    return fitted;
}

void screen_draw(struct slice text)
{
    struct winsize w = size();
    char now[TIME_TEXT_BYTES];
    char status[128];
    time_text(wall_ms() / 1000 * 1000, now);
    snprintf(status, sizeof status, "%.19sZ  every %g s  q quits", now,
             (f64)screen.every_ms / 1000);
    /* Each line wipes what it does not fill, and the rest of the screen is wiped at the end:
       nothing flickers. */
    fputs("\033[H", stdout);
    fit_print(stdout, text, w.ws_row > 2 ? w.ws_row - 2u : 1, w.ws_col, "\033[K\r\n");
    printf("\033[J\033[%d;1H", w.ws_row);
    line_print(stdout, slice_cstr(status), w.ws_col);
    fputs("\033[K", stdout);
    fflush(stdout);
}
