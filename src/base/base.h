/* The commons: everything may include this door, it includes nothing of ours. */
#pragma once

#include "arena.h"
#include "assert.h"
#include "blob.h"
#include "bytes.h"
#include "crc32c.h"
#include "diag.h"
#include "err.h"
#include "heap.h"
#include "list.h"
#include "map.h"
#include "mem.h"
#include "metrics.h"
#include "pool.h"
#include "rng.h"
#include "types.h"
