/* The configs of a group as a whole: each between the bounds that the broker sets, and sessions
   longer than the time between heartbeats [GroupConfig, KIP-848, KIP-932, KIP-1071]. */
#include "broker/config_rows.h"

#include <stdio.h>
#include <string.h>

struct group_rule {
    enum config_key key;
    enum config_key min; /* CONFIG_KEY_COUNT: the row's own bound is all there is */
    enum config_key max;
};
static const struct group_rule rules[] = {
    {CONFIG_of_group_consumer_heartbeat_interval_ms,
     CONFIG_group_consumer_min_heartbeat_interval_ms,
     CONFIG_group_consumer_max_heartbeat_interval_ms},
    {CONFIG_of_group_consumer_session_timeout_ms, CONFIG_group_consumer_min_session_timeout_ms,
     CONFIG_group_consumer_max_session_timeout_ms},
    {CONFIG_of_group_consumer_assignment_interval_ms,
     CONFIG_group_consumer_min_assignment_interval_ms,
     CONFIG_group_consumer_max_assignment_interval_ms},
    {CONFIG_of_group_share_heartbeat_interval_ms, CONFIG_group_share_min_heartbeat_interval_ms,
     CONFIG_group_share_max_heartbeat_interval_ms},
    {CONFIG_of_group_share_session_timeout_ms, CONFIG_group_share_min_session_timeout_ms,
     CONFIG_group_share_max_session_timeout_ms},
    {CONFIG_of_group_share_record_lock_duration_ms, CONFIG_group_share_min_record_lock_duration_ms,
     CONFIG_group_share_max_record_lock_duration_ms},
    {CONFIG_of_group_share_delivery_count_limit, CONFIG_group_share_min_delivery_count_limit,
     CONFIG_group_share_max_delivery_count_limit},
    {CONFIG_of_group_share_partition_max_record_locks,
     CONFIG_group_share_min_partition_max_record_locks,
     CONFIG_group_share_max_partition_max_record_locks},
    {CONFIG_of_group_share_assignment_interval_ms, CONFIG_group_share_min_assignment_interval_ms,
     CONFIG_group_share_max_assignment_interval_ms},
    {CONFIG_of_group_streams_heartbeat_interval_ms, CONFIG_group_streams_min_heartbeat_interval_ms,
     CONFIG_group_streams_max_heartbeat_interval_ms},
    {CONFIG_of_group_streams_session_timeout_ms, CONFIG_group_streams_min_session_timeout_ms,
     CONFIG_group_streams_max_session_timeout_ms},
    {CONFIG_of_group_streams_num_standby_replicas, CONFIG_KEY_COUNT,
     CONFIG_group_streams_max_standby_replicas},
    {CONFIG_of_group_streams_assignment_interval_ms,
     CONFIG_group_streams_min_assignment_interval_ms,
     CONFIG_group_streams_max_assignment_interval_ms},
    {CONFIG_of_group_streams_task_offset_interval_ms,
     CONFIG_group_streams_min_task_offset_interval_ms, CONFIG_KEY_COUNT},
    {CONFIG_of_group_streams_num_warmup_replicas, CONFIG_KEY_COUNT,
     CONFIG_group_streams_max_warmup_replicas},
};

struct group_pair {
    enum config_key session;
    enum config_key session_default;
    enum config_key heartbeat;
    enum config_key heartbeat_default;
};
static const struct group_pair pairs[] = {
    {CONFIG_of_group_consumer_session_timeout_ms, CONFIG_group_consumer_session_timeout_ms,
     CONFIG_of_group_consumer_heartbeat_interval_ms, CONFIG_group_consumer_heartbeat_interval_ms},
    {CONFIG_of_group_share_session_timeout_ms, CONFIG_group_share_session_timeout_ms,
     CONFIG_of_group_share_heartbeat_interval_ms, CONFIG_group_share_heartbeat_interval_ms},
    {CONFIG_of_group_streams_session_timeout_ms, CONFIG_group_streams_session_timeout_ms,
     CONFIG_of_group_streams_heartbeat_interval_ms, CONFIG_group_streams_heartbeat_interval_ms},
};

/* False: the group does not set it. */
static bool own_text(const struct meta_config *configs, u32 count, enum config_key key,
                     struct slice *text)
{
    for (u32 i = 0; i < count; i++) {
        if (slice_eq_cstr(configs[i].key, config_rows[key].key)) {
            *text = configs[i].value;
            return true;
        }
    }
    return false;
}

static i64 own_number(const struct config *c, const struct meta_config *configs, u32 count,
                      enum config_key key, enum config_key otherwise)
{
    struct slice text;
    return own_text(configs, count, key, &text) ? config_number(key, text)
                                                : config_i64(c, otherwise);
}

static bool keeps_bounds(const struct config *c, const struct meta_config *configs, u32 count,
                         const struct group_rule *rule, char *reason, size_t reason_bytes)
{
    struct slice text;
    if (!own_text(configs, count, rule->key, &text)) {
        return true;
    }
    i64 value = config_number(rule->key, text);
    if (rule->min != CONFIG_KEY_COUNT && value < config_i64(c, rule->min)) {
        snprintf(reason, reason_bytes, "%s (%lld) is below %s, which is %lld",
                 config_rows[rule->key].key, (long long)value, config_rows[rule->min].key,
                 (long long)config_i64(c, rule->min));
        return false;
    }
    if (rule->max != CONFIG_KEY_COUNT && value > config_i64(c, rule->max)) {
        snprintf(reason, reason_bytes, "%s (%lld) is above %s, which is %lld",
                 config_rows[rule->key].key, (long long)value, config_rows[rule->max].key,
                 (long long)config_i64(c, rule->max));
        return false;
    }
    return true;
}

