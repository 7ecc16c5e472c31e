/* The commons: everything may include this door, it includes nothing of ours. */
#pragma once

#include "types.h"
#include "assert.h"
#include "err.h"
#include "bytes.h"
#include "mem.h"
#include "arena.h"
#include "list.h"
#include "pool.h"
#include "blob.h"
#include "heap.h"
#include "map.h"
#include "rng.h"
#include "crc32c.h"
#include "metrics.h"
#include "diag.h"
