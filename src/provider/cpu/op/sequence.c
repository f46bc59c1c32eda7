// Sequences and optionals. Tensors that become items are copied (kp_op_keep): what a step sees may be scratch of this run.
#include "provider/cpu/op/copy.h"

// The sequence with its first |count| items shared with |from|.
static kp_status* share_items(const kapell_value* from, size_t first, size_t last,
                              kapell_value* to) {
  for (size_t i = first; i < last; ++i) KP_PASS(kp_value_sequence_append(to, from->items[i]));
  return NULL;
}

// Appends a copy of |value|.
static kp_status* append(kapell_value* sequence, kapell_value* value) {
  kapell_value* kept;
  KP_PASS(kp_op_keep(value, &kept));
  kp_status* status = kp_value_sequence_append(sequence, kept);
  kp_value_release(kept);
  return status;
}

// Hands over |sequence|, or releases it where |status| is an error.
static kp_status* finish(const kp_op_run* run, kapell_value* sequence, kp_status* status) {
  if (!status) return kp_op_output_value(run, 0, sequence);
  kp_value_release(sequence);
  return status;
}

static kp_status* construct_run(const kp_op_run* run) {
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  kp_status* status = NULL;
  for (uint32_t i = 0; !status && i < run->node->input_count; ++i)
    status = append(sequence, run->inputs[i]);
  return finish(run, sequence, status);
}

static kp_status* empty_run(const kp_op_run* run) {
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  return kp_op_output_value(run, 0, sequence);
}

// Position |value| in [0, count), or [0, count] where |end_allowed|; negative ones count from the end.
static kp_status* position_of(const kapell_value* value, size_t count, bool end_allowed,
                              size_t* out_position) {
  int64_t position = kp_int_at(value, 0);
  const int64_t limit = (int64_t)count, most = end_allowed ? limit : limit - 1;
  if (position < -limit || position > most)
    return KP_ERROR(RUN_FAILED, "position %lld in a sequence of %zu", (long long)position, count);
  *out_position = (size_t)(position < 0 ? position + limit : position);
  return NULL;
}

static kp_status* give(const kp_op_run* run, kapell_value* value) {
  if (value->kind != KAPELL_KIND_TENSOR) return kp_op_output_value(run, 0, kp_value_retain(value));
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, value->type, value->dims, value->rank, &y));
  return kp_copy_elements(y, 0, value, 0, kp_value_count(value));
}

static kp_status* at_run(const kp_op_run* run) {
  const kapell_value* sequence = run->inputs[0];
  size_t position;
  KP_PASS(position_of(run->inputs[1], sequence->item_count, false, &position));
  return give(run, sequence->items[position]);
}

static kp_status* insert_run(const kp_op_run* run) {
  const kapell_value *from = run->inputs[0], *where = kp_run_input(run, 2);
  size_t position = from->item_count;
  if (where) KP_PASS(position_of(where, from->item_count, true, &position));
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  kp_status* status = share_items(from, 0, position, sequence);
  if (!status) status = append(sequence, run->inputs[1]);
  if (!status) status = share_items(from, position, from->item_count, sequence);
  return finish(run, sequence, status);
}

static kp_status* erase_run(const kp_op_run* run) {
  const kapell_value *from = run->inputs[0], *where = kp_run_input(run, 1);
  if (!from->item_count) return KP_ERROR(RUN_FAILED, "erasing from an empty sequence");
  size_t position = from->item_count - 1;
  if (where) KP_PASS(position_of(where, from->item_count, false, &position));
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  kp_status* status = share_items(from, 0, position, sequence);
  if (!status) status = share_items(from, position + 1, from->item_count, sequence);
  return finish(run, sequence, status);
}

static kp_status* length_run(const kp_op_run* run) {
  *(int64_t*)run->outputs[0]->data = (int64_t)run->inputs[0]->item_count;
  return NULL;
}

// --- SplitToSequence ---------------------------------------------------------------------------------------------------------
// One part of |x|: |size| elements along |axis| from |at| on; without the axis unless |keep|.
static kp_status* cut(const kapell_value* x, int32_t axis, int64_t at, int64_t size, bool keep,
                      kapell_value* sequence) {
  int64_t dims[KP_MAX_RANK];
  int32_t rank = 0;
  for (int32_t d = 0; d < x->rank; ++d)
    if (d != axis || keep) dims[rank++] = d == axis ? size : x->dims[d];
  kapell_value* part;
  KP_PASS(kp_value_create_tensor(x->type, dims, rank, &part));
  const size_t inner = kp_span(x, axis + 1, x->rank), outer = kp_span(x, 0, axis),
               length = (size_t)size * inner;
  kp_status* status = NULL;
  for (size_t o = 0; !status && o < outer; ++o)
    status = kp_copy_elements(part, o * length, x, (o * (size_t)x->dims[axis] + (size_t)at) * inner,
                              length);
  if (!status) status = kp_value_sequence_append(sequence, part);
  kp_value_release(part);
  return status;
}