/* "PnDTnHnMn.nS", any part of it, whole days and hours before minutes and seconds. */
static bool is_duration(struct slice text)
{
    static const char units[] = "DTHMS";
    size_t unit = 0;
    size_t at = 1;
    bool any = false;
    if (text.len < 3 || text.ptr[0] != 'P') {
        return false;
    }
    while (at < text.len) {
        size_t digits = at;
        while (at < text.len && ((text.ptr[at] >= '0' && text.ptr[at] <= '9') ||
                                 (text.ptr[at] == '.' && at > digits))) {
            at++;
        }
        const char *found = at < text.len && unit < sizeof units - 1
                                ? memchr(units + unit, text.ptr[at], sizeof units - 1 - unit)
                                : NULL;
        if (found == NULL || (*found == 'T') != (at == digits) ||
            (*found != 'T' && *found != 'D' && memchr(text.ptr, 'T', at) == NULL) ||
            (*found != 'S' && memchr(text.ptr + digits, '.', at - digits) != NULL)) {
            return false;
        }
        any = any || *found != 'T';
        unit = (size_t)(found - units) + 1;
        at++;
    }
    return any && text.ptr[text.len - 1] != 'T';
}

static bool is_offset_reset(struct slice text)
{
    static const char by[] = "by_duration:";
    size_t len = sizeof by - 1;
    return slice_eq_cstr(text, "earliest") || slice_eq_cstr(text, "latest") ||
           (text.len > len && memcmp(text.ptr, by, len) == 0 &&
            is_duration(slice_of(text.ptr + len, text.len - len)));
}

/* *list starts as the whole; ptr NULL after its last item. */
static bool item_next(struct slice *list, struct slice *item)
{
    if (list->ptr == NULL) {
        return false;
    }
    const u8 *comma = list->len == 0 ? NULL : memchr(list->ptr, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    *item = slice_trim(slice_of(list->ptr, len));
    *list = comma == NULL ? (struct slice){0} : slice_of(comma + 1, list->len - len - 1);
    return true;
}

static bool lists(struct slice list, struct slice wanted)
{
    struct slice item;
    while (item_next(&list, &item)) {
        if (slice_eq(item, wanted)) {
            return true;
        }
    }
    return false;
}

static bool lists_twice(struct slice list)
{
    struct slice item;
    while (item_next(&list, &item)) {
        if (lists(list, item)) {
            return true;
        }
    }
    return false;
}

/* Of texts that are no numbers. */
static i16 texts_check(const struct config *c, const struct meta_config *configs, u32 count,
                       char *reason, size_t reason_bytes)
{
    struct slice text;
    if (own_text(configs, count, CONFIG_of_group_share_auto_offset_reset, &text) &&
        !is_offset_reset(text)) {
        snprintf(reason, reason_bytes,
                 "share.auto.offset.reset must be earliest, latest, or by_duration: with a "
                 "duration like PT1H30M");
        return KERR_INVALID_CONFIG;
    }
    struct slice assignors = config_str(c, CONFIG_group_streams_assignors);
    if (own_text(configs, count, CONFIG_of_group_streams_assignor_name, &text) &&
        !lists(assignors, text)) {
        snprintf(reason, reason_bytes,
                 "streams.assignor.name must be one of group.streams.assignors: %.*s",
                 (int)MIN(assignors.len, (size_t)128), (const char *)assignors.ptr);
        return KERR_INVALID_CONFIG;
    }
    if (own_text(configs, count, CONFIG_of_group_streams_rack_aware_assignment_tags, &text) &&
        lists_twice(text)) {
        snprintf(reason, reason_bytes,
                 "streams.rack.aware.assignment.tags must name each tag once");
        return KERR_INVALID_CONFIG;
    }
    if (own_text(configs, count, CONFIG_of_group_errors_deadletterqueue_topic_name, &text) &&
        text.len >= 2 && text.ptr[0] == '_' && text.ptr[1] == '_') {
        snprintf(reason, reason_bytes,
                 "errors.deadletterqueue.topic.name must not name an internal topic, which begin "
                 "with __");
        return KERR_INVALID_CONFIG;
    }
    return KERR_NONE;
}

i16 group_configs_check(const struct config *c, const struct meta_config *configs, u32 count,
                        char *reason, size_t reason_bytes)
{
    for (u32 i = 0; i < ARRAY_LEN(rules); i++) {
        if (!keeps_bounds(c, configs, count, &rules[i], reason, reason_bytes)) {
            return KERR_INVALID_CONFIG;
        }
    }
    for (u32 i = 0; i < ARRAY_LEN(pairs); i++) {
        const struct group_pair *p = &pairs[i];
        i64 session = own_number(c, configs, count, p->session, p->session_default);
        i64 heartbeat = own_number(c, configs, count, p->heartbeat, p->heartbeat_default);
        if (session <= heartbeat) {
            snprintf(reason, reason_bytes, "%s (%lld) must be above %s (%lld)",
                     config_rows[p->session].key, (long long)session, config_rows[p->heartbeat].key,
                     (long long)heartbeat);
            return KERR_INVALID_CONFIG;
        }
    }
    return texts_check(c, configs, count, reason, reason_bytes);
}
