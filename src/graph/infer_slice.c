// Inference of operators that cut and join along axes: Slice, Pad, Concat, Split, CenterCropPad.
#include "graph/infer_rule.h"

// --- Slice --------------------------------------------------------------------------------------------------------------
#define FAR \
  INT32_MAX  // what exporters write for "to the end": nothing is longer, by their own convention

typedef struct cut {
  kp_expr start, end;
  int64_t step;
} cut;

// |at| moved into [low, high] after counting from the end where negative. False: the result is not known.
static bool clamp_position(kp_infer* infer, kp_expr at, kp_expr size, kp_expr* out) {
  if (kp_data_is_number(infer, at)) {
    if (at >= 0)
      *out = at >= FAR && kp_is_symbol(size) ? size : kp_dim_op(infer, KP_EXPR_MIN, at, size);
    else
      *out = at <= -FAR ? 0 : kp_dim_op(infer, KP_EXPR_MAX, kp_dim_add(infer, size, at), 0);
    return true;
  }
  if (kp_data_at_least(infer, at, 0)) {
    *out = kp_dim_op(infer, KP_EXPR_MIN, at, size);
    return true;
  }
  // -x, written as an expression: counts from the end.
  const kp_expr back = kp_expr_make(infer->symbols, KP_EXPR_SUB, 0, at);
  if (!kp_data_at_least(infer, back, 1)) return false;
  *out = kp_dim_op(infer, KP_EXPR_MAX, kp_dim_add(infer, size, at), 0);
  return true;
}

// Positions for a negative step, all numbers.
static int64_t clamp_backward(int64_t at, int64_t size, int64_t low) {
  if (at < 0) at = at < -size ? -1 : at + size;
  return at < low ? low : at > size - 1 ? size - 1 : at;
}

static kp_expr length_backward(kp_infer* infer, kp_expr size, const cut* c) {
  const int64_t step = c->step == INT64_MIN ? INT64_MAX : -c->step;
  if (!kp_data_is_number(infer, c->start) || !kp_data_is_number(infer, c->end))
    return kp_dim_fresh(infer);
  if (kp_is_symbol(size)) {
    const bool whole = (c->start >= FAR || c->start == -1) && c->end <= -FAR;
    return whole ? kp_dim_op(infer, KP_EXPR_CEILDIV, size, step) : kp_dim_fresh(infer);
  }
  const int64_t start = clamp_backward(c->start, size, size > 0 ? 0 : -1),
                end = clamp_backward(c->end, size, -1);
  return start > end ? (start - end - 1) / step + 1 : 0;
}

static kp_expr length_of(kp_infer* infer, kp_expr size, const cut* c) {
  if (c->step < 0) return length_backward(infer, size, c);
  const bool to_end = kp_data_is_number(infer, c->end) && c->end >= FAR && kp_is_symbol(size);
  kp_expr start = 0, end = 0, length;
  if (to_end && kp_data_is_number(infer, c->start) && c->start < 0 && c->start > -FAR) {
    length = kp_dim_op(infer, KP_EXPR_MIN, size, -c->start);  // the last so many
  } else {
    if (!clamp_position(infer, c->start, size, &start) ||
        !clamp_position(infer, c->end, size, &end))
      return kp_dim_fresh(infer);
    // What is left behind a start is max(size - start, 0), clamped or not.
    const bool tail = end == size && kp_data_at_least(infer, c->start, 0);
    length = kp_dim_sub(infer, end, tail && kp_is_symbol(size) ? c->start : start);
    if (kp_is_symbol(length) ? infer->symbols && !kp_expr_nonnegative(infer->symbols, length)
                             : length < 0)
      length = kp_dim_op(infer, KP_EXPR_MAX, length, 0);
  }
  return c->step == 1 ? length : kp_dim_op(infer, KP_EXPR_CEILDIV, length, c->step);
}