static kp_status* split(const kapell_value* x, const kapell_value* sizes, int32_t axis, bool keep,
                        kapell_value* sequence) {
  const int64_t dim = x->dims[axis];
  const bool one_size = sizes && sizes->rank == 0;
  int64_t at = 0;
  for (size_t i = 0; at < dim || (sizes && !one_size && i < kp_value_count(sizes)); ++i) {
    if (sizes && !one_size && i >= kp_value_count(sizes)) break;
    int64_t size = sizes ? kp_int_at(sizes, one_size ? 0 : i) : 1;
    if (size < 0 || (one_size && size == 0))
      return KP_ERROR(RUN_FAILED, "a part of %lld elements", (long long)size);
    if (one_size) size = kp_min_i64(size, dim - at);
    if (size > dim - at)
      return KP_ERROR(RUN_FAILED, "the parts are longer than the dim of %lld", (long long)dim);
    KP_PASS(cut(x, axis, at, size, keep, sequence));
    at += size;
  }
  return at == dim ? NULL
                   : KP_ERROR(RUN_FAILED, "the parts make %lld of a dim of %lld", (long long)at,
                              (long long)dim);
}

static kp_status* split_run(const kp_op_run* run) {
  const kapell_value *x = run->inputs[0], *sizes = kp_run_input(run, 1);
  const int64_t stated = kp_node_attr_i(run->node, "axis", 0);
  int32_t axis;
  if (!kp_axis(stated, x->rank, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d", (long long)stated,
                    (int)x->rank);
  kapell_value* sequence;
  KP_PASS(kp_value_create_sequence(&sequence));
  return finish(run, sequence,
                split(x, sizes, axis, sizes || kp_node_attr_i(run->node, "keepdims", 1), sequence));
}

// --- ConcatFromSequence ------------------------------------------------------------------------------------------------------
static kp_status* check_item(const kapell_value* first, const kapell_value* item, int32_t axis,
                             bool stack) {
  bool same =
      item->kind == KAPELL_KIND_TENSOR && item->type == first->type && item->rank == first->rank;
  for (int32_t d = 0; same && d < first->rank; ++d)
    same = item->dims[d] == first->dims[d] || (!stack && d == axis);
  return same ? NULL : KP_ERROR(RUN_FAILED, "items of different shapes");
}

static kp_status* concat_run(const kp_op_run* run) {
  const kapell_value* sequence = run->inputs[0];
  if (!sequence->item_count) return KP_ERROR(RUN_FAILED, "joining an empty sequence");
  const kapell_value* first = sequence->items[0];
  const bool stack = kp_node_attr_i(run->node, "new_axis", 0) != 0;
  const int64_t stated = kp_node_attr_i(run->node, "axis", 0);
  int32_t axis;
  if (!kp_axis(stated, first->rank + stack, &axis))
    return KP_ERROR(RUN_FAILED, "axis %lld of tensors of rank %d", (long long)stated,
                    (int)first->rank);
  int64_t dims[KP_MAX_RANK], whole = 0;
  for (size_t i = 0; i < sequence->item_count; ++i) {
    KP_PASS(check_item(first, sequence->items[i], axis, stack));
    whole += stack ? 1 : sequence->items[i]->dims[axis];
  }
  for (int32_t d = 0; d < first->rank + stack; ++d)
    dims[d] = d == axis ? whole : first->dims[d - (stack && d > axis)];
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, first->type, dims, first->rank + stack, &y));
  size_t at = 0;
  const size_t inner = kp_span(y, axis + 1, y->rank), outer = kp_span(y, 0, axis);
  for (size_t i = 0; i < sequence->item_count; ++i) {
    const kapell_value* item = sequence->items[i];
    const size_t length = (stack ? 1 : (size_t)item->dims[axis]) * inner;
    for (size_t o = 0; o < outer; ++o)
      KP_PASS(kp_copy_elements(y, o * (size_t)whole * inner + at, item, o * length, length));
    at += length;
  }
  return NULL;
}

// --- optionals ---------------------------------------------------------------------------------------------------------------
static kapell_value* content_of(kapell_value* value) {
  if (!kp_present(value)) return NULL;
  if (value->kind != KAPELL_KIND_OPTIONAL) return value;
  return value->item_count && kp_present(value->items[0]) ? value->items[0] : NULL;
}

static kp_status* optional_run(const kp_op_run* run) {
  kapell_value *kept = NULL, *optional, *input = kp_run_input(run, 0);
  if (input) KP_PASS(kp_op_keep(input, &kept));
  kp_status* status = kp_value_create_optional(kept, &optional);
  kp_value_release(kept);
  return status ? status : kp_op_output_value(run, 0, optional);
}

static kp_status* has_element_run(const kp_op_run* run) {
  kapell_value* input = kp_run_input(run, 0);
  *(uint8_t*)run->outputs[0]->data = input && content_of(input);
  return NULL;
}

static kp_status* get_element_run(const kp_op_run* run) {
  kapell_value* content = content_of(run->inputs[0]);
  if (!content) return KP_ERROR(RUN_FAILED, "an optional without an element");
  return give(run, content);
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators of these names, opsets 11 to 18
    {.name = "SequenceConstruct", .since = 11, .run = construct_run}, {.name = "SequenceEmpty", .since = 11, .run = empty_run},
    {.name = "SequenceAt", .since = 11, .run = at_run}, {.name = "SequenceInsert", .since = 11, .run = insert_run},
    {.name = "SequenceErase", .since = 11, .run = erase_run}, {.name = "SequenceLength", .since = 11, .run = length_run},
    {.name = "SplitToSequence", .since = 11, .run = split_run}, {.name = "ConcatFromSequence", .since = 11, .run = concat_run},
    {.name = "Optional", .since = 15, .run = optional_run}, {.name = "OptionalHasElement", .since = 15, .run = has_element_run},
    {.name = "OptionalGetElement", .since = 15, .run = get_element_run},
};
// clang-format on
KP_OP_TABLE(sequence);
