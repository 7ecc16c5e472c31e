/* See whole.c. */
#pragma once

#include "broker/request.h"

/* true: the handler is called later. */
MUST_USE bool request_hold(struct request *r, handler_fn handler);
