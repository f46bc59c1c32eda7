// Every variant of fused attention against double precision.
#include "provider/cpu/kernel/attention/attention.h"

#include "base/small_float.h"
#include "provider/cpu/kernel/kernel_test.h"

typedef struct fixture {
  kp_attention_shape shape;
  kp_attention_args args;
  float *q, *k, *v, *out, *mask;  // as floats, whatever the tensors are made of
  uint8_t* hidden;                // the second mask
  void* halves[4];                // Q, K, V and the output in 16 bits
  float* sinks;
  kp_attention_span* spans;
} fixture;

// [b][s][h][d] for queries and the output, [b][h][s][d] for keys and values: both layouts at once.
static void fixture_open(fixture* f, kp_attention_shape s, bool masked) {
  memset(f, 0, sizeof(*f));
  f->shape = s;
  kp_attention_args* a = &f->args;
  a->q =
      (kp_attention_tensor){NULL, s.q_len * s.heads * s.head_dim, s.heads * s.head_dim, s.head_dim};
  a->k = (kp_attention_tensor){NULL, s.kv_heads * s.kv_len * s.head_dim, s.head_dim,
                               s.kv_len * s.head_dim};
  a->v = (kp_attention_tensor){NULL, s.kv_heads * s.kv_len * s.v_dim, s.v_dim, s.kv_len * s.v_dim};
  a->out = (kp_attention_tensor){NULL, s.q_len * s.heads * s.v_dim, s.heads * s.v_dim, s.v_dim};
  a->scale = 1.0f / sqrtf((float)s.head_dim);
  a->left = a->right = -1;
  a->span.keys = s.kv_len;
  a->q.data = f->q = kt_input(s.batch * a->q.batch);
  a->k.data = f->k = kt_input(s.batch * a->k.batch);
  a->v.data = f->v = kt_input(s.batch * a->v.batch);
  for (size_t i = 0; i < s.batch * a->q.batch; ++i) f->q[i] *= 3.0f;
  a->out.data = f->out = kt_output(s.batch * a->out.batch);
  if (!masked) return;
  kp_attention_mask* m = &a->masks[0];
  m->row = s.kv_len;
  m->batch = s.q_len * s.kv_len;
  m->data = f->mask = kt_input(s.batch * m->batch);
  // Some keys hidden, never the first: a query must see one.
  for (size_t i = 0; i < s.batch * m->batch; ++i) {
    if (i % s.kv_len != 0 && kt_below(3) == 0) f->mask[i] = -INFINITY;
  }
}

// A boolean mask a head besides.
static void fixture_hide(fixture* f) {
  const kp_attention_shape* s = &f->shape;
  kp_attention_mask* m = &f->args.masks[f->args.masks[0].data ? 1 : 0];
  *m =
      (kp_attention_mask){.boolean = true, .fill = kt_below(2) ? -INFINITY : -5, .head = s->kv_len};
  m->inverted = kt_below(2) != 0;
  m->data = f->hidden = malloc(s->heads * s->kv_len);
  for (size_t i = 0; i < s->heads * s->kv_len; ++i)
    f->hidden[i] = (i % s->kv_len == 0 || kt_below(4) != 0) != m->inverted;
}

static void fixture_close(fixture* f) {
  free(f->q);
  free(f->k);
  free(f->v);
  free(f->mask);
  free(f->hidden);
  free(f->sinks);
  free(f->spans);
  for (size_t i = 0; i < 4; ++i) free(f->halves[i]);
}

static double score_of(const fixture* f, size_t b, size_t h, size_t s, size_t t) {
  const kp_attention_args* a = &f->args;
  const size_t kv = h / (f->shape.heads / f->shape.kv_heads);
  const kp_attention_span span = a->spans ? a->spans[b] : a->span;
  const ptrdiff_t distance = (ptrdiff_t)t - (ptrdiff_t)s - span.offset;
  double dot = 0;
  for (size_t i = 0; i < f->shape.head_dim; ++i) {
    dot += (double)f->q[b * a->q.batch + h * a->q.head + s * a->q.row + i] *
           f->k[b * a->k.batch + kv * a->k.head + t * a->k.row + i];
  }
  dot *= a->scale;
  if (a->softcap > 0) dot = a->softcap * tanh(dot / a->softcap);
  for (size_t m = 0; m < KP_ATTENTION_MASKS && a->masks[m].data; ++m) {
    const kp_attention_mask* mask = &a->masks[m];
    const size_t at = b * mask->batch + h * mask->head + s * mask->row + t;
    if (!mask->boolean)
      dot += ((const float*)mask->data)[at];
    else if ((((const uint8_t*)mask->data)[at] != 0) == mask->inverted)
      dot = mask->fill;
  }
  const bool far = (a->right >= 0 && distance > a->right) || (a->left >= 0 && -distance > a->left);
  return far || t >= span.keys ? -INFINITY : dot;
}

