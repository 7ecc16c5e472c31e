/* What is known of a consumer group: state, members, committed offsets. For group.c, rewind.c and
   top.c. */
#pragma once

#include "cli/kafka.h"
#include "cli/node.h"

struct group_offset {
    struct slice topic;
    i32 partition;
    i64 committed; /* -1: none */
    i64 start;
    i64 end;           /* -1: the topic or partition is gone */
    const char *owner; /* client id of the member it is assigned to, or NULL */
};
struct group {
    const char *id;
    struct slice state;
    struct slice assignor;
    bool exists;
    const struct describe_groups_response_described_group_member *members;
    u32 member_count;
    struct group_offset *offsets; /* by topic and partition: committed or assigned, with
                                     GROUP_ALL_PARTITIONS every one of a topic that has such */
    u32 offset_count;
};
enum group_extent { GROUP_COMMITTED, GROUP_ALL_PARTITIONS };
/* Describes the group; one that is not there is no failure here. */
MUST_USE int group_read(struct kafka *k, const char *id, enum group_extent extent,
                        struct group *out);
/* Not there: says so, with the nearest name. */
int group_unknown(struct kafka *k, const char *id);
/* Has it members, or is it about to? Then its offsets are theirs. */
bool group_is_active(const struct group *g);
int group_refuse_active(struct kafka *k, const struct group *g, const char *what);
/* The topics and partitions a member was given; calls visit for each. */
void group_assignment_visit(struct kafka *k,
                            const struct describe_groups_response_described_group_member *member,
                            void (*visit)(void *user, struct slice topic, i32 partition),
                            void *user);
MUST_USE int group_list(struct kafka *k, struct list_groups_response *out);
/* Records behind, and how long the oldest unread one waits: of one partition; -1: unknown. */
i64 group_offset_lag(const struct group_offset *o);
MUST_USE int group_offset_wait(struct kafka *k, const struct group_offset *o, i64 *wait_ms);
/* Adds a group to a list, as group info shows it. */
MUST_USE int group_add_info(struct kafka *k, struct node *list, const char *id);
/* "orders:0=5,orders:1=none": how group rewind --offsets wants it. */
const char *group_offsets_text(const struct cli_args *a, const struct group *g);
