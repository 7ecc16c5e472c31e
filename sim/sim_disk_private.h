/* What the files of the simulated disk share. Only they include this.

     sim_disk.c       names, content, locks: what the broker sees while it lives
     sim_disk_ends.c  what the end of a process or a power cut leaves of it; bits that rot */
#pragma once

#include "sim/sim_disk.h"

enum {
    NAME_MAX_BYTES = 64,
    FRAME_UNIT = 4096,
    FRAME_LENGTH_AT = 12, /* total_bytes in our frame's header */
};

struct names {
    struct named {
        char name[NAME_MAX_BYTES];
        struct sim_inode *inode;
    } * items;
    u32 count;
    u32 cap;
};

enum name_change_kind { NAME_ADD, NAME_REMOVE, NAME_RENAME };
struct name_change {
    struct list_node node;
    enum name_change_kind kind;
    char name[NAME_MAX_BYTES];
    char new_name[NAME_MAX_BYTES];
    struct sim_inode *inode;
};

struct sim_inode {
    struct list_node node; /* in the disk */
    u32 number;
    bool directory;
    bool reached; /* by the last sweep */
    bool linked;  /* has, or had, a second name: what is in it was synced under that */
    /* a file */
    u8 *live;
    u8 *durable;
    u64 cap; /* of both */
    u64 live_size;
    u64 durable_size;
    u64 tail; /* end of the last write by write_begin */
    enum sim_inode_kind kind;
    struct list pending;
    const void *locked_by;
    /* a directory */
    struct names live_names;
    struct names durable_names;
    struct list changes;
};

struct sim_disk {
    struct rng *rng;
    struct list inodes;
    struct sim_inode *root;
    u32 next_inode;
    u64 next_write;
    u64 version;
    bool plant;
    enum sim_cut cut; /* of the file or directory at hand */
    struct sim_disk_stats stats;
};

/* sim_disk.c */
void sim_write_free(struct sim_write *w);
void sim_inode_destroy(struct sim_inode *n);
void sim_names_copy(struct names *to, const struct names *from);
void sim_names_apply(struct names *names, const struct name_change *c);
void sim_inode_reserve(struct sim_inode *n, u64 bytes);
u64 sim_sector_count(const struct sim_write *w);
u64 sim_sector_part(const struct sim_write *w, u64 i, u64 *len);
void sim_durable_resize(struct sim_inode *n, u64 bytes);
u64 sim_below(struct sim_disk *d, u64 bound);

/* sim_disk_ends.c */
/* What has no name, and no change that a cut may undo or bring back, goes. */
void sim_sweep(struct sim_disk *d);
