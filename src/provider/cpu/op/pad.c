// Pad in all modes: constant, reflect, edge, wrap. Negative pads cut.
#include "provider/cpu/op/copy.h"

typedef enum kp_pad_mode { KP_PAD_CONSTANT, KP_PAD_REFLECT, KP_PAD_EDGE, KP_PAD_WRAP } kp_pad_mode;

typedef struct kp_padding {
  kp_pad_mode mode;
  int64_t begin[KP_MAX_RANK], end[KP_MAX_RANK];
} kp_padding;

static kp_status* set_pads(const kp_op_run* run, kp_padding* p) {
  const kapell_value* x = run->inputs[0];
  memset(p, 0, sizeof *p);
  const kp_str mode = kp_node_attr_s(run->node, "mode", "constant");
  p->mode = kp_str_is(mode, "reflect") ? KP_PAD_REFLECT
            : kp_str_is(mode, "edge")  ? KP_PAD_EDGE
            : kp_str_is(mode, "wrap")  ? KP_PAD_WRAP
                                       : KP_PAD_CONSTANT;
  if (run->node->version < 11 && !run->node->domain[0]) {
    size_t count;
    const int64_t* pads =
        kp_node_attr_ints(run->node, run->node->version < 2 ? "paddings" : "pads", &count);
    if (count != (size_t)x->rank * 2)
      return KP_ERROR(RUN_FAILED, "%zu pads for a tensor of rank %d", count, (int)x->rank);
    for (int32_t d = 0; d < x->rank; ++d) p->begin[d] = pads[d], p->end[d] = pads[x->rank + d];
    return NULL;
  }
  const kapell_value *pads = run->inputs[1], *axes = kp_run_input(run, 3);
  const size_t count = kp_value_count(pads) / 2;
  if (kp_value_count(pads) != 2 * (axes ? kp_value_count(axes) : (size_t)x->rank))
    return KP_ERROR(RUN_FAILED, "%zu pads for a tensor of rank %d", kp_value_count(pads),
                    (int)x->rank);
  for (size_t i = 0; i < count; ++i) {
    int32_t d = (int32_t)i;
    if (axes && !kp_axis(kp_int_at(axes, i), x->rank, &d))
      return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)kp_int_at(axes, i),
                      (int)x->rank);
    p->begin[d] = kp_int_at(pads, i);
    p->end[d] = kp_int_at(pads, count + i);
  }
  return NULL;
}

// Where output position |o| of a dim reads from; -1: the constant.
static int64_t source(kp_pad_mode mode, int64_t at, int64_t dim) {
  if (at >= 0 && at < dim) return at;
  if (mode == KP_PAD_CONSTANT || dim == 0) return -1;
  if (mode == KP_PAD_EDGE) return at < 0 ? 0 : dim - 1;
  if (mode == KP_PAD_WRAP) return (at % dim + dim) % dim;
  if (dim == 1) return 0;
  const int64_t period = 2 * (dim - 1), folded = (at % period + period) % period;
  return folded < dim ? folded : period - folded;
}

static kp_status* fill(const kp_op_run* run, kapell_value* y) {
  const kapell_value* value = kp_run_input(run, 2);
  const size_t count = kp_value_count(y);
  if (value && kp_value_count(value) >= 1) {
    KP_PASS(kp_copy_elements(y, 0, value, 0, 1));
    for (size_t done = 1; done < count; done *= 2)
      KP_PASS(kp_copy_elements(y, done, y, 0, kp_min_size(done, count - done)));
    return NULL;
  }
  const double number = run->node->version < 11 ? (double)kp_node_attr_f(run->node, "value", 0) : 0;
  if (y->type == KAPELL_STRING) return NULL;  // empty texts already
  if (number == 0 || (y->type != KAPELL_FLOAT && y->type != KAPELL_DOUBLE)) {
    memset(y->data, 0, y->byte_count);
  } else {
    for (size_t i = 0; i < count; ++i) {
      if (y->type == KAPELL_FLOAT)
        ((float*)y->data)[i] = (float)number;
      else
        ((double*)y->data)[i] = number;
    }
  }
  return NULL;
}

