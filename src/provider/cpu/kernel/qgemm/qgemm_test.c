// Every variant of the 8-bit matrix product against plain sums: exact for sums, the same roundings for what is made of them.
#include "provider/cpu/kernel/qgemm/qgemm.h"

#include "provider/cpu/kernel/kernel_test.h"

typedef struct fixture {
  kp_qgemm_shape shape;
  kp_qgemm_args args;
  uint8_t *a, *b, *za, *zb, *c;
  void* packed;
  int32_t* bias;
  float *scale, *row_scale, *bias_f;
  size_t c_size;
} fixture;

// |extreme|: only the ends of the range, where saturating instructions go wrong.
static uint8_t* bytes(size_t n, bool extreme) {
  uint8_t* p = malloc(n ? n : 1);
  assert_non_null(p);
  for (size_t i = 0; i < n; ++i)
    p[i] = (uint8_t)(extreme ? 0x7Fu + (uint32_t)kt_below(2) + 0x80u * (uint32_t)kt_below(2)
                             : kt_random());
  return p;
}

static void open_fixture(fixture* f, const kp_qgemm_ops* ops, kp_qgemm_shape s, bool many,
                         bool extreme) {
  memset(f, 0, sizeof(*f));
  f->shape = s;
  const bool transposed = s.b == KP_QGEMM_B_TRANSPOSED;
  f->a = bytes(s.m * s.k, extreme);
  f->b = bytes(s.k * s.n, extreme);
  f->za = bytes(s.m + 1, false);
  f->zb = bytes(s.n + 1, false);
  f->bias = (int32_t*)(void*)kt_input(s.n);
  for (size_t j = 0; j < s.n; ++j) f->bias[j] = (int32_t)kt_below(20000) - 10000;
  f->scale = kt_input(s.n + 1);
  f->row_scale = kt_input(s.m);
  f->bias_f = kt_input(s.n);
  kp_qgemm_args* g = &f->args;
  *g = (kp_qgemm_args){.a = f->a,
                       .a_stride = s.k,
                       .a_zero = {f->za, many},
                       .b = f->b,
                       .b_stride = transposed ? s.k : s.n,
                       .b_zero = {f->zb, many},
                       .c_stride = s.n + 3};
  if (s.b == KP_QGEMM_B_PACKED) {
    const size_t size = kp_qgemm_packed_b_size(ops, s.k, s.n);
    f->packed = kt_scratch(size);
    kp_qgemm_pack_b(ops, s.k, s.n, f->b, s.n, false, s.b_signed, f->packed);
    g->b = f->packed;
  }
  f->c_size = s.m * g->c_stride * 4;
  f->c = malloc(f->c_size + 1);
  memset(f->c, 0xA5, f->c_size);
  g->c = f->c;
}

static int32_t at(const uint8_t* p, bool is_signed, size_t i) {
  return is_signed ? (int8_t)p[i] : p[i];
}

static int32_t reference(const fixture* f, size_t r, size_t c) {
  const kp_qgemm_shape* s = &f->shape;
  const int32_t za = at(f->za, s->a_signed, f->args.a_zero.many ? r : 0);
  const int32_t zb = at(f->zb, s->b_signed, f->args.b_zero.many ? c : 0);
  int64_t sum = f->args.epilogue.bias ? f->bias[c] : 0;
  for (size_t k = 0; k < s->k; ++k) {
    const size_t b = s->b == KP_QGEMM_B_TRANSPOSED ? c * s->k + k : k * s->n + c;
    sum += (at(f->a, s->a_signed, r * s->k + k) - za) * (at(f->b, s->b_signed, b) - zb);
  }
  return (int32_t)sum;
}

static void run_all(const kp_qgemm_ops* ops, const fixture* f, size_t workers) {
  kp_qgemm_plan plan;
  kp_qgemm_plan_init(ops, &f->shape, workers, &plan);
  void* scratch = kt_scratch(plan.scratch_bytes);
  for (size_t i = plan.task_count; i-- > 0;) kp_qgemm_run_task(&plan, &f->args, i, scratch);
  free(scratch);
}