static void reference(const fixture* f, size_t b, size_t h, size_t s, double* out) {
  const kp_attention_args* a = &f->args;
  const size_t kv = h / (f->shape.heads / f->shape.kv_heads);
  double* scores = malloc((f->shape.kv_len + 1) * sizeof(double));
  double max = a->sinks ? a->sinks[h] : -INFINITY, sum = 0;
  for (size_t t = 0; t < f->shape.kv_len; ++t) max = fmax(max, scores[t] = score_of(f, b, h, s, t));
  if (a->sinks) sum = exp(a->sinks[h] - max);
  for (size_t i = 0; i < f->shape.v_dim; ++i) out[i] = 0;
  for (size_t t = 0; t < f->shape.kv_len; ++t) {
    const double weight = max == -INFINITY ? 0 : exp(scores[t] - max);
    sum += weight;
    for (size_t i = 0; i < f->shape.v_dim; ++i) {
      out[i] += weight * f->v[b * a->v.batch + kv * a->v.head + t * a->v.row + i];
    }
  }
  for (size_t i = 0; i < f->shape.v_dim; ++i) out[i] /= a->zero_hidden && sum == 0 ? 1 : sum;
  free(scores);
}

static float output_at(const fixture* f, size_t at) {
  const uint16_t* halves = f->halves[3];
  if (f->shape.out_type == KP_ATTENTION_F32) return f->out[at];
  return f->shape.out_type == KP_ATTENTION_F16 ? kp_f16_to_f32(halves[at])
                                               : kp_bf16_to_f32(halves[at]);
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
  const double tolerance = s->out_type == KP_ATTENTION_F32   ? 4e-6
                           : s->out_type == KP_ATTENTION_F16 ? 5e-4
                                                             : 4e-3;
  double want[256];
  for (size_t b = 0; b < s->batch; ++b) {
    for (size_t h = 0; h < s->heads; ++h) {
      for (size_t q = 0; q < s->q_len; ++q) {
        reference(f, b, h, q, want);
        const size_t at = b * f->args.out.batch + h * f->args.out.head + q * f->args.out.row;
        for (size_t i = 0; i < s->v_dim; ++i) KT_NEAR(output_at(f, at + i), want[i], tolerance);
      }
    }
  }
  kt_check_guards(f->out, s->batch * f->args.out.batch, 0, 0, 0);
  fixture_close(f);
}

static void test_shapes(void** state) {
  (void)state;
  static const kp_attention_shape shapes[] = {
      {.batch = 1, .heads = 1, .kv_heads = 1, .q_len = 1, .kv_len = 1, .head_dim = 1, .v_dim = 1},
      {.batch = 2, .heads = 3, .kv_heads = 3, .q_len = 5, .kv_len = 7, .head_dim = 8, .v_dim = 8},
      {.batch = 1,
       .heads = 4,
       .kv_heads = 2,
       .q_len = 13,
       .kv_len = 13,
       .head_dim = 16,
       .v_dim = 24},
      {.batch = 2,
       .heads = 6,
       .kv_heads = 2,
       .q_len = 1,
       .kv_len = 300,
       .head_dim = 64,
       .v_dim = 64},
      {.batch = 1,
       .heads = 8,
       .kv_heads = 1,
       .q_len = 1,
       .kv_len = 270,
       .head_dim = 20,
       .v_dim = 36},
      {.batch = 1, .heads = 2, .kv_heads = 2, .q_len = 3, .kv_len = 33, .head_dim = 17, .v_dim = 9},
      {.batch = 1,
       .heads = 2,
       .kv_heads = 2,
       .q_len = 40,
       .kv_len = 600,
       .head_dim = 32,
       .v_dim = 33},
      {.batch = 1,
       .heads = 1,
       .kv_heads = 1,
       .q_len = 200,
       .kv_len = 129,
       .head_dim = 64,
       .v_dim = 64},
      {.batch = 2,
       .heads = 2,
       .kv_heads = 1,
       .q_len = 4,
       .kv_len = 257,
       .head_dim = 40,
       .v_dim = 70},
  };
  KT_FOR_EACH_VARIANT(attention, ops) {
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); ++i) {
      for (int form = 0; form < 8; ++form) {
        fixture f;
        fixture_open(&f, shapes[i], form & 1);
        if (form & 2) f.args.right = 0;
        if (shapes[i].kv_len > shapes[i].q_len)
          f.args.span.offset = (ptrdiff_t)(shapes[i].kv_len - shapes[i].q_len);
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
      fixture_open(&f,
                   (kp_attention_shape){.batch = 1,
                                        .heads = 1,
                                        .kv_heads = 1,
                                        .q_len = q,
                                        .kv_len = 700,
                                        .head_dim = 8,
                                        .v_dim = 8},
                   true);
      // All of the first block of keys, and of the second, is hidden.
      for (size_t i = 0; i < q * 700; ++i) f.mask[i] = i % 700 < 600 ? -INFINITY : 0.5f;
      run_and_check(&f, ops, 1);
    }
  }
}

