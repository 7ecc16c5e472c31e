/* What option values say. All return false when the text is no such thing. */
#pragma once

#include "base/base.h"

bool parse_number(const char *text, i64 low, i64 high, i64 *out);
/* "250ms", "10s", "5m", "1h", "7d": milliseconds. */
bool parse_duration(const char *text, i64 *ms);
/* A moment in ms since 1970: "-1h" (ago), "now", "2026-11-22", "2026-11-22T10:00",
   "2026-11-22T10:00:30.250Z" (UTC), with or without a leading @; or "@1795341600000". */
bool parse_time(const char *text, i64 now_ms, i64 *ms);
/* "\n", "\t", "\r", "\0", "\\", "\x1f" written out; the result is in arena. */
struct slice parse_escapes(struct arena *arena, struct slice text);
/* Milliseconds since 1970, now. */
i64 wall_ms(void);