// What |sum| becomes.
static void check_at(const fixture* f, size_t r, size_t c) {
  const kp_qgemm_epilogue* e = &f->args.epilogue;
  const size_t i = r * f->args.c_stride + c;
  const int32_t sum = reference(f, r, c);
  if (e->kind == KP_QGEMM_I32) {
    assert_int_equal(((int32_t*)(void*)f->c)[i], sum);
    return;
  }
  float scale = e->scale[e->scale_n ? c : 0];
  if (e->row_scale) scale *= e->row_scale[r];
  const float real = (float)sum * scale + (e->bias_f ? e->bias_f[c] : 0);
  if (e->kind == KP_QGEMM_F32) {
    KT_NEAR(((float*)(void*)f->c)[i], real, fabs(real) * 1e-6 + 1e-6);
    return;
  }
  const float low = (float)(e->low - e->zero), high = (float)(e->high - e->zero);
  const int32_t want = (int32_t)nearbyintf(fminf(fmaxf(real, low), high)) + e->zero;
  assert_int_equal(at(f->c, e->kind == KP_QGEMM_I8, i), want);
}

static void check_and_close(fixture* f) {
  const kp_qgemm_shape* s = &f->shape;
  const size_t width = f->args.epilogue.kind <= KP_QGEMM_F32 ? 4 : 1;
  for (size_t r = 0; r < s->m; ++r) {
    for (size_t c = 0; c < s->n; ++c) check_at(f, r, c);
    for (size_t i = s->n * width; i < f->args.c_stride * width; ++i)
      assert_int_equal(f->c[r * f->args.c_stride * width + i], 0xA5);
  }
  free(f->a), free(f->b), free(f->za), free(f->zb), free(f->c), free(f->packed);
  free(f->bias), free(f->scale), free(f->row_scale), free(f->bias_f);
}

static void test_sizes_signs_and_forms(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qgemm, ops) {
    const size_t rows[] = {1, 2, ops->mr - 1, ops->mr, ops->mr + 1, 3 * ops->mr + 1};
    const size_t cols[] = {1, ops->nr - 1, ops->nr, ops->nr + 1, 3 * ops->nr + 5};
    const size_t depths[] = {1, 2, 3, 4, 5, 63};
    for (size_t i = 0; i < 6; ++i)
      for (size_t j = 0; j < 5; ++j)
        for (int form = 0; form < 24; ++form) {
          fixture f;
          const kp_qgemm_shape s = {
              1, rows[i], cols[j], depths[(i + j) % 6], (kp_qgemm_b)(form / 8), form & 1, form & 2};
          open_fixture(&f, ops, s, form & 4, false);
          run_all(ops, &f, 1);
          check_and_close(&f);
        }
  }
}

static void test_extremes_are_exact(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qgemm, ops) {
    for (int form = 0; form < 8; ++form) {
      fixture f;
      const kp_qgemm_shape s = {1, 13, 37, 1500, KP_QGEMM_B_PACKED, form & 1, form & 2};
      open_fixture(&f, ops, s, false, true);
      if (form & 4) f.args.a_zero.data = f.args.b_zero.data = NULL, f.za[0] = f.zb[0] = 0;
      run_all(ops, &f, 1);
      check_and_close(&f);
    }
  }
}

static void test_many_tasks(void** state) {
  (void)state;
  static const size_t shapes[][3] = {{197, 33, 385}, {30, 300, 129}, {1, 517, 800}, {500, 50, 20}};
  KT_FOR_EACH_VARIANT(qgemm, ops) {
    for (size_t i = 0; i < 4; ++i)
      for (int form = 0; form < 12; ++form) {
        fixture f;
        const kp_qgemm_shape s = {
            1, shapes[i][0], shapes[i][1], shapes[i][2], (kp_qgemm_b)(form / 4), true, form & 1};
        open_fixture(&f, ops, s, form & 2, false);
        f.args.epilogue.bias = f.bias;
        run_all(ops, &f, 5);
        check_and_close(&f);
      }
  }
}

