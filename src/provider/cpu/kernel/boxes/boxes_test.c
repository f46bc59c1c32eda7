// Every variant of boxes against a plain loop, on boxes that touch, contain each other, are empty or are none.
#include "provider/cpu/kernel/boxes/boxes.h"

#include "provider/cpu/kernel/kernel_test.h"

static kp_box make_box(float left, float top, float width, float height) {
  return (kp_box){left, top, left + width, top + height, width * height};
}

static bool reference(const kp_box* a, const kp_box* b, float limit) {
  const float w = fminf(a->right, b->right) - fmaxf(a->left, b->left),
              h = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
  const float shared = w * h, all = a->area + b->area - shared;
  return w > 0 && h > 0 && shared > 0 && a->area > 0 && b->area > 0 && all > 0 &&
         shared / all > limit;
}

static void put(float* columns, size_t stride, size_t i, const kp_box* box) {
  const float sides[KP_BOX_COLUMNS] = {box->left, box->top, box->right, box->bottom, box->area};
  for (size_t c = 0; c < KP_BOX_COLUMNS; ++c) columns[c * stride + i] = sides[c];
}

static kp_box random_box(void) {
  return make_box(kt_uniform() * 3, kt_uniform() * 3, kt_uniform() + 0.9f, kt_uniform() + 0.9f);
}

static void test_random_boxes(void** state) {
  (void)state;
  static const float kLimits[] = {0, 0.1f, 0.5f, 1};
  size_t found = 0, missed = 0;
  KT_FOR_EACH_VARIANT(boxes, ops) {
    for (size_t count = 0; count < 70; ++count) {
      const size_t stride = count + count % 3;
      float* columns = kt_input(KP_BOX_COLUMNS * stride);
      const kp_box box = random_box();
      const float limit = kLimits[count % 4];
      bool expected = false;
      for (size_t i = 0; i < count; ++i) {
        const kp_box other = random_box();
        put(columns, stride, i, &other);
        expected |= reference(&box, &other, limit);
      }
      assert_int_equal(ops->covered(columns, stride, count, &box, limit), expected);
      ++*(expected ? &found : &missed);
      free(columns);
    }
  }
  assert_true(found > 20 && missed > 20);
}

// One box among others far away, at each place of a vector.
static void test_edges(void** state) {
  (void)state;
  const kp_box box = make_box(0, 0, 2, 2), far_away = make_box(50, 50, 1, 1);
  const struct {
    kp_box other;
    float limit;
    bool covered;
  } cases[] = {
      {make_box(0, 0, 2, 2), 0.99f, true},
      {make_box(0, 0, 2, 2), 1, false},
      {make_box(2, 0, 2, 2), 0, false},
      {make_box(1, 0, 2, 2), 0.34f, false},
      {make_box(1, 0, 2, 2), 0.33f, true},
      {make_box(0.5f, 0.5f, 1, 1), 0.24f, true},
      {make_box(0.5f, 0.5f, 0, 0), 0, false},
      {make_box(NAN, 0, 2, 2), 0, false},
      {make_box(-1e30f, -1e30f, 3e30f, 3e30f), 0, false},
  };
  KT_FOR_EACH_VARIANT(boxes, ops) {
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
      for (size_t at = 0; at < 17; ++at) {
        float columns[KP_BOX_COLUMNS * 17];
        for (size_t k = 0; k < 17; ++k) put(columns, 17, k, k == at ? &cases[i].other : &far_away);
        assert_int_equal(ops->covered(columns, 17, 17, &box, cases[i].limit), cases[i].covered);
        assert_false(ops->covered(columns, 17, at, &box, cases[i].limit));
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_boxes),
                                     cmocka_unit_test(test_edges)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
