/* Loading libmicrohttpd: see mhd.h. */
#include "http/mhd.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libmicrohttpd.so.12"

static struct microhttpd table;
static bool loaded;

static bool resolve(void *library, const char *name, void *slot)
{
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    return symbol != NULL;
}

const struct microhttpd *microhttpd_load(char *reason, size_t reason_bytes)
{
    if (loaded) {
        return &table;
    }
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *why = dlerror();
        snprintf(reason, reason_bytes, "%s; apt-get install libmicrohttpd12",
                 why != NULL ? why : LIBRARY " cannot be loaded");
        return NULL;
    }
#define MHD(name)                                                                        \
    if (!resolve(library, #name, &table.name)) {                                         \
        snprintf(reason, reason_bytes,                                                   \
                 LIBRARY " lacks " #name ", 0.9.75 or newer is needed; apt-get install " \
                         "libmicrohttpd12");                                             \
        dlclose(library);                                                                \
        return NULL;                                                                     \
    }
#include "http/mhd.def"
#undef MHD
    loaded = true;
    return &table;
}
