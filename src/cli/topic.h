/* What topic info says, for bundle.c too. */
#pragma once

#include "cli/kafka.h"
#include "cli/node.h"

/* Adds a topic to a list: partitions, offsets, sizes, configuration. */
MUST_USE int topic_add_info(struct kafka *k, struct node *list, const char *name);
