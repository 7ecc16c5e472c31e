/* The level of the diagnostics while the broker runs: odradek.log.level, and Kafka's API of broker
   loggers (kafka-configs --entity-type broker-loggers) with the one logger there is, root. What
   that API sets is gone with the process, as in Kafka, or when odradek.log.level changes. */
#pragma once

#include "broker/server.h"

enum diag_level log_level_of(const struct config *config);
/* Applies odradek.log.level when it is not what it was. */
void log_level_follow(struct broker *b);

/* The loggers as configs, for DescribeConfigs. */
MUST_USE err_t loggers_describe(struct arena *arena, struct config_entry **entries, u32 *count);
/* May a logger be changed so? KERR_NONE or an error with a reason. operation as in
   IncrementalAlterConfigs: 0 sets, 1 deletes. */
MUST_USE i16 logger_check(struct slice name, i8 operation, struct slice level, char *reason,
                          size_t reason_bytes);
void logger_set(struct slice level); /* which passed logger_check */