// Everything is a number: element k of the output along one axis is element start + k * step.
static void slice_data(kp_infer* infer, const cut* cuts) {
  const kp_type *in = infer->inputs[0], *out = infer->outputs;
  const int64_t count = infer->node->output_count ? kp_type_small_count(out) : -1;
  uint32_t* source = kp_type_small_count(in) >= 0 ? kp_data_sources(infer, 0, 0, count) : NULL;
  if (!source) return;
  int64_t first[KP_MAX_RANK] = {0};
  for (int32_t d = 0; d < in->rank; ++d) {
    const int64_t size = in->dims[d];
    kp_expr start = 0;
    if (!kp_data_is_number(infer, cuts[d].start)) {
      if (out->dims[d] != size) return;  // a symbol that leaves everything starts at 0
    } else if (cuts[d].step < 0) {
      start = clamp_backward(cuts[d].start, size, 0);
    } else if (!clamp_position(infer, cuts[d].start, size, &start)) {
      return;
    }
    first[d] = start;
  }
  for (uint32_t k = 0; k < (uint32_t)count; ++k) {
    int64_t flat = k, stride = 1, at = 0;
    for (int32_t d = in->rank - 1; d >= 0; --d) {
      at += (first[d] + flat % out->dims[d] * cuts[d].step) * stride;
      stride *= in->dims[d];
      flat /= out->dims[d];
    }
    source[k] = (uint32_t)at;
  }
  kp_data_pick(infer, 0, 0, source, (uint32_t)count);
}

static kp_status* slice_with(kp_infer* infer, kp_ints starts, kp_ints ends, const kp_ints* axes,
                             const kp_ints* steps) {
  const int32_t rank = kp_in_rank(infer, 0);
  if (starts.n != ends.n || (axes && axes->n != starts.n) || (steps && steps->n != starts.n))
    return kp_node_error(infer, "%u starts, %u ends, %u axes, %u steps; expected as many of each",
                         starts.n, ends.n, axes ? axes->n : starts.n, steps ? steps->n : starts.n);
  cut cuts[KP_MAX_RANK] = {0};
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank, &dims));
  for (int32_t d = 0; d < rank; ++d) {
    dims[d] = kp_in_dim(infer, 0, d);
    cuts[d] = (cut){0, INT64_MAX, 1};
  }
  for (uint32_t k = 0; k < starts.n; ++k) {
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "axis", axes ? axes->v[k] : (int64_t)k, rank, &axis));
    const int64_t step = steps ? steps->v[k] : 1;
    if (step == 0) return kp_node_error(infer, "step 0 along axis %d", axis);
    cuts[axis] = (cut){starts.v[k], ends.v[k], step};
    dims[axis] = length_of(infer, kp_in_dim(infer, 0, axis), &cuts[axis]);
  }
  if (kp_in_has_data(infer, 0)) slice_data(infer, cuts);
  return NULL;
}

// Starts or ends are not known: axes that are named get fresh dims.
static kp_status* slice_fresh(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  kp_ints axes;
  uint64_t mask = ~UINT64_C(0);
  bool known, given;
  if (kp_in_given(infer, 3) && kp_in_numbers(infer, 3, &axes)) {
    KP_PASS(kp_infer_axes(infer, "axes", 3, rank, &mask, &known, &given));
  } else if (!kp_in_given(infer, 3) && kp_in_rank(infer, 1) == 1 &&
             kp_is_number(kp_in_dim(infer, 1, 0))) {
    mask =
        kp_in_dim(infer, 1, 0) < KP_MAX_RANK ? (UINT64_C(1) << kp_in_dim(infer, 1, 0)) - 1 : mask;
  }
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank, &dims));
  for (int32_t d = 0; d < rank; ++d)
    dims[d] = mask >> d & 1 ? kp_dim_fresh(infer) : kp_in_dim(infer, 0, d);
  return NULL;
}

