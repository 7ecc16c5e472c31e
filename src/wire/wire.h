/* The door to the Kafka wire protocol. Pure: no I/O, no clock.

       messages.h   the C struct of every request, response and stored record
       codec.h      decode, size, encode, print, compare
       api.h        the APIs, and frames around bodies
       error.h      error codes
       batch.h      record batches: view, verify, walk, build
       compress.h   the codecs of batches */
#pragma once

#include "wire/api.h"
#include "wire/batch.h"
#include "wire/codec.h"
#include "wire/compress.h"
#include "wire/error.h"
#include "wire/messages.h"
