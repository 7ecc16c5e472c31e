/* Deleting what is too old or too much: topics' retention.ms and retention.bytes. */
#pragma once

#include "broker/server.h"

void retention_start(struct broker *b);
void retention_stop(struct broker *b); /* no pass begins or goes on */
/* So many bytes of batches were appended: sizes are worth a look soon. */
void retention_appended(struct broker *b, u64 bytes);