static kp_status* slice_1(kp_infer* infer) {
  size_t starts, ends, axes;
  const int64_t* start = kp_node_attr_ints(infer->node, "starts", &starts);
  const int64_t* end = kp_node_attr_ints(infer->node, "ends", &ends);
  const int64_t* axis = kp_node_attr_ints(infer->node, "axes", &axes);
  if (kp_in_rank(infer, 0) < 0) {
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  const kp_ints list = {axis, (uint32_t)axes};
  return slice_with(infer, (kp_ints){start, (uint32_t)starts}, (kp_ints){end, (uint32_t)ends},
                    axis && axes ? &list : NULL, NULL);
}

static kp_status* slice(kp_infer* infer) {
  for (uint32_t i = 1; i < 5; ++i) KP_PASS(kp_in_check_rank(infer, i, 1, 1));
  if (kp_in_rank(infer, 0) < 0) {
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  kp_ints starts, ends, axes, steps;
  const bool has_axes = kp_in_given(infer, 3), has_steps = kp_in_given(infer, 4);
  if (!kp_in_ints(infer, 1, &starts) || !kp_in_ints(infer, 2, &ends) ||
      (has_axes && !kp_in_numbers(infer, 3, &axes)) ||
      (has_steps && !kp_in_numbers(infer, 4, &steps)))
    return slice_fresh(infer);
  return slice_with(infer, starts, ends, has_axes ? &axes : NULL, has_steps ? &steps : NULL);
}

// Pictures lose a border (left, top, right, bottom), or keep |scale| (height, width) from its corner on.
static kp_status* crop(kp_infer* infer) {
  size_t border_count, scale_count;
  const int64_t* border = kp_node_attr_ints(infer->node, "border", &border_count);
  const int64_t* scale = kp_node_attr_ints(infer->node, "scale", &scale_count);
  KP_PASS(kp_in_check_rank(infer, 0, 4, 4));
  if (border_count != 4 || (scale && scale_count != 2))
    return kp_node_error(infer, "attribute 'border' needs 4 entries, 'scale' 2");
  if (kp_in_rank(infer, 0) < 0) return kp_out_fresh(infer, 0, kp_in_element(infer, 0), 4);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), 4, &dims));
  for (int32_t d = 0; d < 4; ++d) dims[d] = kp_in_dim(infer, 0, d);
  for (int32_t d = 2; d < 4; ++d) {
    const int64_t before = border[3 - d], after = border[5 - d];
    if (before < 0 || after < 0 || (scale && scale[d - 2] < 0))
      return kp_node_error(infer, "a negative number of lines in 'border' or 'scale'");
    dims[d] = scale ? scale[d - 2] : kp_dim_sub(infer, kp_dim_sub(infer, dims[d], before), after);
    const kp_expr whole = kp_in_dim(infer, 0, d);
    if (kp_is_number(whole) &&
        (dims[d] < 0 || before > whole || (scale && scale[d - 2] > whole - before)))
      return kp_in_error(infer, 0, "%lld lines are too few to be cropped so", (long long)whole);
  }
  return NULL;
}

// --- Pad ----------------------------------------------------------------------------------------------------------------
static kp_status* pad_with(kp_infer* infer, kp_ints pads, const kp_ints* axes) {
  const int32_t rank = kp_in_rank(infer, 0);
  const uint32_t count = axes ? axes->n : (uint32_t)rank;
  if (pads.n != 2 * count) return kp_node_error(infer, "%u pads; expected %u", pads.n, 2 * count);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, kp_in_element(infer, 0), rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  for (uint32_t k = 0; k < count; ++k) {
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "axis", axes ? axes->v[k] : (int64_t)k, rank, &axis));
    const kp_expr before = pads.v[k], after = pads.v[k + count];
    // Far out of range in one direction is no number that a dim expression could hold.
    if ((kp_data_is_number(infer, before) && kp_is_symbol(before)) ||
        (kp_data_is_number(infer, after) && kp_is_symbol(after)))
      return kp_node_error(infer, "pads of axis %d are out of range", axis);
    dims[axis] = kp_dim_add(infer, kp_dim_add(infer, dims[axis], before), after);
  }
  return NULL;
}

static kp_status* pad_1(kp_infer* infer) {  // opsets 1 and 2: an attribute, under two names
  size_t count;
  const int64_t* pads =
      kp_node_attr_ints(infer->node, infer->node->version < 2 ? "paddings" : "pads", &count);
  if (kp_in_rank(infer, 0) >= 0) return pad_with(infer, (kp_ints){pads, (uint32_t)count}, NULL);
  kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
  return NULL;
}

