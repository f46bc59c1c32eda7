// Every variant of the f32 matrix product against double precision: sizes around the blocks, strides, ways B comes, batches,
// epilogues, tasks for many workers.
#include "provider/cpu/kernel/gemm/gemm.h"

#include "provider/cpu/kernel/kernel_test.h"

// A product, its reference and its bound.
typedef struct fixture {
  kp_gemm_shape shape;
  kp_gemm_args args;
  float *a, *b, *packed, *c, *bias_n, *bias_m, *residual;
} fixture;

static void fixture_open(fixture* f, const kp_gemm_ops* ops, kp_gemm_shape s, size_t extra) {
  memset(f, 0, sizeof(*f));
  f->shape = s;
  kp_gemm_args* g = &f->args;
  g->a_stride = s.k + extra;
  g->b_stride = (s.b == KP_GEMM_B_TRANSPOSED ? s.k : s.n) + extra;
  g->c_stride = s.n + extra;
  g->a_batch_stride = s.m * g->a_stride;
  g->b_batch_stride = (s.b == KP_GEMM_B_TRANSPOSED ? s.n : s.k) * g->b_stride;
  g->c_batch_stride = s.m * g->c_stride;
  g->residual_batch_stride = g->c_batch_stride;
  // Exact ends: the last row has no gap behind it.
  f->a = kt_input(s.batch * g->a_batch_stride - extra);
  f->b = kt_input(s.batch * g->b_batch_stride - extra);
  f->residual = kt_input(s.batch * g->c_batch_stride);
  f->bias_n = kt_input(s.n);
  f->bias_m = kt_input(s.m);
  f->c = kt_output(s.batch * g->c_batch_stride);
  g->a = f->a;
  g->b = f->b;
  g->c = f->c;
  g->epilogue = (kp_epilogue)KP_EPILOGUE_NONE;
  if (s.b == KP_GEMM_B_PACKED) {
    assert_int_equal(s.batch, 1);
    f->packed = kt_output(kp_gemm_packed_b_size(ops, s.k, s.n));
    kp_gemm_pack_b(ops, s.k, 0, s.n, f->b, g->b_stride, false, f->packed);
    g->b = f->packed;
  }
}

static double reference(const fixture* f, size_t i, size_t r, size_t c, double* out_magnitude) {
  const kp_gemm_args* g = &f->args;
  const kp_epilogue* e = &g->epilogue;
  const float* a = f->a + i * g->a_batch_stride + r * g->a_stride;
  const float* b = f->b + i * g->b_batch_stride;
  double sum = 0, magnitude = 0;
  for (size_t k = 0; k < f->shape.k; ++k) {
    const double bv =
        f->shape.b == KP_GEMM_B_TRANSPOSED ? b[c * g->b_stride + k] : b[k * g->b_stride + c];
    sum += a[k] * bv;
    magnitude += fabs(a[k] * bv);
  }
  sum *= e->alpha;
  magnitude *= fabs(e->alpha);
  if (e->bias_n) sum += e->bias_n[c];
  if (e->bias_m) sum += e->bias_m[r];
  if (e->residual)
    sum += (double)e->beta * f->residual[i * g->residual_batch_stride + r * e->residual_stride + c];
  *out_magnitude = magnitude + 4;
  return kt_act(&e->act, sum);
}

// The bound: a chain of k fused multiply-adds and a few epilogue roundings, each half an ulp of at most |magnitude|, and for
// activations (slope up to 1.2) a few ulp of their own.
static void fixture_check_and_close(fixture* f) {
  const kp_gemm_args* g = &f->args;
  const kp_gemm_shape* s = &f->shape;
  for (size_t i = 0; i < s->batch; ++i) {
    for (size_t r = 0; r < s->m; ++r) {
      for (size_t c = 0; c < s->n; ++c) {
        double magnitude;
        const double want = reference(f, i, r, c, &magnitude);
        const double bound = (sqrt((double)s->k) * 2 + 16) * (FLT_EPSILON / 2) * magnitude;
        KT_NEAR(f->c[i * g->c_batch_stride + r * g->c_stride + c], want, bound);
      }
    }
  }
  kt_check_guards(f->c, s->batch * g->c_batch_stride, s->batch * s->m, s->n, g->c_stride);
  if (f->packed) free(f->packed - KT_GUARD);
  free(f->a);
  free(f->b);
  free(f->bias_n);
  free(f->bias_m);
  free(f->residual);
}

static void run_all(const kp_gemm_ops* ops, const fixture* f, size_t workers) {
  kp_gemm_plan plan;
  kp_gemm_plan_init(ops, &f->shape, workers, &plan);
  void* scratch = kt_scratch(plan.scratch_bytes);
  // Backwards: no task may lean on an earlier one.
  for (size_t i = plan.task_count; i-- > 0;) kp_gemm_run_task(&plan, &f->args, i, scratch);
  free(scratch);
}

