/* See loggers.h [RuntimeLoggerManager, LoggingController]. */
#include "broker/loggers.h"

#include <stdio.h>

#define ROOT_LOGGER "root"
#define PRINTED(s)  (int)MIN((s).len, (size_t)128), (const char *)(s).ptr

/* Kafka's words; two of them are the nearest that there is here. */
static const struct {
    const char *word;
    enum diag_level level;
} levels[] = {
    {"DEBUG", DIAG_DEBUG}, {"INFO", DIAG_INFO},   {"WARN", DIAG_WARN},
    {"ERROR", DIAG_ERROR}, {"TRACE", DIAG_DEBUG}, {"FATAL", DIAG_ERROR},
};

enum diag_level log_level_of(const struct config *config)
{
    enum diag_level level = DIAG_DEBUG;
    while (level < DIAG_ERROR &&
           !slice_eq_cstr(config_str(config, CONFIG_odradek_log_level), diag_level_name(level))) {
        level++;
    }
    return level;
}

void log_level_follow(struct broker *b)
{
    enum diag_level level = log_level_of(b->config);
    if (level != b->log_level) {
        b->log_level = level;
        diag_set_level(level);
    }
}

err_t loggers_describe(struct arena *arena, struct config_entry **entries, u32 *count)
{
    *entries = arena_array(arena, 1, sizeof **entries);
    if (*entries == NULL) {
        return ERR_NO_MEMORY;
    }
    u32 at = 0;
    while (levels[at].level != diag_min_level()) {
        at++;
    }
    (*entries)[0] = (struct config_entry){
        .name = SLICE_LIT(ROOT_LOGGER),
        .value = slice_cstr(levels[at].word),
        .source = CONFIG_SOURCE_LOGGER,
        .doc = SLICE_LIT("Diagnostics below this level are not printed."),
    };
    *count = 1;
    return OK;
}

/* ARRAY_LEN(levels): no such level. */
static u32 level_find(struct slice word)
{
    u32 at = 0;
    while (at < ARRAY_LEN(levels) && !slice_eq_cstr(word, levels[at].word)) {
        at++;
    }
    return at;
}

i16 logger_check(struct slice name, i8 operation, struct slice level, char *reason,
                 size_t reason_bytes)
{
    bool root = slice_eq_cstr(name, ROOT_LOGGER);
    if (operation != 0 && operation != 1) {
        snprintf(reason, reason_bytes, "A logger can be given a level, and nothing else.");
        return KERR_INVALID_REQUEST;
    }
    if (!root) {
        snprintf(reason, reason_bytes, "Logger %.*s does not exist; there is one, " ROOT_LOGGER ".",
                 PRINTED(name));
        return KERR_INVALID_CONFIG;
    }
    if (operation == 1) {
        snprintf(reason, reason_bytes, "The level of " ROOT_LOGGER " cannot be removed.");
        return KERR_INVALID_REQUEST;
    }
    if (level_find(level) == ARRAY_LEN(levels)) {
        snprintf(reason, reason_bytes,
                 "Cannot set the log level of " ROOT_LOGGER
                 " to %.*s: levels are TRACE, DEBUG, INFO, WARN, ERROR and FATAL.",
                 PRINTED(level));
        return KERR_INVALID_CONFIG;
    }
    return KERR_NONE;
}

void logger_set(struct slice level)
{
    u32 at = level_find(level);
    assert(at < ARRAY_LEN(levels));
    diag_set_level(levels[at].level);
}