// The part of the input that the output shows, copied as one block.
static kp_status* copy_inside(const kp_op_run* run, const kp_padding* p) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  int64_t dims[KP_MAX_RANK], to[KP_MAX_RANK], from[KP_MAX_RANK], to_offset = 0, from_offset = 0;
  kp_strides(x->rank, x->dims, from);
  kp_strides(y->rank, y->dims, to);
  for (int32_t d = 0; d < x->rank; ++d) {
    const int64_t first = kp_max_i64(0, -p->begin[d]),
                  last = x->dims[d] - kp_max_i64(0, -p->end[d]);
    dims[d] = kp_max_i64(0, last - first);
    from_offset += first * from[d];
    to_offset += kp_max_i64(0, p->begin[d]) * to[d];
  }
  kp_copy copy;
  kp_copy_init(&copy, x->rank, dims, to, from);
  return kp_copy_run(&copy, y, to_offset, x, from_offset, run->width);
}

// Where output position |o| of dim |d| lies in the input. A cut (negative pad) shortens the tensor first, and the rest is mirrored.
static kp_status* place_of(const kp_padding* p, const kapell_value* x, int32_t d, int64_t o,
                           int64_t* out_place) {
  const int64_t cut_begin = kp_max_i64(0, -p->begin[d]), cut_end = kp_max_i64(0, -p->end[d]);
  const int64_t at = o - kp_max_i64(0, p->begin[d]);
  const int64_t inside = source(p->mode, at, x->dims[d] - cut_begin - cut_end);
  if (inside < 0) return KP_ERROR(RUN_FAILED, "nothing to mirror in dim %d", (int)d);
  *out_place = inside + cut_begin;
  return NULL;
}

// Row by row: what lies inside in one piece, what is beside it element by element.
static kp_status* copy_mirrored(const kp_op_run* run, const kp_padding* p) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  const int32_t last = y->rank - 1;
  int64_t strides[KP_MAX_RANK], place;
  if (last < 0) return kp_copy_elements(y, 0, x, 0, 1);
  kp_strides(x->rank, x->dims, strides);
  const int64_t length = y->dims[last], before = kp_max_i64(0, p->begin[last]),
                kept =
                    x->dims[last] - kp_max_i64(0, -p->begin[last]) - kp_max_i64(0, -p->end[last]),
                behind = kp_min_i64(length, before + kp_max_i64(0, kept));
  const size_t rows = kp_value_count(y) / (size_t)length;
  for (size_t row = 0; row < rows; ++row) {
    size_t rest = row;
    int64_t from = 0;
    for (int32_t d = last; d-- > 0; rest /= (size_t)y->dims[d]) {
      KP_PASS(place_of(p, x, d, (int64_t)(rest % (size_t)y->dims[d]), &place));
      from += place * strides[d];
    }
    for (int64_t o = 0; o < length;) {
      const size_t to = row * (size_t)length + (size_t)o;
      const int64_t count = o == before && behind > before ? behind - before : 1;
      KP_PASS(place_of(p, x, last, o, &place));
      KP_PASS(kp_copy_elements(y, to, x, (size_t)(from + place), (size_t)count));
      o += count;
    }
  }
  return NULL;
}

static kp_status* pad_run(const kp_op_run* run) {
  kp_padding padding;
  KP_PASS(set_pads(run, &padding));
  kapell_value* y = run->outputs[0];
  if (!kp_value_count(y)) return NULL;
  if (padding.mode != KP_PAD_CONSTANT) return copy_mirrored(run, &padding);
  KP_PASS(fill(run, y));
  return copy_inside(run, &padding);
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator Pad-1..25
    {.name = "Pad", .since = 1, .run = pad_run, .flags = KP_OP_UNPACK | KP_OP_WIDEN},
    {.domain = "com.microsoft", .name = "Pad", .since = 1, .run = pad_run, .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(pad);
