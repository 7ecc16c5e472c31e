/* The scrubber's settings and what it says: odradek.scrub.period.ms. */
#pragma once

#include "broker/server.h"

/* At the start, and whenever the configuration may have changed. */
void scrub_configure(struct broker *b);
/* log_params.damaged. */
void scrub_damaged(void *broker, const struct log_damage *damage);
