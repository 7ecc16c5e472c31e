/* Proves the timer heap against a model that searches an array for its minimum: random inserts and
   removals from the middle, equal keys in the order they came, indexes always true. */
#include "../unit.h"

enum { NODES = 200 };

/* The smallest (key, seq) of what is linked, found the slow way. */
static struct heap_node *slow_min(struct heap_node *nodes)
{
    struct heap_node *min = NULL;
    for (u32 i = 0; i < NODES; i++) {
        struct heap_node *n = &nodes[i];
        if (heap_linked(n) &&
            (min == NULL || n->key < min->key || (n->key == min->key && n->seq < min->seq))) {
            min = n;
        }
    }
    return min;
}

static void random_moves_agree_with_a_search(void **state)
{
    struct rng rng = unit_rng();
    struct heap h;
    heap_init(&h);
    struct heap_node nodes[NODES] = {{0}};
    u32 count = 0;
    for (u32 step = 0; step < 50000; step++) {
        struct heap_node *n = &nodes[rng_below(&rng, NODES)];
        if (heap_linked(n)) {
            heap_remove(&h, n);
            count--;
        } else {
            heap_insert(&h, n, rng_below(&rng, 50)); /* few keys: many are equal */
            count++;
        }
        assert_int_equal(h.count, count);
        assert_ptr_equal(heap_min(&h), slow_min(nodes));
        for (u32 i = 1; i <= h.count; i++) {
            assert_int_equal(h.nodes[i]->index, i);
        }
    }
    while (heap_min(&h) != NULL) {
        heap_remove(&h, heap_min(&h));
    }
    heap_fini(&h);
}

static void equal_keys_leave_in_order(void **state)
{
    struct heap h;
    heap_init(&h);
    struct heap_node nodes[NODES] = {{0}};
    for (u32 i = 0; i < NODES; i++) {
        heap_insert(&h, &nodes[i], 7);
    }
    for (u32 i = 0; i < NODES; i++) {
        assert_ptr_equal(heap_min(&h), &nodes[i]);
        heap_remove(&h, &nodes[i]);
        assert_false(heap_linked(&nodes[i]));
    }
    assert_null(heap_min(&h));
    heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_moves_agree_with_a_search),
        cmocka_unit_test(equal_keys_leave_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