// Windows, two masks, sinks, lengths of their own for each batch entry.
static void test_ranges(void** state) {
  (void)state;
  static const kp_attention_shape shapes[] = {
      {.batch = 3,
       .heads = 4,
       .kv_heads = 2,
       .q_len = 9,
       .kv_len = 530,
       .head_dim = 16,
       .v_dim = 16},
      {.batch = 3,
       .heads = 4,
       .kv_heads = 2,
       .q_len = 1,
       .kv_len = 530,
       .head_dim = 16,
       .v_dim = 24},
      {.batch = 3, .heads = 2, .kv_heads = 2, .q_len = 3, .kv_len = 20, .head_dim = 5, .v_dim = 7},
  };
  KT_FOR_EACH_VARIANT(attention, ops) {
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); ++i) {
      for (int form = 0; form < 16; ++form) {
        fixture f;
        fixture_open(&f, shapes[i], form & 1);
        if (form & 2) fixture_hide(&f);
        f.args.left = form % 5 - 1;
        f.args.right = form % 3 - 1;
        f.args.zero_hidden = true;
        if (form & 4) f.args.sinks = f.sinks = kt_input(shapes[i].heads);
        if (form & 8) {
          f.args.spans = f.spans = malloc(3 * sizeof(kp_attention_span));
          f.spans[0] = (kp_attention_span){0, 0};
          f.spans[1] = (kp_attention_span){shapes[i].kv_len / 2, -2};
          f.spans[2] = (kp_attention_span){shapes[i].kv_len, (ptrdiff_t)shapes[i].kv_len - 4};
        }
        run_and_check(&f, ops, (size_t)form + 1);
      }
    }
  }
}

static void* to_halves(float* values, size_t count, kp_attention_type type) {
  uint16_t* halves = malloc(count * sizeof(uint16_t));
  for (size_t i = 0; i < count; ++i) {
    halves[i] = type == KP_ATTENTION_F16 ? kp_f16_from_f32(values[i]) : kp_bf16_from_f32(values[i]);
    values[i] = type == KP_ATTENTION_F16 ? kp_f16_to_f32(halves[i]) : kp_bf16_to_f32(halves[i]);
  }
  return halves;
}

static void test_sixteen_bits(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(attention, ops) {
    for (size_t form = 0; form < 12; ++form) {
      const kp_attention_type type = form & 1 ? KP_ATTENTION_F16 : KP_ATTENTION_BF16;
      kp_attention_shape s = {
          .batch = 2, .heads = 4, .kv_heads = 2, .kv_len = 300, .head_dim = 20, .v_dim = 36};
      s.q_len = form & 2 ? 1 : form & 4 ? 30 : 3;
      s.k_type = s.v_type = type;
      if (form < 8) s.q_type = s.out_type = type;
      fixture f;
      fixture_open(&f, s, false);
      for (size_t i = 0; i < 8; ++i) f.k[i] *= 1e-6f;  // denormal in float16
      f.args.k.data = f.halves[1] = to_halves(f.k, s.batch * f.args.k.batch, type);
      f.args.v.data = f.halves[2] = to_halves(f.v, s.batch * f.args.v.batch, type);
      if (form < 8) {
        f.args.q.data = f.halves[0] = to_halves(f.q, s.batch * f.args.q.batch, type);
        f.args.out.data = f.halves[3] = malloc(s.batch * f.args.out.batch * sizeof(uint16_t));
      }
      run_and_check(&f, ops, 2);
    }
  }
}

static void test_all_hidden_is_nan(void** state) {
  (void)state;
  KT_FOR_EACH_VARIANT(attention, ops) {
    fixture f;
    fixture_open(&f,
                 (kp_attention_shape){.batch = 1,
                                      .heads = 1,
                                      .kv_heads = 1,
                                      .q_len = 6,
                                      .kv_len = 20,
                                      .head_dim = 8,
                                      .v_dim = 8},
                 true);
    for (size_t i = 0; i < 20; ++i) f.mask[20 + i] = -INFINITY;  // query 1
    run_and_check(&f, ops, 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shapes), cmocka_unit_test(test_blocks_hidden_at_first),
      cmocka_unit_test(test_ranges), cmocka_unit_test(test_sixteen_bits),
      cmocka_unit_test(test_all_hidden_is_nan)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
