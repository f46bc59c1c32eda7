// Operators that leave the elements as they lie: Reshape, Flatten, Squeeze, Unsqueeze, Identity; and those that
// read shapes alone: Shape, Size. Constant is here for graphs that were not simplified.
#include "provider/cpu/op/copy.h"

// The runtime lets views lie on their input where it can; otherwise the bytes are copied.
static kp_status* view_run(const kp_op_run* run) {
  kapell_value *from = run->inputs[0], *to = kp_run_result(run, 0);
  if (from->kind != KAPELL_KIND_TENSOR) {
    kapell_value* kept;
    KP_PASS(kp_op_keep(from, &kept));
    return kp_op_output_value(run, 0, kept);
  }
  if (!to || to->data == from->data) return NULL;
  return kp_copy_elements(to, 0, from, 0, kp_value_count(to));
}

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

static kp_status* shape_run(const kp_op_run* run) {
  const kapell_value* input = run->inputs[0];
  const int64_t rank = input->rank;
  int64_t start = kp_node_attr_i(run->node, "start", 0),
          end = kp_node_attr_i(run->node, "end", rank);
  start = clamp(start < 0 ? start + rank : start, 0, rank);
  end = clamp(end < 0 ? end + rank : end, 0, rank);
  int64_t* out = run->outputs[0]->data;
  for (int64_t i = start; i < end; ++i) out[i - start] = input->dims[i];
  return NULL;
}

static kp_status* size_run(const kp_op_run* run) {
  *(int64_t*)run->outputs[0]->data = (int64_t)kp_value_count(run->inputs[0]);
  return NULL;
}

static kp_status* constant_run(const kp_op_run* run) {
  const kp_node* node = run->node;
  kapell_value* out = run->outputs[0];
  const kp_attr* attr;
  size_t count;
  if ((attr = kp_node_attr(node, "value")))
    return kp_copy_elements(out, 0, attr->tensor, 0, kp_value_count(out));
  if ((attr = kp_node_attr(node, "value_float"))) {
    *(float*)out->data = attr->f;
  } else if ((attr = kp_node_attr(node, "value_int"))) {
    *(int64_t*)out->data = attr->i;
  } else if ((attr = kp_node_attr(node, "value_string"))) {
    return kp_value_set_string(out, 0, attr->s);
  } else if ((attr = kp_node_attr(node, "value_strings"))) {
    for (size_t i = 0; i < attr->count; ++i) KP_PASS(kp_value_set_string(out, i, attr->strings[i]));
  } else if (kp_node_attr(node, "value_floats")) {
    const float* floats = kp_node_attr_floats(node, "value_floats", &count);
    if (count) memcpy(out->data, floats, count * sizeof *floats);
  } else {
    const int64_t* ints = kp_node_attr_ints(node, "value_ints", &count);
    if (count) memcpy(out->data, ints, count * sizeof *ints);
  }
  return NULL;
}

static kp_reason constant_supports(const kp_op_query* query) {
  KP_REQUIRE(query, !kp_node_attr(query->node, "sparse_value"), "a sparse constant");
  return KP_SUPPORTED;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operators Reshape-1..25, Flatten-1..25, Squeeze-1..25, Unsqueeze-1..25, Identity-1..25
    {.name = "Reshape", .since = 1, .run = view_run, .flags = KP_OP_VIEW},
    {.name = "Flatten", .since = 1, .run = view_run, .flags = KP_OP_VIEW},
    {.name = "Squeeze", .since = 1, .run = view_run, .flags = KP_OP_VIEW},
    {.name = "Unsqueeze", .since = 1, .run = view_run, .flags = KP_OP_VIEW},
    {.name = "Identity", .since = 1, .run = view_run, .flags = KP_OP_VIEW},
    {.domain = "com.microsoft", .name = "ExpandDims", .since = 1, .run = view_run, .flags = KP_OP_VIEW},
    {.name = "Shape", .since = 1, .run = shape_run},
    {.name = "Size", .since = 1, .run = size_run},
    {.name = "Constant", .since = 1, .supports = constant_supports, .run = constant_run},
};
// clang-format on
KP_OP_TABLE(shape);
