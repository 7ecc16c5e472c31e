/* Assertions stay on in release builds: they state what the code relies on (our mistakes only;
   the world's mistakes are err_t). assert_slow is for checks that cost; seen("...") marks a path
   that the simulator must reach (counted in seen_table, printed by odradek-sim --seen). */
#pragma once

#ifdef NDEBUG
#error "assertions are part of the program: build without NDEBUG"
#endif
#include <assert.h>

#ifdef ODRADEK_ASSERT_SLOW
#define assert_slow(cond) assert(cond)
#else
#define assert_slow(cond) ((void)0)
#endif

/* name must be a string literal; at most SEEN_MAX distinct names in the program. */
#define SEEN_MAX 1024
struct seen_row {
    const char *name;
    unsigned long long count;
};
extern struct seen_row seen_table[SEEN_MAX]; /* in order of first sight */
extern unsigned seen_table_count;
void seen_count(const char *name);
#ifdef ODRADEK_SIM
#define seen(name) seen_count(name)
#else
#define seen(name) ((void)0)
#endif