kp_status* kp_infer_pad(kp_infer* infer) {
  const int32_t rank = kp_in_rank(infer, 0);
  KP_PASS(kp_in_check_rank(infer, 1, 1, 1));
  KP_PASS(kp_in_check_rank(infer, 3, 1, 1));
  if (rank < 0) {
    kp_out_any_rank(infer, 0, kp_in_element(infer, 0));
    return NULL;
  }
  kp_ints pads, axes;
  const bool has_axes = kp_in_given(infer, 3);
  if (!kp_in_ints(infer, 1, &pads) || (has_axes && !kp_in_numbers(infer, 3, &axes)))
    return kp_out_fresh(infer, 0, kp_in_element(infer, 0), rank);
  return pad_with(infer, pads, has_axes ? &axes : NULL);
}

static kp_status* center_crop_pad(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  kp_ints sizes;
  size_t count;
  const int64_t* axes = kp_node_attr_ints(infer->node, "axes", &count);
  if (!axes) count = (size_t)rank;
  const bool known = kp_in_ints(infer, 1, &sizes);
  if (known && sizes.n != count)
    return kp_in_error(infer, 1, "%u entries; expected %zu", sizes.n, count);
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  for (int32_t d = 0; d < rank; ++d) dims[d] = kp_in_dim(infer, 0, d);
  for (size_t k = 0; k < count; ++k) {
    int32_t axis = 0;
    KP_PASS(kp_infer_axis(infer, "axis", axes ? axes[k] : (int64_t)k, rank, &axis));
    if (known)
      KP_PASS(kp_dim_of_data(infer, 1, sizes.v[k], &dims[axis]));
    else
      dims[axis] = kp_dim_fresh(infer);
  }
  return NULL;
}

// --- Concat -------------------------------------------------------------------------------------------------------------
// Contents: parts whose elements are not known are symbols at load, where their number is known.
static void concat_data(kp_infer* infer, uint32_t first, uint32_t step, int32_t axis) {
  const kp_type* out = infer->outputs;
  const int64_t count = kp_out_wanted(infer, 0) ? kp_type_small_count(out) : -1;
  const bool whole = !kp_data_is_float(kp_in_element(infer, first));
  bool any = false, all = true;
  for (uint32_t i = first; i < infer->node->input_count; i += step) {
    any = any || kp_in_has_data(infer, i);
    all = all && kp_in_has_data(infer, i);
    if (kp_type_small_count(kp_in_tensor(infer, i)) < 0) return;
  }
  if (count < 0 || !any || (!all && !(infer->symbols && whole && kp_data_is_int(out->element))))
    return;
  int64_t outer = 1, offset = 0;
  for (int32_t d = 0; d < axis; ++d) outer *= out->dims[d];
  const int64_t row = outer ? count / outer : 0;
  kp_expr* ints = kp_out_ints(infer, 0, count);
  for (uint32_t i = first; ints && i < infer->node->input_count; i += step) {
    const int64_t part = outer ? kp_type_small_count(infer->inputs[i]) / outer : 0;
    kp_ints from = {0};
    if (kp_in_has_data(infer, i) && (!kp_in_ints(infer, i, &from) || from.n != part * outer)) {
      kp_out_drop_data(infer, 0);
      return;
    }
    for (int64_t k = 0; k < part * outer; ++k) {
      kp_expr* to = &ints[k / part * row + offset + k % part];
      if (from.v)
        *to = from.v[k];
      else if (!kp_data_untold(infer, to))
        return;
    }
    offset += part;
  }
}

static void concat_doubles(kp_infer* infer, uint32_t first, uint32_t step) {
  const int64_t count = kp_out_wanted(infer, 0) && infer->outputs[0].rank == 1
                            ? kp_type_small_count(infer->outputs)
                            : -1;
  double* out =
      count >= 0 ? kp_arena_new_array(infer->arena, double, count ? (size_t)count : 1) : NULL;
  uint32_t at = 0;
  for (uint32_t i = first; out && i < infer->node->input_count; i += step) {
    kp_doubles from;
    if (!kp_in_has_data(infer, i) || !kp_in_doubles(infer, i, &from) ||
        from.n > (uint32_t)count - at)
      return;
    memcpy(out + at, from.v, from.n * sizeof(double));
    at += from.n;
  }
  if (out && at == (uint32_t)count) infer->out_known[0] = (kp_known){.floats = out, .count = at};
}

