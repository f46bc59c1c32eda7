// Every variant of fused attention against double precision.
#include "provider/cpu/kernel/attention/attention.h"

#include "provider/cpu/kernel/kernel_test.h"

typedef struct fixture {
  kp_attention_shape shape;
  kp_attention_args args;
  float *q, *k, *v, *out, *mask;
} fixture;

// [b][s][h][d] for queries and the output, [b][h][s][d] for keys and values: both layouts at once.
static void fixture_open(fixture* f, kp_attention_shape s, bool masked) {
  memset(f, 0, sizeof(*f));
  f->shape = s;
  kp_attention_args* a = &f->args;
  a->q_head = s.head_dim;
  a->q_row = s.heads * s.head_dim;
  a->q_batch = s.q_len * a->q_row;
  a->k_row = s.head_dim;
  a->k_head = s.kv_len * s.head_dim;
  a->k_batch = s.kv_heads * a->k_head;
  a->v_row = s.v_dim;
  a->v_head = s.kv_len * s.v_dim;
  a->v_batch = s.kv_heads * a->v_head;
  a->out_head = s.v_dim;
  a->out_row = s.heads * s.v_dim;
  a->out_batch = s.q_len * a->out_row;
  a->scale = 1.0f / sqrtf((float)s.head_dim);
  a->q = f->q = kt_input(s.batch * a->q_batch);
  a->k = f->k = kt_input(s.batch * a->k_batch);
  a->v = f->v = kt_input(s.batch * a->v_batch);
  for (size_t i = 0; i < s.batch * a->q_batch; ++i) f->q[i] *= 3.0f;
  a->out = f->out = kt_output(s.batch * a->out_batch);
  if (!masked) return;
  a->mask_row = s.kv_len;
  a->mask_batch = s.q_len * s.kv_len;
  a->mask = f->mask = kt_input(s.batch * a->mask_batch);
  // Some keys hidden, never the first: a query must see one.
  for (size_t i = 0; i < s.batch * a->mask_batch; ++i) {
    if (i % s.kv_len != 0 && kt_below(3) == 0) f->mask[i] = -INFINITY;
  }
}

static void reference(const fixture* f, size_t b, size_t h, size_t s, double* out) {
  const kp_attention_args* a = &f->args;
  const size_t kv = h / (f->shape.heads / f->shape.kv_heads);
  double* scores = malloc((f->shape.kv_len + 1) * sizeof(double));
  double max = -INFINITY, sum = 0;
  for (size_t t = 0; t < f->shape.kv_len; ++t) {
    double dot = 0;
    for (size_t i = 0; i < f->shape.head_dim; ++i) {
      dot += (double)f->q[b * a->q_batch + h * a->q_head + s * a->q_row + i] *
             f->k[b * a->k_batch + kv * a->k_head + t * a->k_row + i];
    }
    dot *= a->scale;
    if (a->softcap > 0) dot = a->softcap * tanh(dot / a->softcap);
    if (a->mask) dot += a->mask[b * a->mask_batch + s * a->mask_row + t];
    if (a->causal && t > s + a->causal_offset) dot = -INFINITY;
    scores[t] = dot;
    max = fmax(max, dot);
  }
  for (size_t i = 0; i < f->shape.v_dim; ++i) out[i] = 0;
  for (size_t t = 0; t < f->shape.kv_len; ++t) {
    const double weight = exp(scores[t] - max);
    sum += weight;
    for (size_t i = 0; i < f->shape.v_dim; ++i) {
      out[i] += weight * f->v[b * a->v_batch + kv * a->v_head + t * a->v_row + i];
    }
  }
  for (size_t i = 0; i < f->shape.v_dim; ++i) out[i] /= sum;
  free(scores);
}

// Scores up to 3 sqrt(d) carry roundings of about that many half ulp, which exp turns into relative errors of the weights; the
// weights add up to one and |V| <= 1.
static void run_and_check(fixture* f, const kp_attention_ops* ops, size_t workers) {
  const kp_attention_shape* s = &f->shape;
  kp_attention_plan plan;
  kp_attention_plan_init(ops, s, workers, &plan);
  void* scratch = kt_scratch(plan.scratch_bytes);
  for (size_t i = plan.task_count; i-- > 0;) kp_attention_run_task(&plan, &f->args, i, scratch);
  free(scratch);
  double want[256];
  for (size_t b = 0; b < s->batch; ++b) {
    for (size_t h = 0; h < s->heads; ++h) {
      for (size_t q = 0; q < s->q_len; ++q) {
        reference(f, b, h, q, want);
        const float* got =
            f->out + b * f->args.out_batch + h * f->args.out_head + q * f->args.out_row;
        for (size_t i = 0; i < s->v_dim; ++i) KT_NEAR(got[i], want[i], 4e-6);
      }
    }
  }
  kt_check_guards(f->out, s->batch * f->args.out_batch, 0, 0, 0);
  free(f->q);
  free(f->k);
  free(f->v);
  free(f->mask);
}

static void test_shapes(void** state) {
  (void)state;
  static const kp_attention_shape shapes[] = {
      {1, 1, 1, 1, 1, 1, 1},       {2, 3, 3, 5, 7, 8, 8},     {1, 4, 2, 13, 13, 16, 24},
      {1, 2, 1, 1, 300, 64, 64},   {1, 2, 2, 3, 33, 17, 9},   {1, 2, 2, 40, 600, 32, 33},
      {1, 1, 1, 200, 129, 64, 64}, {2, 2, 1, 4, 257, 40, 70},
  };
  KT_FOR_EACH_VARIANT(attention, ops) {
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); ++i) {
      for (int form = 0; form < 8; ++form) {
        fixture f;
        fixture_open(&f, shapes[i], form & 1);
        f.args.causal = form & 2;
        f.args.causal_offset =
            shapes[i].kv_len > shapes[i].q_len ? shapes[i].kv_len - shapes[i].q_len : 0;
        f.args.softcap = form & 4 ? 5.0f : 0.0f;
        run_and_check(&f, ops, (size_t)form + 1);
      }
    }
  }
}

static void test_blocks_hidden_at_first(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(attention, ops) {
    for (size_t q = 1; q < 20; q += 9) {
      fixture f;
      fixture_open(&f, (kp_attention_shape){1, 1, 1, q, 700, 8, 8}, true);
      // All of the first block of keys, and of the second, is hidden.
      for (size_t i = 0; i < q * 700; ++i) f.mask[i] = i % 700 < 600 ? -INFINITY : 0.5f;
      run_and_check(&f, ops, 1);
    }
  }
}

static void test_all_hidden_is_nan(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(attention, ops) {
    fixture f;
    fixture_open(&f, (kp_attention_shape){1, 1, 1, 6, 20, 8, 8}, true);
    for (size_t i = 0; i < 20; ++i) f.mask[20 + i] = -INFINITY;  // query 1
    run_and_check(&f, ops, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),
                                     cmocka_unit_test(test_blocks_hidden_at_first),
                                     cmocka_unit_test(test_all_hidden_is_nan)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
