/* One HTTP port for those who look at the broker: GET and HEAD of a few pages, nothing else. It has
   a thread of its own and owns its sockets; the HTTP itself is libmicrohttpd's, loaded when the
   first connection comes.

   A page is answered like this:
     1. the HTTP thread parses the request, finds the page, and calls params.asked();
     2. the loop, woken by that, takes the question (http_take), collects facts at its own pace and
        gives them back (http_give); facts are memory that nobody else looks at;
     3. the HTTP thread makes a text of them (params.render) and sends it. All who asked before the
        question was taken get the same text.
   The HTTP thread never sees anything of the broker but these facts, and the loop never waits.

   Limits: 64 connections, 16 KiB for a request's line and headers, 10 seconds for a request to
   come, 15 for facts, 60 for an answer to leave, 64 MiB of answers; one request per connection. */
#pragma once

#include "base/base.h"

struct http;

struct http_page {
    const char *path;
    const char *title; /* in the list that "/" shows; NULL: an alias, not listed */
    u32 question;      /* what the loop is asked */
};

struct http_text {
    char *bytes; /* from mem_alloc; given away */
    size_t len;
    u32 status;
    const char *type; /* NULL: text/plain; charset=utf-8 */
};

/* Why there are no facts. */
enum http_silence {
    HTTP_STARTING, /* the loop does not run yet (http_open) */
    HTTP_NO_ANSWER /* it did not answer in time */
};

enum { HTTP_QUESTIONS_MAX = 8 };

struct http_params {
    const char *host; /* a name, a numeric address, v6 without brackets; empty: every interface */
    u16 port;         /* 0: a free one */
    bool load_now;    /* the library must be there, or http_create fails */
    u32 read_ms;      /* for a request to come; 0: 10 s */
    u32 ask_ms;       /* for facts; 0: 15 s */
    u32 send_ms;      /* for an answer to leave; 0: 60 s */
    const struct http_page *pages;
    u32 page_count;
    void *user;
    /* On the HTTP thread. */
    void (*asked)(void *user); /* there is something for http_take, or http_trouble */
    void (*render)(void *user, const struct http_page *page, bool verbose, const void *facts,
                   enum http_silence silence, struct http_text *out); /* facts NULL: silence */
    void (*forget)(void *facts); /* on the thread that calls http_destroy too */
};

/* Listens and starts the thread. On failure reason has one sentence: ERR_ADDRESS (taken, or not of
   this machine), ERR_UNSUPPORTED (the library), ERR_IO (what the system said). */
MUST_USE err_t http_create(const struct http_params *params, char *reason, size_t reason_bytes,
                           struct http **out);
void http_destroy(struct http *h); /* ends the thread; connections are closed */

struct http_address {
    char host[64]; /* numeric */
    u16 port;
};
void http_address(const struct http *h, struct http_address *out);

/* The loop runs: from now on questions are asked. */
void http_open(struct http *h);
/* On the loop. The next question nobody has taken; -1: none. Each is to be given facts, once. */
i32 http_take(struct http *h);
void http_give(struct http *h, u32 question, void *facts);
/* On the loop. Something to be told to the operator, once each: the library is not there. */
bool http_trouble(struct http *h, char *reason, size_t reason_bytes);
