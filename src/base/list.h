/* Intrusive doubly linked list with a sentinel. A node that is in no list has next == NULL. */
#pragma once

#include "assert.h"
#include "types.h"

struct list_node {
    struct list_node *next;
    struct list_node *prev;
};
struct list {
    struct list_node head;
};

static inline void list_init(struct list *l)
{
    l->head.next = l->head.prev = &l->head;
}
static inline bool list_empty(const struct list *l)
{
    return l->head.next == &l->head;
}
static inline bool list_linked(const struct list_node *n)
{
    return n->next != NULL;
}
static inline void list_insert_between_(struct list_node *n, struct list_node *prev,
                                        struct list_node *next)
{
    assert(n->next == NULL);
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}
static inline void list_push_back(struct list *l, struct list_node *n)
{
    list_insert_between_(n, l->head.prev, &l->head);
}
static inline void list_push_front(struct list *l, struct list_node *n)
{
    list_insert_between_(n, &l->head, l->head.next);
}
static inline void list_remove(struct list_node *n)
{
    assert(n->next != NULL);
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}
static inline struct list_node *list_first(struct list *l)
{
    return list_empty(l) ? NULL : l->head.next;
}
static inline struct list_node *list_last(struct list *l)
{
    return list_empty(l) ? NULL : l->head.prev;
}
static inline struct list_node *list_pop_front(struct list *l)
{
    struct list_node *n = list_first(l);
    if (n != NULL) {
        list_remove(n);
    }
    return n;
}
/* Moves everything of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from)) {
        return;
    }
    struct list_node *first = from->head.next;
    struct list_node *last = from->head.prev;
    first->prev = to->head.prev;
    to->head.prev->next = first;
    last->next = &to->head;
    to->head.prev = last;
    list_init(from);
}
/* The body may remove `n` itself, nothing else. */
#define LIST_EACH(l, n)                                                               \
    for (struct list_node *n = (l)->head.next, *n##_next_ = n->next; n != &(l)->head; \
         n = n##_next_, n##_next_ = n->next)
