/* The broker: sockets to partitions. Its loop is struct io's; everything here runs on it.

   broker_create makes the parts, broker_start (blocking) opens home, metadata and log, takes over
   from the predecessor and listens; when it returns OK a Produce would succeed. broker_stop drains:
   no new connections, parked requests are answered, the log is sealed, then stopped() is called
   once. The simulator uses exactly these functions with its own io. */
#pragma once

#include "broker/config_listeners.h"
#include "cluster/cluster.h"

struct broker;

struct broker_params {
    struct io *io;
    struct config *config; /* outlives the broker, which puts dynamic values into it */
    const char *data_directory;
    struct home *home; /* NULL: on disk, in data_directory. From broker_start on the broker's. */
    /* Where to listen; NULL: at listen_host and listen_port alone, under the name PLAINTEXT. */
    const struct config_listeners *listeners;
    const char *listen_host;
    u16 listen_port;    /* 0: any free */
    u64 memory_bytes;   /* the budget */
    u64 extent_bytes;   /* 0 = usual; the simulator uses small ones */
    u64 spare_ns;       /* as in home_disk_params */
    u32 snapshot_every; /* metadata slots between snapshots; 0 = usual; the simulator: few */
    u64 wal_bytes_max;  /* as in log_params, these three; the simulator: little and soon */
    u64 stretch_bytes;
    u32 keep_run_bytes;
    bool keep_always;
    u32 start_packs;
    i64 file_delay_ms;
    u32 home_canaries; /* simulator only */
    u32 log_canaries;
    u32 group_canaries;
    /* Called once when the broker has stopped (result OK), or must stop because storage failed
       (ERR_IO): then the process ends with its own exit code and must not be used further. */
    void (*stopped)(void *user, err_t result);
    void *user;
};
MUST_USE struct broker *broker_create(const struct broker_params *params);
MUST_USE err_t broker_start(struct broker *b);
/* Why the last broker_start failed; and as a problem of the catalogue, valid as long as the broker.
 */
const char *broker_reason(const struct broker *b);
struct diag_problem broker_problem(const struct broker *b);
/* After values of the configuration have changed: what does not read them where it uses them. */
void broker_configured(struct broker *b);
void broker_stop(struct broker *b);
void broker_destroy(struct broker *b); /* at any time, also when io is dead */

void broker_address(const struct broker *b, struct io_address *out); /* of the first listener */
/* Where the HTTP port is, for those who send HTTP to the Kafka port. */
void broker_note_http(struct broker *b, const char *address);
u32 broker_listener_count(const struct broker *b);
const char *broker_listener(const struct broker *b, u32 index,
                            struct io_address *out); /* its name */
struct log *broker_log(struct broker *b); /* for tests, stats, the simulator's checkers */
struct cluster *broker_cluster(struct broker *b);
void broker_print_stats(struct broker *b); /* one diagnostic line of counters */

#define BROKER_NODE_ID 1
