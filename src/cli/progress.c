/* The progress bar: see progress.h. */
#include "cli/progress.h"

#include "cli/out.h"
#include "cli/parse.h"

#include <stdio.h>
#include <string.h>

enum { BAR_CELLS = 24, DRAW_EVERY_MS = 200 };

void progress_begin(struct progress *p, const char *unit, i64 total, bool quiet)
{
    *p = (struct progress){
        .shown = quiet && out_is_terminal(stderr),
        .unit = unit,
        .total = total,
        .begun_ms = wall_ms(),
    };
}

void progress_text(const struct progress *p, i64 elapsed_ms, bool utf8, char *text)
{
    f64 rate = elapsed_ms > 0 ? (f64)p->done * 1000 / (f64)elapsed_ms : 0;
    if (p->total <= 0) {
        snprintf(text, PROGRESS_TEXT_BYTES, "%lld %s  %.0f/s", (long long)p->done, p->unit, rate);
        return;
    }
    i64 done = MIN(p->done, p->total);
    u32 cells = (u32)(done * BAR_CELLS / p->total);
    char bar[BAR_CELLS * 3 + 1] = "";
    size_t used = 0;
    for (u32 i = 0; i < BAR_CELLS; i++) {
        const char *cell = i < cells ? (utf8 ? "█" : "#") : (utf8 ? "░" : "-");
        memcpy(bar + used, cell, strlen(cell));
        used += strlen(cell);
    }
    bar[used] = 0;
    char left[DURATION_TEXT_BYTES] = "?";
    if (rate > 0) {
        duration_text((i64)((f64)(p->total - done) / rate + 0.5), left);
    }
    snprintf(text, PROGRESS_TEXT_BYTES, "%s %3lld%%  %lld %s  %.0f/s  ETA %s", bar,
             (long long)(done * 100 / p->total), (long long)p->done, p->unit, rate, left);
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
    progress_text(p, now_ms - p->begun_ms, out_utf8(), text);
    fprintf(stderr, "\r\033[K%s", text);
    p->drawn = true;
    p->drawn_ms = now_ms;
}

void progress_end(struct progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    p->shown = false;
}
