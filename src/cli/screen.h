/* The whole terminal, for what is shown again and again: --watch and top. There is one terminal,
   and so there is one screen, kept here.

     screen_begin -> (look, screen_draw, screen_wait) again and again -> screen_end

   On a terminal it is the alternate screen without a cursor, keys come without Enter, and lines are
   cut to what fits; what was there before comes back at the end, whatever the end is. Elsewhere
   nothing of this happens, and screen_wait only waits. */
#pragma once

#include "base/base.h"

/* redraw: the size of the terminal has changed. every_ms is told on the last line.
   wanted: false where what is printed is not for people. */
void screen_begin(void (*redraw)(void), i64 every_ms, bool wanted);
/* Gives the terminal back; problem() does too, so that what it says stays. May be called again. */
void screen_end(void);
bool screen_is_on(void);
/* false: q was typed, or a signal asks to end. Any other key: do not wait any longer. */
bool screen_wait(i64 ms);
u32 screen_columns(void);
/* Sections are separated by form feeds: the first one is shown whole, the others share what rows
   are left; what does not fit is counted. */
void screen_draw(struct slice text);
/* The same for a screen of a given size, without moving the cursor: for tests. The caller frees it
   (mem_free). */
char *screen_fit(struct slice text, u32 rows, u32 columns);
