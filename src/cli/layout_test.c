// The layout: layers below what they depend on, nothing overlaps, long edges bend, large graphs in little time.
#include "cli/layout.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "support/expect.h"

static int by_place(const void* a, const void* b) {
  const layout_point *p = a, *q = b;
  if (p->y != q->y) return p->y < q->y ? -1 : 1;
  return (p->x > q->x) - (p->x < q->x);
}

// Items of one layer stand at least 1 apart; edges of graphs without circles go down; bends lie in the layers between.
static void check(size_t items, const layout_edge* edges, size_t count, const layout* made) {
  for (size_t i = 0; i < count; ++i) {
    const layout_edge* e = &edges[i];
    const double from = made->items[e->from].y, to = made->items[e->to].y;
    assert_true(from < to);
    if (e->bend_count) assert_int_equal(e->bend_count, (size_t)(to - from) - 1);
    for (size_t k = 0; k < e->bend_count; ++k)
      assert_true(made->bends[e->bend + k].y == from + 1 + (double)k);
  }
  layout_point* sorted = malloc((items + 1) * sizeof(*sorted));
  assert_non_null(sorted);
  memcpy(sorted, made->items, items * sizeof(*sorted));
  qsort(sorted, items, sizeof(*sorted), by_place);
  for (size_t i = 0; i < items; ++i) {
    assert_true(sorted[i].x >= 0 && sorted[i].x <= made->width + 1e-9);
    assert_true(sorted[i].y >= 0 && sorted[i].y <= made->height);
    if (i && sorted[i].y == sorted[i - 1].y) assert_true(sorted[i].x - sorted[i - 1].x > 1 - 1e-6);
  }
  free(sorted);
}

static void test_a_residual_block(void** state) {
  (void)state;
  layout_edge edges[] = {{0, 1, 0, 0}, {1, 2, 0, 0}, {2, 3, 0, 0}, {0, 3, 0, 0}};
  layout made;
  assert_true(layout_make(4, edges, 4, &made));
  check(4, edges, 4, &made);
  assert_int_equal(edges[3].bend_count, 2);
  assert_true(fabs(made.items[1].x - made.items[2].x) < 0.01);  // chains are straight
  assert_true(fabs(made.bends[0].x - made.bends[1].x) < 0.01);  // and long edges
  assert_true(made.height == 3);
  layout_free(&made);
}

static void test_nothing_and_odd_graphs(void** state) {
  (void)state;
  layout made;
  assert_true(layout_make(0, NULL, 0, &made));
  layout_free(&made);
  assert_true(layout_make(3, NULL, 0, &made));  // no edges
  check(3, NULL, 0, &made);
  layout_free(&made);
  layout_edge circle[] = {{0, 1, 0, 0}, {1, 2, 0, 0}, {2, 1, 0, 0},
                          {2, 2, 0, 0}, {2, 3, 0, 0}, {0, 1, 0, 0}};
  assert_true(layout_make(4, circle, 6, &made));
  layout_free(&made);
  layout_edge twice[] = {{0, 1, 0, 0}, {0, 1, 0, 0}};
  assert_true(layout_make(2, twice, 2, &made));
  check(2, twice, 2, &made);
  layout_free(&made);
}

static void test_an_input_stands_where_it_is_read(void** state) {
  (void)state;
  layout_edge edges[] = {{0, 1, 0, 0}, {1, 2, 0, 0}, {2, 3, 0, 0}, {4, 3, 0, 0}};
  layout made;
  assert_true(layout_make(5, edges, 4, &made));
  check(5, edges, 4, &made);
  assert_true(made.items[4].y == 2);
  layout_free(&made);
}

static void test_large_graphs(void** state) {
  (void)state;
  enum { ITEMS = 20000, EDGES = 60000 };
  layout_edge* edges = calloc(EDGES, sizeof(*edges));
  assert_non_null(edges);
  unsigned random = 1;
  for (size_t i = 0; i < EDGES; ++i) {
    random = random * 1664525u + 1013904223u;
    const size_t to = 1 + i % (ITEMS - 1), back = 1 + (random >> 8) % (i % 50 ? 8 : ITEMS);
    edges[i] = (layout_edge){.from = back < to ? to - back : 0, .to = to};
  }
  const clock_t start = clock();
  layout made;
  assert_true(layout_make(ITEMS, edges, EDGES, &made));
  assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 20);
  check(ITEMS, edges, EDGES, &made);
  assert_true(made.bend_count < 400000);
  layout_free(&made);
  free(edges);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_residual_block),
      cmocka_unit_test(test_nothing_and_odd_graphs),
      cmocka_unit_test(test_an_input_stands_where_it_is_read),
      cmocka_unit_test(test_large_graphs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