static void test_sizes_around_the_blocks(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(gemm, ops) {
    const size_t mr = ops->mr, nr = ops->nr;
    const size_t rows[] = {1, 2, 3, mr - 1, mr, mr + 1, 3 * mr + 1, 2 * mr + 3};
    const size_t cols[] = {1, nr / 2, nr - 1, nr, nr + 1, 3 * nr + 1, 4 * nr, 5 * nr + nr / 2};
    const size_t depths[] = {1, 2, 7, 64};
    for (size_t i = 0; i < 8; ++i) {
      for (size_t j = 0; j < 8; ++j) {
        for (int b = KP_GEMM_B_PACKED; b <= KP_GEMM_B_TRANSPOSED; ++b) {
          fixture f;
          const kp_gemm_shape s = {1, rows[i] ? rows[i] : 1, cols[j] ? cols[j] : 1,
                                   depths[(i + j) % 4], (kp_gemm_b)b};
          fixture_open(&f, ops, s, (i + j) % 2 * 3);
          run_all(ops, &f, 1);
          fixture_check_and_close(&f);
        }
      }
    }
  }
}

static void test_deep_and_wide_in_many_tasks(void** state) {
  (void)state;
  static const size_t shapes[][3] = {{13, 40, 1500}, {197, 33, 385}, {30, 300, 129},
                                     {1, 517, 800},  {5, 67, 769},   {390, 50, 20}};
  KT_FOR_EACH_VARIANT(gemm, ops) {
    for (size_t i = 0; i < 6; ++i) {
      for (size_t workers = 1; workers <= 7; workers += 3) {
        for (int b = KP_GEMM_B_PACKED; b <= KP_GEMM_B_TRANSPOSED; ++b) {
          fixture f;
          const kp_gemm_shape s = {1, shapes[i][0], shapes[i][1], shapes[i][2], (kp_gemm_b)b};
          fixture_open(&f, ops, s, 5);
          f.args.epilogue.bias_n = f.bias_n;
          run_all(ops, &f, workers);
          fixture_check_and_close(&f);
        }
      }
    }
  }
}

static void test_epilogues(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(gemm, ops) {
    for (int kind = KP_ACT_NONE; kind <= KP_ACT_SOFTPLUS; ++kind) {
      for (int parts = 0; parts < 16; ++parts) {
        fixture f;
        const kp_gemm_shape s = {1, 2 * ops->mr + 1, 2 * ops->nr + 3, parts & 8 ? 900 : 5,
                                 KP_GEMM_B_PACKED};
        fixture_open(&f, ops, s, 1);
        kp_epilogue* e = &f.args.epilogue;
        e->act = (kp_act){(kp_act_kind)kind, kind == KP_ACT_CLIP ? -0.5f : 0.25f, 0.75f};
        if (parts & 1) e->bias_n = f.bias_n;
        if (parts & 2) e->bias_m = f.bias_m;
        if (parts & 4) {
          e->residual = f.residual;
          e->residual_stride = f.args.c_stride;
          e->beta = 0.5f;
          e->alpha = -1.25f;
        }
        run_all(ops, &f, 2);
        fixture_check_and_close(&f);
      }
    }
  }
}

static void test_residual_in_place(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(gemm, ops) {
    fixture f;
    const kp_gemm_shape s = {1, 40, 2 * ops->nr + 1, 1000, KP_GEMM_B_PACKED};
    fixture_open(&f, ops, s, 0);
    memcpy(f.c, f.residual, s.m * s.n * sizeof(float));
    f.args.epilogue.residual = f.c;
    f.args.epilogue.residual_stride = s.n;
    run_all(ops, &f, 3);
    fixture_check_and_close(&f);
  }
}

static void test_batches(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(gemm, ops) {
    for (int b = KP_GEMM_B_PLAIN; b <= KP_GEMM_B_TRANSPOSED; ++b) {
      for (size_t m = 1; m < 40; m += 19) {
        fixture f;
        const kp_gemm_shape s = {5, m, ops->nr + 7, 65, (kp_gemm_b)b};
        fixture_open(&f, ops, s, 2);
        run_all(ops, &f, 4);
        fixture_check_and_close(&f);
      }
    }
  }
}

static void test_empty_products(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(gemm, ops) {
    kp_gemm_plan plan;
    kp_gemm_plan_init(ops, &(kp_gemm_shape){1, 0, 5, 5, KP_GEMM_B_PACKED}, 2, &plan);
    assert_int_equal(plan.task_count, 0);
    fixture f;
    fixture_open(&f, ops, (kp_gemm_shape){1, 7, ops->nr + 1, 0, KP_GEMM_B_PACKED}, 0);
    f.args.epilogue.bias_n = f.bias_n;
    run_all(ops, &f, 2);
    fixture_check_and_close(&f);
  }
}

static void test_nan_passes_relu(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(gemm, ops) {
    fixture f;
    fixture_open(&f, ops, (kp_gemm_shape){1, 9, ops->nr + 1, 3, KP_GEMM_B_PACKED}, 0);
    f.a[4] = NAN;  // row 1
    f.args.epilogue.act.kind = KP_ACT_RELU;
    run_all(ops, &f, 1);
    assert_true(isnan(f.c[f.args.c_stride]));
    fixture_check_and_close(&f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes_around_the_blocks),
      cmocka_unit_test(test_deep_and_wide_in_many_tasks),
      cmocka_unit_test(test_epilogues),
      cmocka_unit_test(test_residual_in_place),
      cmocka_unit_test(test_batches),
      cmocka_unit_test(test_empty_products),
      cmocka_unit_test(test_nan_passes_relu),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