kp_status* kp_infer_concat(kp_infer* infer, uint32_t first, uint32_t step) {
  const uint32_t inputs = infer->node->input_count;
  kapell_type element = KAPELL_UNDEFINED;
  int32_t rank = -1;
  bool all = true;
  for (uint32_t i = first; i < inputs; i += step) {
    if (element == KAPELL_UNDEFINED) element = kp_in_element(infer, i);
    if (rank < 0) rank = kp_in_rank(infer, i);
    all = all && kp_in_rank(infer, i) >= 0;
  }
  if (rank < 0) {
    kp_out_any_rank(infer, 0, element);
    return NULL;
  }
  int32_t axis = 0;
  const int64_t fallback = infer->node->version < 4 && infer->node->domain[0] == '\0' ? 1 : 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", fallback),
                        rank, &axis));
  kp_expr* dims;
  KP_PASS(kp_out_dims(infer, 0, element, rank, &dims));
  bool seen = false;
  for (uint32_t i = first; i < inputs; i += step) {
    if (kp_in_rank(infer, i) < 0) continue;
    KP_PASS(kp_in_check_rank(infer, i, rank, rank));
    for (int32_t d = 0; d < rank; ++d) {
      const kp_expr dim = kp_in_dim(infer, i, d);
      if (!seen) {
        dims[d] = dim;
      } else if (d == axis) {
        dims[d] = kp_dim_add(infer, dims[d], dim);
      } else {
        KP_PASS(kp_in_check_dim(infer, i, d, dims[d], "the dim of the inputs before"));
        dims[d] = kp_dim_merge(dims[d], dim);
      }
    }
    seen = true;
  }
  if (!all) dims[axis] = kp_dim_fresh(infer);
  concat_data(infer, first, step, axis);
  if (infer->node->output_count && !infer->out_known[0].elements && kp_data_is_float(element))
    concat_doubles(infer, first, step);
  return NULL;
}

static kp_status* concat(kp_infer* infer) { return kp_infer_concat(infer, 0, 1); }

// --- Split --------------------------------------------------------------------------------------------------------------
static void split_data(kp_infer* infer, int32_t axis) {
  const kp_type* in = infer->inputs[0];
  int64_t outer = 1, offset = 0;
  const int64_t total = kp_type_small_count(in);
  for (int32_t d = 0; total >= 0 && d < axis; ++d) outer *= in->dims[d];
  const int64_t row = outer && total > 0 ? total / outer : 0;
  for (uint32_t o = 0; total >= 0 && o < infer->node->output_count; ++o) {
    const int64_t count = kp_type_small_count(&infer->outputs[o]),
                  part = outer && count > 0 ? count / outer : 0;
    uint32_t* source = kp_data_sources(infer, o, 0, count);
    if (count < 0) return;
    for (int64_t k = 0; source && part > 0 && k < count; ++k)
      source[k] = (uint32_t)(k / part * row + offset + k % part);
    if (source) kp_data_pick(infer, o, 0, source, (uint32_t)count);
    offset += part;
  }
}

// Sizes of the parts of a dim of |size| without a list of them: equal, the last smaller where it does not divide (opset 18).
static kp_status* equal_parts(kp_infer* infer, kp_expr size, int64_t parts, kp_expr* out) {
  const bool uneven =
      infer->node->version >= 18 && kp_node_attr(infer->node, "num_outputs") != NULL;
  if (!uneven && kp_is_number(size) && size % parts != 0)
    return kp_in_error(infer, 0, "the dim to split is %lld; expected a multiple of %lld",
                       (long long)size, (long long)parts);
  const kp_expr part = kp_dim_op(infer, uneven ? KP_EXPR_CEILDIV : KP_EXPR_DIV, size, parts);
  kp_expr rest = size;
  for (int64_t k = 0; k < parts; ++k) {
    out[k] = uneven && kp_is_number(size) ? kp_min_i64(part, rest) : part;
    if (uneven && kp_is_number(size)) rest -= out[k];
    if (uneven && !kp_is_number(size) && k == parts - 1)
      out[k] = kp_dim_op(infer, KP_EXPR_MAX, 0,
                         kp_dim_sub(infer, size, kp_dim_mul(infer, part, parts - 1)));
  }
  return NULL;
}

