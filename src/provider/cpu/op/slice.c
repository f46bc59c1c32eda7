// Operators that cut and join: Slice, Concat, Split. Each part is a block of copy.h.
#include "provider/cpu/op/copy.h"

// --- Slice -------------------------------------------------------------------------------------------------------------------
// Where a slice of a dim of |dim| elements begins: cut to [0, dim], to [0, dim - 1] for negative steps (which is not numpy's rule
// for a start far below zero).
static int64_t slice_start(int64_t start, int64_t step, int64_t dim) {
  if (start < 0) start += dim;
  if (start < 0) return 0;
  if (start >= dim) return step < 0 ? dim - 1 : dim;
  return start;
}

typedef struct kp_slice {
  int64_t start[KP_MAX_RANK], step[KP_MAX_RANK];  // by dim of the input
} kp_slice;

static kp_status* set_axis(kp_slice* slice, const kapell_value* x, int64_t axis, int64_t start,
                           int64_t step) {
  int32_t d;
  if (!kp_axis(axis, x->rank, &d))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)axis, (int)x->rank);
  if (step == 0) return KP_ERROR(RUN_FAILED, "a step of 0");
  slice->start[d] = slice_start(start, step, x->dims[d]);
  slice->step[d] = step;
  return NULL;
}

static kp_status* read_slice(const kp_op_run* run, kp_slice* slice) {
  const kapell_value* x = run->inputs[0];
  for (int32_t d = 0; d < x->rank; ++d) slice->start[d] = 0, slice->step[d] = 1;
  size_t count, axis_count;
  if (run->node->version < 10 && strcmp(run->node->op, "Slice") == 0) {
    const int64_t* starts = kp_node_attr_ints(run->node, "starts", &count);
    const int64_t* axes = kp_node_attr_ints(run->node, "axes", &axis_count);
    for (size_t i = 0; i < count; ++i)
      KP_PASS(set_axis(slice, x, i < axis_count ? axes[i] : (int64_t)i, starts[i], 1));
    return NULL;
  }
  const kapell_value *starts = run->inputs[1], *axes = kp_run_input(run, 3),
                     *steps = kp_run_input(run, 4);
  count = kp_value_count(starts);
  for (size_t i = 0; i < count; ++i) {
    const int64_t axis = axes && i < kp_value_count(axes) ? kp_int_at(axes, i) : (int64_t)i;
    const int64_t step = steps && i < kp_value_count(steps) ? kp_int_at(steps, i) : 1;
    KP_PASS(set_axis(slice, x, axis, kp_int_at(starts, i), step));
  }
  return NULL;
}

static kp_status* slice_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  kp_slice slice;
  KP_PASS(read_slice(run, &slice));
  if (!kp_value_count(y)) return NULL;
  int64_t x_strides[KP_MAX_RANK], to[KP_MAX_RANK], from[KP_MAX_RANK], offset = 0;
  kp_strides(x->rank, x->dims, x_strides);
  kp_strides(y->rank, y->dims, to);
  for (int32_t d = 0; d < x->rank; ++d) {
    const int64_t step = y->dims[d] > 1
                             ? slice.step[d]
                             : 1;  // a step beyond the end is never taken, and could overflow
    const int64_t last = slice.start[d] + (y->dims[d] - 1) * step;
    if (slice.start[d] < 0 || slice.start[d] >= x->dims[d] || last < 0 || last >= x->dims[d])
      return KP_ERROR(INTERNAL, "a slice past dim %d of its input", (int)d);
    from[d] = x_strides[d] * step;
    offset += slice.start[d] * x_strides[d];
  }
  kp_copy copy;
  kp_copy_init(&copy, y->rank, y->dims, to, from);
  return kp_copy_run(&copy, y, 0, x, offset, run->width);
}

// Crop of the first opsets: what a border leaves of pictures.
static kp_status* crop_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kapell_value* y = run->outputs[0];
  size_t count;
  const int64_t* border = kp_node_attr_ints(run->node, "border", &count);
  const int64_t top = border[1], left = border[0];
  if (top + y->dims[2] > x->dims[2] || left + y->dims[3] > x->dims[3])
    return KP_ERROR(RUN_FAILED, "a picture that is too small to be cropped so");
  int64_t from[4], to[4];
  kp_strides(4, x->dims, from);
  kp_strides(4, y->dims, to);
  kp_copy copy;
  kp_copy_init(&copy, 4, y->dims, to, from);
  return kp_copy_run(&copy, y, 0, x, top * from[2] + left * from[3], run->width);
}

// --- Concat, Split -----------------------------------------------------------------------------------------------------------
// Copies a part that is |width| dims wide along the axis, between a whole (from element |at| on along it) and a tensor of its own.
static kp_status* copy_part(const kp_op_run* run, kapell_value* to, const kapell_value* from,
                            const kapell_value* part, int32_t axis, int64_t whole_dim, int64_t at,
                            bool into_whole) {
  const int64_t inner = (int64_t)kp_span(part, axis + 1, part->rank),
                outer = (int64_t)kp_span(part, 0, axis);
  const int64_t run_length = part->dims[axis] * inner;
  const int64_t dims[2] = {outer, run_length};
  const int64_t whole[2] = {whole_dim * inner, 1}, own[2] = {run_length, 1};
  kp_copy copy;
  kp_copy_init(&copy, 2, dims, into_whole ? whole : own, into_whole ? own : whole);
  return kp_copy_run(&copy, to, into_whole ? at * inner : 0, from, into_whole ? 0 : at * inner,
                     run->width);
}

static kp_status* concat_run(const kp_op_run* run) {
  kapell_value* y = run->outputs[0];
  int32_t axis;
  const int64_t stated = kp_node_attr_i(run->node, "axis", 1);
  if (!kp_axis(stated, y->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)y->rank);
  int64_t at = 0;
  for (uint32_t i = 0; i < run->node->input_count; ++i) {
    const kapell_value* x = run->inputs[i];
    if (x->type != y->type)
      return KP_ERROR(RUN_FAILED, "input %u has type %s, not %s", i, kp_type_name(x->type),
                      kp_type_name(y->type));
    KP_PASS(copy_part(run, y, x, x, axis, y->dims[axis], at, true));
    at += x->dims[axis];
  }
  return NULL;
}

static kp_status* split_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  int32_t axis;
  const int64_t stated = kp_node_attr_i(run->node, "axis", 0);
  if (!kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  const kapell_value* sizes = kp_run_input(run, 1);
  size_t count;
  const int64_t* attr = kp_node_attr_ints(run->node, "split", &count);
  const int64_t parts = run->node->output_count, even = (x->dims[axis] + parts - 1) / parts;
  int64_t at = 0;
  for (uint32_t o = 0; o < run->node->output_count; ++o) {
    kapell_value* y = run->outputs[o];
    if (y) KP_PASS(copy_part(run, y, x, y, axis, x->dims[axis], at, false));
    if (y)
      at += y->dims[axis];
    else if (sizes)
      at += kp_int_at(sizes, o);
    else
      at += attr && o < count ? attr[o] : even;
  }
  return NULL;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Slice-1..13, Concat-1..13, Split-1..18
    {.name = "Slice", .since = 1, .run = slice_run, .flags = KP_OP_UNPACK},
    {.name = "DynamicSlice", .since = 1, .run = slice_run}, {.name = "Crop", .since = 1, .run = crop_run},
    {.name = "Concat", .since = 1, .run = concat_run, .flags = KP_OP_UNPACK},
    {.name = "Split", .since = 1, .run = split_run, .flags = KP_OP_UNPACK},
};
// clang-format on
KP_OP_TABLE(slice);