static void test_epilogues(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qgemm, ops) {
    for (int form = 0; form < 48; ++form) {
      fixture f;
      const kp_qgemm_shape s = {1,   2 * ops->mr + 1, 2 * ops->nr + 3, 50, KP_QGEMM_B_PACKED, true,
                                true};
      open_fixture(&f, ops, s, false, false);
      kp_qgemm_epilogue* e = &f.args.epilogue;
      e->kind = (kp_qgemm_kind)(1 + form % 3);
      e->scale = f.scale;
      e->scale_n = form / 3 & 1;
      for (size_t j = 0; j <= s.n; ++j) f.scale[j] *= 0.001f;
      if (form / 6 & 1) e->row_scale = f.row_scale;
      if (form / 12 & 1) e->bias = f.bias;
      if (form >= 24) e->bias_f = f.bias_f;
      e->zero = e->kind == KP_QGEMM_U8 ? 131 : -7;
      e->low = form >= 24 ? e->zero : KP_QGEMM_LOW(e->kind);
      e->high = KP_QGEMM_HIGH(e->kind);
      run_all(ops, &f, 2);
      check_and_close(&f);
    }
  }
}

// A weight around the middle of its type, |spread| of them all near it: sums of many draws, as trained weights are spread.
static uint8_t weight(bool is_signed, size_t spread) {
  int32_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += (int32_t)kt_below(2 * spread + 1) - (int32_t)spread;
  if (kt_below(40) == 0) sum = kt_below(2) ? 127 : -128;
  sum = sum > 127 ? 127 : sum < -128 ? -128 : sum;
  return (uint8_t)(sum + (is_signed ? 0 : 128));
}

// Weights as models have them, which variants may pack in forms of their own, against the ends of A's range.
static void test_spread_weights(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qgemm, ops) {
    for (int form = 0; form < 32; ++form) {
      const size_t spread = 10 + (size_t)form * 2;
      const bool is_signed = form & 1;
      fixture f;
      const kp_qgemm_shape s = {.batch = 1,
                                .m = 1 + kt_below(30),
                                .n = 1 + kt_below(60),
                                .k = 1 + kt_below(form < 8 ? 12 : 700),
                                .b = KP_QGEMM_B_PLAIN,
                                .a_signed = form & 4,
                                .b_signed = is_signed};
      open_fixture(&f, ops, s, form & 8, form & 2);
      for (size_t i = 0; i < s.k * s.n; ++i) f.b[i] = weight(is_signed, spread);
      f.shape.b = KP_QGEMM_B_PACKED;
      f.packed = kt_scratch(kp_qgemm_packed_b_size(ops, s.k, s.n));
      kp_qgemm_pack_b(ops, s.k, s.n, f.b, s.n, false, is_signed, f.packed);
      f.args.b = f.packed;
      run_all(ops, &f, 1);
      f.shape.b = KP_QGEMM_B_PLAIN;
      check_and_close(&f);
    }
  }
}

// The choice for a constant is right whatever the constant holds.
static void test_choice_for_constants(void** state) {
  (void)state;
  uint8_t small[300], large[300];
  for (size_t i = 0; i < 300; ++i) small[i] = (uint8_t)(i % 60), large[i] = (uint8_t)(i % 2 + 127);
  const kp_qgemm_ops *usual = kp_qgemm_select(kp_cpu_features()),
                     *for_small = kp_qgemm_select_for(kp_cpu_features(), 300, small, true);
  assert_ptr_equal(kp_qgemm_select_for(kp_cpu_features(), 300, large, true), usual);
  assert_non_null(for_small);
  if (strcmp(usual->isa, "avx2") == 0) assert_string_equal(for_small->isa, "avx2_narrow");
}

static void test_empty(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(qgemm, ops) {
    kp_qgemm_plan plan;
    kp_qgemm_plan_init(ops, &(kp_qgemm_shape){.batch = 1, .m = 0, .n = 5, .k = 5}, 2, &plan);
    assert_int_equal(plan.task_count, 0);
    fixture f;
    open_fixture(&f, ops, (kp_qgemm_shape){1, 7, ops->nr + 1, 0, KP_QGEMM_B_PACKED, true, false},
                 false, false);
    f.args.epilogue.bias = f.bias;
    run_all(ops, &f, 2);
    check_and_close(&f);
    assert_int_equal(kp_qgemm_packed_b_size(ops, SIZE_MAX / 4, 100), SIZE_MAX);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes_signs_and_forms),
      cmocka_unit_test(test_extremes_are_exact),
      cmocka_unit_test(test_many_tasks),
      cmocka_unit_test(test_epilogues),
      cmocka_unit_test(test_spread_weights),
      cmocka_unit_test(test_choice_for_constants),
      cmocka_unit_test(test_empty),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
