/* Proves the intrusive list against an array that does the same moves. */
#include "../unit.h"

struct item {
    u32 id;
    struct list_node node;
};

static void order_of_pushes(void **state)
{
    struct list l;
    list_init(&l);
    assert_true(list_empty(&l));
    assert_null(list_first(&l));
    assert_null(list_last(&l));
    assert_null(list_pop_front(&l));
    struct item a = {.id = 1}, b = {.id = 2}, c = {.id = 3};
    list_push_back(&l, &b.node);
    list_push_back(&l, &c.node);
    list_push_front(&l, &a.node);
    assert_true(list_linked(&b.node));
    assert_ptr_equal(list_last(&l), &c.node);
    list_remove(&b.node);
    assert_false(list_linked(&b.node));
    assert_ptr_equal(list_pop_front(&l), &a.node);
    assert_ptr_equal(list_pop_front(&l), &c.node);
    assert_true(list_empty(&l));
}

static void splice_appends_everything(void **state)
{
    struct list to, from;
    list_init(&to);
    list_init(&from);
    struct item items[4] = {{.id = 0}, {.id = 1}, {.id = 2}, {.id = 3}};
    list_splice(&to, &from);
    assert_true(list_empty(&to));
    list_push_back(&to, &items[0].node);
    list_push_back(&from, &items[1].node);
    list_push_back(&from, &items[2].node);
    list_splice(&to, &from);
    assert_true(list_empty(&from));
    list_push_back(&to, &items[3].node);
    u32 expected = 0;
    LIST_EACH (&to, n) {
        assert_int_equal(CONTAINER_OF(n, struct item, node)->id, expected);
        expected++;
    }
    assert_int_equal(expected, 4);
}

static void random_moves_agree_with_an_array(void **state)
{
    struct rng rng = unit_rng();
    enum { ITEMS = 20 };
    struct item items[ITEMS] = {{0}};
    u32 model[ITEMS];
    u32 count = 0;
    struct list l;
    list_init(&l);
    for (u32 i = 0; i < ITEMS; i++) {
        items[i].id = i;
    }
    for (u32 step = 0; step < 20000; step++) {
        u32 i = (u32)rng_below(&rng, ITEMS);
        if (list_linked(&items[i].node)) {
            u32 at = 0;
            while (model[at] != i) {
                at++;
            }
            memmove(&model[at], &model[at + 1], (count - at - 1) * sizeof(model[0]));
            count--;
            list_remove(&items[i].node);
        } else if (rng_chance(&rng, 1, 2)) {
            model[count] = i;
            count++;
            list_push_back(&l, &items[i].node);
        } else {
            memmove(&model[1], &model[0], count * sizeof(model[0]));
            model[0] = i;
            count++;
            list_push_front(&l, &items[i].node);
        }
        u32 at = 0;
        LIST_EACH (&l, n) {
            assert_int_equal(CONTAINER_OF(n, struct item, node)->id, model[at]);
            at++;
        }
        assert_int_equal(at, count);
    }
}

static void each_may_remove_its_node(void **state)
{
    struct list l;
    list_init(&l);
    struct item items[5] = {{0}};
    for (u32 i = 0; i < 5; i++) {
        list_push_back(&l, &items[i].node);
    }
    LIST_EACH (&l, n) {
        list_remove(n);
    }
    assert_true(list_empty(&l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_pushes),
        cmocka_unit_test(splice_appends_everything),
        cmocka_unit_test(random_moves_agree_with_an_array),
        cmocka_unit_test(each_may_remove_its_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