static kp_status* read_split(kp_infer* infer, kp_expr size, kp_expr* parts) {
  const uint32_t outputs = infer->node->output_count;
  size_t count = 0;
  const int64_t* list = NULL;
  kp_ints ints = {0};
  bool listed = false;
  if (infer->node->version < 13) {
    list = kp_node_attr_ints(infer->node, "split", &count);
    listed = list != NULL && count != 0;
  }
  if (!listed && kp_in_given(infer, 1)) {  // opset 1 could take it as an input, too
    if (!kp_in_ints(infer, 1, &ints)) {
      for (uint32_t o = 0; o < outputs; ++o) parts[o] = kp_dim_fresh(infer);
      return NULL;
    }
    list = ints.v, count = ints.n, listed = true;
  }
  if (!listed) return equal_parts(infer, size, outputs, parts);
  if (count != outputs)
    return kp_node_error(infer, "%zu parts to split into; the node has %u outputs", count, outputs);
  kp_expr sum = 0;
  for (uint32_t o = 0; o < outputs; ++o) {
    parts[o] = list[o];
    if (listed && list == ints.v) KP_PASS(kp_dim_of_data(infer, 1, list[o], &parts[o]));
    if (kp_is_number(parts[o]) && parts[o] < 0)
      return kp_node_error(infer, "part %u of the split is %lld", o, (long long)parts[o]);
    sum = kp_dim_add(infer, sum, parts[o]);
  }
  if (kp_dim_differ(sum, size))
    return kp_in_error(infer, 0, "the dim to split is %lld; the parts add up to %lld",
                       (long long)size, (long long)sum);
  return NULL;
}

static kp_status* split(kp_infer* infer) {
  const kapell_type element = kp_in_element(infer, 0);
  const int32_t rank = kp_in_rank(infer, 0);
  const uint32_t outputs = infer->node->output_count;
  const int64_t wanted = kp_node_attr_i(infer->node, "num_outputs", outputs);
  if (infer->node->version >= 18 && wanted != (int64_t)outputs)
    return kp_node_error(infer, "attribute 'num_outputs' is %lld; the node has %u outputs",
                         (long long)wanted, outputs);
  if (rank < 0) {
    for (uint32_t o = 0; o < outputs; ++o) kp_out_any_rank(infer, o, element);
    return NULL;
  }
  int32_t axis = 0;
  KP_PASS(kp_infer_axis(infer, "attribute 'axis'", kp_node_attr_i(infer->node, "axis", 0), rank,
                        &axis));
  kp_expr* parts = kp_arena_new_array(infer->arena, kp_expr, outputs ? outputs : 1);
  if (!parts) return KP_ERROR(OUT_OF_MEMORY, "parts of a split");
  KP_PASS(read_split(infer, kp_in_dim(infer, 0, axis), parts));
  for (uint32_t o = 0; o < outputs; ++o) {
    kp_expr* dims;
    KP_PASS(kp_out_dims(infer, o, element, rank, &dims));
    for (int32_t d = 0; d < rank; ++d) dims[d] = d == axis ? parts[o] : kp_in_dim(infer, 0, d);
  }
  if (kp_in_has_data(infer, 0)) split_data(infer, axis);
  return NULL;
}

// clang-format off
const kp_infer_rule kp_infer_rules_slice[] = {
    {"", "Slice", 1, slice_1, 0, KP_INFER_FROM_DATA},
    {"", "Slice", 10, slice, 0x1e, KP_INFER_FROM_DATA},
    {"", "DynamicSlice", 1, slice, 0xe, KP_INFER_FROM_DATA},
    {"", "Crop", 1, crop, 0, 0},
    {"", "Pad", 1, pad_1, 0, 0},
    {"", "Pad", 11, kp_infer_pad, 1u << 1 | 1u << 3, 0},
    {"", "CenterCropPad", 18, center_crop_pad, 1u << 1, 0},
    {"", "Concat", 1, concat, 0, KP_INFER_FROM_DATA},
    {"", "Split", 1, split, 1u << 1, KP_INFER_FROM_DATA},
    {NULL, NULL, 0, NULL, 0, 0},
};
// clang-format on
