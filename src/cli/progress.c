/* The progress bar: see progress.h. */
#include "cli/progress.h"

#include "cli/out.h"
#include "cli/parse.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CELLS = 24, BAR_CELLS_MIN = 6, DRAW_EVERY_MS = 200, COLUMNS = 80 };

void progress_begin(struct progress *p, const char *unit, i64 total, bool quiet)
{
    *p = (struct progress){
        .shown = quiet && out_is_terminal(stderr),
        .unit = unit,
        .total = total,
        .begun_ms = wall_ms(),
    };
}

void progress_text(const struct progress *p, i64 elapsed_ms, bool utf8, u32 columns, char *text)
{
    f64 rate = elapsed_ms > 0 ? (f64)p->done * 1000 / (f64)elapsed_ms : 0;
    char words[PROGRESS_TEXT_BYTES / 2];
    u32 room = columns > 0 ? columns - 1 : 0; /* the last column stays free: terminals wrap there */
    if (p->total <= 0) {
        snprintf(words, sizeof words, "%lld %s  %.0f/s", (long long)p->done, p->unit, rate);
        snprintf(text, PROGRESS_TEXT_BYTES, "%.*s", (int)room, words);
        return;
    }
    i64 done = MIN(p->done, p->total);
    char left[DURATION_TEXT_BYTES] = "?";
    if (rate > 0) {
        duration_text((i64)((f64)(p->total - done) / rate + 0.5), left);
    }
    int len = snprintf(words, sizeof words, "%3lld%%  %lld %s  %.0f/s  ETA %s",
                       (long long)(done * 100 / p->total), (long long)p->done, p->unit, rate, left);
    u32 cells = (u32)len + 1 + BAR_CELLS_MIN <= room ? MIN(room - (u32)len - 1, (u32)BAR_CELLS) : 0;
    u32 full = (u32)(done * cells / p->total);
    char bar[BAR_CELLS * 3 + 1] = "";
    size_t used = 0;
    for (u32 i = 0; i < cells; i++) {
        const char *cell = i < full ? (utf8 ? "█" : "#") : (utf8 ? "░" : "-");
        memcpy(bar + used, cell, strlen(cell));
        used += strlen(cell);
    }
    bar[used] = 0;
    snprintf(text, PROGRESS_TEXT_BYTES, "%s%s%.*s", bar, cells > 0 ? " " : "", (int)room, words);
}

/* Of the terminal that is standard error. */
static u32 columns_now(void)
{
    struct winsize w = {0};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : COLUMNS;
}

void progress_add(struct progress *p, i64 count)
{
    p->done += count;
    if (!p->shown) {
        return;
    }
    i64 now_ms = wall_ms();
    if (p->drawn && now_ms - p->drawn_ms < DRAW_EVERY_MS) {
        return;
    }
    char text[PROGRESS_TEXT_BYTES];
    progress_text(p, now_ms - p->begun_ms, out_utf8(), columns_now(), text);
    fprintf(stderr, "\r\033[K%s", text);
    p->drawn = true;
    p->drawn_ms = now_ms;
}

void progress_hide(struct progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    p->drawn = false;
}

void progress_end(struct progress *p)
{
    progress_hide(p);
    p->shown = false;
}
