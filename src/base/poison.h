/* Marking memory that nobody may touch: freed pool objects, reset arenas, free blobs. Under
   AddressSanitizer a touch stops the program; with ODRADEK_ASSERT_SLOW the bytes are overwritten,
   so that a stale pointer reads nonsense instead of yesterday's truth. Only base/ includes this. */
#pragma once

#include "types.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISON_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON_ASAN 1
#endif
#endif

#ifdef POISON_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef ODRADEK_ASSERT_SLOW
#include <string.h>
#endif

static inline void poison(void *ptr, size_t bytes)
{
#ifdef ODRADEK_ASSERT_SLOW
    memset(ptr, 0xdd, bytes);
#endif
#ifdef POISON_ASAN
    __asan_poison_memory_region(ptr, bytes);
#else
    (void)ptr;
    (void)bytes;
#endif
}

static inline void unpoison(void *ptr, size_t bytes)
{
#ifdef POISON_ASAN
    __asan_unpoison_memory_region(ptr, bytes);
#else
    (void)ptr;
    (void)bytes;
#endif
}
