// The table of derivatives: for each operator what the derivative by its output gives to those by its inputs.
//
// x, a, b: the operator's inputs; y: its output; dy: the derivative by it. Inputs that were spread over the output have theirs added up
// over the axes of the spreading, which must be known when the model is opened.
#include <math.h>

#include "base/size.h"
#include "graph/expand_gradient.h"

// --- nodes in expressions ----------------------------------------------------------------------------------------------
static kp_value_id make(kp_diff* d, const char* op, const kp_value_id* inputs, uint32_t count,
                        const kp_attr* attrs, uint32_t attr_count) {
  kp_value_id out = KP_NONE;
  if (!d->status) d->status = kp_emit(&d->e, op, inputs, count, attrs, attr_count, &out);
  return out;
}

static kp_value_id op1(kp_diff* d, const char* op, kp_value_id x) {
  return make(d, op, &x, 1, NULL, 0);
}

static kp_value_id op2(kp_diff* d, const char* op, kp_value_id a, kp_value_id b) {
  return make(d, op, (kp_value_id[]){a, b}, 2, NULL, 0);
}

static kp_value_id mul(kp_diff* d, kp_value_id a, kp_value_id b) { return op2(d, "Mul", a, b); }

static kp_value_id cast(kp_diff* d, kp_value_id x, kapell_type to) {
  const kp_attr attr = kp_emit_int(&d->e, "to", to);
  return make(d, "Cast", &x, 1, &attr, 1);
}

static kp_value_id choose(kp_diff* d, kp_value_id condition, kp_value_id a, kp_value_id b) {
  return make(d, "Where", (kp_value_id[]){condition, a, b}, 3, NULL, 0);
}

static kp_value_id integers(kp_diff* d, const int64_t* numbers, uint32_t count) {
  kp_value_id out = KP_NONE;
  if (!d->status) d->status = kp_emit_constant(&d->e, KAPELL_INT64, count, numbers, &out);
  return out;
}

static kapell_type element_of(const kp_diff* d, kp_value_id value) {
  return value == KP_NONE ? KAPELL_UNDEFINED : d->e.graph->values[value].type.element;
}

// |number| as a scalar of the element type of |like|, a value of the forward graph.
static kp_value_id scalar(kp_diff* d, kp_value_id like, double number) {
  const kapell_type element = element_of(d, like);
  const float narrow = (float)number;
  kp_value_id out = KP_NONE;
  if (d->status) return KP_NONE;
  if (!kp_type_is_float(element)) {
    d->status = KP_ERROR(UNSUPPORTED, "a derivative with '%s', which is no floating point",
                         d->e.graph->values[like].name);
    return KP_NONE;
  }
  if (element == KAPELL_DOUBLE) {
    d->status = kp_emit_constant(&d->e, KAPELL_DOUBLE, -1, &number, &out);
    return out;
  }
  d->status = kp_emit_constant(&d->e, KAPELL_FLOAT, -1, &narrow, &out);
  return element == KAPELL_FLOAT ? out : cast(d, out, element);
}

static kp_value_id reshape_like(kp_diff* d, kp_value_id x, kp_value_id like) {
  const kp_attr attr = kp_emit_int(&d->e, "allowzero", 1);
  return make(d, "Reshape", (kp_value_id[]){x, op1(d, "Shape", like)}, 2, &attr, 1);
}

static kp_value_id sum_over(kp_diff* d, kp_value_id x, const int64_t* axes, uint32_t count) {
  const kp_attr attr = kp_emit_int(&d->e, "keepdims", 1);
  return make(d, "ReduceSum", (kp_value_id[]){x, integers(d, axes, count)}, 2, &attr, 1);
}

kp_value_id kp_gradient_fill(kp_diff* d, kp_value_id like, float number) {
  return op2(d, "Expand", scalar(d, like, (double)number), op1(d, "Shape", like));
}

kp_value_id kp_gradient_add(kp_diff* d, kp_value_id a, kp_value_id b) {
  return a == KP_NONE ? b : op2(d, "Add", a, b);
}

// --- inputs and outputs of the node ------------------------------------------------------------------------------------
static kp_value_id in(const kp_diff* d, const kp_node* node, uint32_t index) {
  const bool given = index < node->input_count && node->inputs[index] != KP_NONE;
  return given ? d->at[node->inputs[index]] : KP_NONE;
}

static kp_value_id out(const kp_diff* d, const kp_node* node) { return d->at[node->outputs[0]]; }

static const kp_type* type_of(const kp_diff* d, kp_value_id value) {
  return &d->e.graph->values[value].type;
}

static bool wants(const kp_diff* d, const kp_node* node, uint32_t index) {
  const kp_value_id value = in(d, node, index);
  return value != KP_NONE && !d->status && d->depends[node->inputs[index]] &&
         kp_type_is_float(element_of(d, value));
}

static void give(kp_diff* d, const kp_node* node, uint32_t index, kp_value_id gradient) {
  if (!wants(d, node, index)) return;
  kp_value_id* sum = &d->grad[node->inputs[index]];
  *sum = kp_gradient_add(d, *sum, gradient);
}

static void fail(kp_diff* d, const kp_node* node, const char* why) {
  if (d->status) return;
  d->status = KP_ERROR(UNSUPPORTED, "the derivative of %s '%s' cannot be built: %s", node->op,
                       node->name, why);
}

// --- spreading undone --------------------------------------------------------------------------------------------------
// Which of the first |y_rank| axes of the output the first |x_rank| of input |x| were spread over.
static uint32_t spread_axes(kp_diff* d, const kp_node* node, kp_value_id x, int32_t x_rank,
                            int32_t y_rank, int64_t* axes) {
  const kp_type *from = type_of(d, x), *to = type_of(d, out(d, node));
  uint32_t count = 0;
  for (int32_t axis = 0; axis < y_rank; ++axis) {
    const int32_t place = axis - (y_rank - x_rank);
    const kp_expr dim = place < 0 ? 1 : from->dims[place];
    if (place >= 0 && (dim == to->dims[axis] || to->dims[axis] == 1)) continue;
    if (dim == 1) axes[count++] = axis;
    if (kp_is_symbol(dim))
      fail(
          d, node,
          "which axes of an input are spread over its output only a run knows; fix the dims of the "
          "model's inputs");
  }
  return count;
}

static kp_value_id add_up(kp_diff* d, const kp_node* node, uint32_t index, kp_value_id gradient,
                          int32_t x_rank, int32_t y_rank) {
  int64_t axes[KP_MAX_RANK];
  if (d->status) return KP_NONE;
  const kp_value_id x = in(d, node, index);
  const uint32_t count = spread_axes(d, node, x, x_rank, y_rank, axes);
  if (count) gradient = sum_over(d, gradient, axes, count);
  return x_rank == y_rank ? gradient : reshape_like(d, gradient, x);
}

// Gives |gradient|, which has the output's shape, to an input that may have a smaller one.
static void give_spread(kp_diff* d, const kp_node* node, uint32_t index, kp_value_id gradient) {
  if (!wants(d, node, index)) return;
  const int32_t x_rank = type_of(d, in(d, node, index))->rank;
  const int32_t y_rank = type_of(d, out(d, node))->rank;
  if (x_rank < 0 || y_rank < x_rank || y_rank > KP_MAX_RANK)
    fail(d, node, "the rank of an input is not known before a run");
  if (kp_node_attr(node, "axis"))  // of opsets before 7
    fail(d, node, "it is spread from attribute 'axis'; convert the model to opset 7 or newer");
  give(d, node, index, add_up(d, node, index, gradient, x_rank, y_rank));
}

// --- element by element ------------------------------------------------------------------------------------------------
static void diff_add(kp_diff* d, const kp_node* node, kp_value_id dy) {
  for (uint32_t i = 0; i < node->input_count; ++i) give_spread(d, node, i, dy);
}

static void diff_mean(kp_diff* d, const kp_node* node, kp_value_id dy) {
  diff_add(d, node, op2(d, "Div", dy, scalar(d, out(d, node), node->input_count)));
}

static void diff_sub(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give_spread(d, node, 0, dy);
  if (wants(d, node, 1)) give_spread(d, node, 1, op1(d, "Neg", dy));
}

static void diff_mul(kp_diff* d, const kp_node* node, kp_value_id dy) {
  if (wants(d, node, 0)) give_spread(d, node, 0, mul(d, dy, in(d, node, 1)));
  if (wants(d, node, 1)) give_spread(d, node, 1, mul(d, dy, in(d, node, 0)));
}

// dy / b and -dy y / b
static void diff_div(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id part = op2(d, "Div", dy, in(d, node, 1));
  give_spread(d, node, 0, part);
  if (wants(d, node, 1)) give_spread(d, node, 1, op1(d, "Neg", mul(d, part, out(d, node))));
}

// dy b a^(b - 1), 0 where b is 0; dy y log(a), 0 where a is 0
static void diff_pow(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id a = in(d, node, 0), b = in(d, node, 1);
  const kp_value_id zero = scalar(d, a, 0), one = scalar(d, a, 1);
  const kp_value_id power = cast(d, b, element_of(d, a));
  if (wants(d, node, 0)) {
    const kp_value_id lower = op2(d, "Pow", a, op2(d, "Sub", power, one));
    const kp_value_id slope = choose(d, op2(d, "Equal", power, zero), zero, mul(d, power, lower));
    give_spread(d, node, 0, mul(d, dy, slope));
  }
  if (wants(d, node, 1)) {
    const kp_value_id base = choose(d, op2(d, "Equal", a, zero), one, a);
    const kp_value_id wide = mul(d, dy, mul(d, out(d, node), op1(d, "Log", base)));
    give_spread(d, node, 1, cast(d, wide, element_of(d, b)));
  }
}

static void diff_where(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id condition = in(d, node, 0), zero = scalar(d, out(d, node), 0);
  if (wants(d, node, 1)) give_spread(d, node, 1, choose(d, condition, dy, zero));
  if (wants(d, node, 2)) give_spread(d, node, 2, choose(d, condition, zero, dy));
}

// Of Max and Min: dy to the inputs that y is, in equal parts.
static void diff_extreme(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id y = out(d, node);
  const kapell_type element = element_of(d, y);
  kp_value_id parts = KP_NONE;
  for (uint32_t i = 0; i < node->input_count; ++i)
    parts = kp_gradient_add(d, parts, cast(d, op2(d, "Equal", in(d, node, i), y), element));
  const kp_value_id part = op2(d, "Div", dy, parts);
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (!wants(d, node, i)) continue;
    const kp_value_id chosen = cast(d, op2(d, "Equal", in(d, node, i), y), element);
    give_spread(d, node, i, mul(d, part, chosen));
  }
}

static void diff_expand(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give_spread(d, node, 0, dy);
}

static void diff_identity(kp_diff* d, const kp_node* node, kp_value_id dy) { give(d, node, 0, dy); }

static void diff_neg(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, op1(d, "Neg", dy));
}

static void diff_cast(kp_diff* d, const kp_node* node, kp_value_id dy) {
  if (wants(d, node, 0)) give(d, node, 0, cast(d, dy, element_of(d, in(d, node, 0))));
}

static void diff_abs(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, mul(d, dy, op1(d, "Sign", in(d, node, 0))));
}

static void diff_relu(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id x = in(d, node, 0), zero = scalar(d, x, 0);
  give(d, node, 0, choose(d, op2(d, "Greater", x, zero), dy, zero));
}

static void diff_exp(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, mul(d, dy, out(d, node)));
}

static void diff_log(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, op2(d, "Div", dy, in(d, node, 0)));
}

static void diff_sqrt(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id y = out(d, node);
  give(d, node, 0, op2(d, "Div", dy, op2(d, "Add", y, y)));
}

// dy y (1 - y)
static void diff_sigmoid(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id y = out(d, node);
  give(d, node, 0, mul(d, mul(d, dy, y), op2(d, "Sub", scalar(d, y, 1), y)));
}

// dy (1 - y y)
static void diff_tanh(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id y = out(d, node);
  give(d, node, 0, mul(d, dy, op2(d, "Sub", scalar(d, y, 1), mul(d, y, y))));
}

static void diff_softplus(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, mul(d, dy, op1(d, "Sigmoid", in(d, node, 0))));
}

static void diff_reciprocal(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id y = out(d, node);
  give(d, node, 0, op1(d, "Neg", mul(d, dy, mul(d, y, y))));
}

static void diff_sin(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, mul(d, dy, op1(d, "Cos", in(d, node, 0))));
}

static void diff_cos(kp_diff* d, const kp_node* node, kp_value_id dy) {
  give(d, node, 0, op1(d, "Neg", mul(d, dy, op1(d, "Sin", in(d, node, 0)))));
}

// dy exp(-x x) 2 / sqrt(pi)
static void diff_erf(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_value_id x = in(d, node, 0);
  const kp_value_id bell = op1(d, "Exp", op1(d, "Neg", mul(d, x, x)));
  give(d, node, 0, mul(d, dy, mul(d, bell, scalar(d, x, 2.0 / sqrt(acos(-1.0))))));
}

// --- shapes --------------------------------------------------------------------------------------------------------------
static void diff_reshape(kp_diff* d, const kp_node* node, kp_value_id dy) {
  if (wants(d, node, 0)) give(d, node, 0, reshape_like(d, dy, in(d, node, 0)));
}

static kp_value_id transpose(kp_diff* d, kp_value_id x, const int64_t* perm, size_t count) {
  const int64_t* kept = kp_arena_memdup(&d->e.graph->arena, perm, count * sizeof *perm);
  if (!kept && !d->status) d->status = KP_ERROR(OUT_OF_MEMORY, "a permutation");
  kp_attr attr = kp_emit_int(&d->e, "perm", 0);
  attr.type = KP_ONNX_ATTR_INTS;
  attr.ints = kept;
  attr.count = count;
  return make(d, "Transpose", &x, 1, &attr, 1);
}

static void diff_transpose(kp_diff* d, const kp_node* node, kp_value_id dy) {
  size_t count;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  int64_t inverse[KP_MAX_RANK] = {0};
  if (count == 0) {
    give(d, node, 0, op1(d, "Transpose", dy));
    return;
  }
  for (size_t i = 0; i < count; ++i) {  // that it is a permutation inference has checked
    if (count <= KP_MAX_RANK && perm[i] >= 0 && perm[i] < KP_MAX_RANK)
      inverse[perm[i]] = (int64_t)i;
  }
  give(d, node, 0, transpose(d, dy, inverse, kp_min_size(count, KP_MAX_RANK)));
}

// Parts of dy as long as the inputs are.
static void diff_concat(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const int64_t axis = kp_node_attr_i(node, "axis", 1);
  const kp_value_id place = integers(d, &axis, 1);
  const uint32_t count = node->input_count;
  kp_value_id* lengths = kp_arena_new_array(&d->arena, kp_value_id, count * (size_t)2);
  if (!lengths && !d->status) d->status = KP_ERROR(OUT_OF_MEMORY, "parts of a Concat");
  if (d->status) return;
  for (uint32_t i = 0; i < count; ++i)
    lengths[i] = op2(d, "Gather", op1(d, "Shape", in(d, node, i)), place);
  const kp_attr join = kp_emit_int(&d->e, "axis", 0), split = kp_emit_int(&d->e, "axis", axis);
  const kp_value_id inputs[2] = {dy, make(d, "Concat", lengths, count, &join, 1)};
  kp_value_id* parts = lengths + count;
  for (uint32_t i = 0; i < count; ++i) parts[i] = KP_NONE;
  const kp_node_spec spec = {.name = d->e.node.name,
                             .op = "Split",
                             .domain = "",
                             .version = KP_EMIT_OPSET,
                             .inputs = inputs,
                             .input_count = 2,
                             .outputs = parts,
                             .output_count = count,
                             .attrs = &split,
                             .attr_count = 1};
  kp_node_id unused;
  if (!d->status)
    d->status = kp_graph_add_node(d->e.graph, &spec, d->e.node.origins, d->e.node.origin_count,
                                  d->e.rewrite, &unused);
  for (uint32_t i = 0; i < count; ++i) give(d, node, i, parts[i]);
}

// --- sums ----------------------------------------------------------------------------------------------------------------
// The node again with the axes kept, whose shape is what dy must have to be spread over x.
static kp_value_id kept_axes(kp_diff* d, const kp_node* node) {
  kp_attr* attrs = kp_arena_new_array(&d->arena, kp_attr, node->attr_count + (size_t)1);
  kp_value_id inputs[2] = {in(d, node, 0), in(d, node, 1)}, kept = KP_NONE;
  if (!attrs && !d->status) d->status = KP_ERROR(OUT_OF_MEMORY, "attributes of a sum");
  if (d->status) return KP_NONE;
  uint32_t count = 0;
  attrs[count++] = kp_emit_int(&d->e, "keepdims", 1);
  for (uint32_t i = 0; i < node->attr_count; ++i)
    if (node->attrs[i].name != attrs[0].name) attrs[count++] = node->attrs[i];
  const kp_node_spec spec = {.name = d->e.node.name,
                             .op = node->op,
                             .domain = "",
                             .version = node->version,
                             .inputs = inputs,
                             .input_count = node->input_count < 2 ? 1 : 2,
                             .outputs = &kept,
                             .output_count = 1,
                             .attrs = attrs,
                             .attr_count = count};
  kp_node_id unused;
  d->status = kp_graph_add_node(d->e.graph, &spec, d->e.node.origins, d->e.node.origin_count,
                                d->e.rewrite, &unused);
  return kept;
}

static void diff_reduce_sum(kp_diff* d, const kp_node* node, kp_value_id dy) {
  if (!wants(d, node, 0)) return;
  const kp_value_id narrow = reshape_like(d, dy, kept_axes(d, node));
  give(d, node, 0, op2(d, "Expand", narrow, op1(d, "Shape", in(d, node, 0))));
}

// Each element of y is the mean of (elements of x) / (elements of y).
static void diff_reduce_mean(kp_diff* d, const kp_node* node, kp_value_id dy) {
  if (!wants(d, node, 0)) return;
  const kp_value_id x = in(d, node, 0);
  const kp_value_id sums =
      op2(d, "Max", op1(d, "Size", out(d, node)), integers(d, (int64_t[]){1}, 1));
  const kp_value_id each = op2(d, "Div", op1(d, "Size", x), sums);
  diff_reduce_sum(d, node, op2(d, "Div", dy, cast(d, each, element_of(d, x))));
}

// Softmax's axes: one since opset 13, before that all from it on.
static uint32_t softmax_axes(kp_diff* d, const kp_node* node, int64_t* axes) {
  const bool one = node->version >= 13;
  const int64_t axis = kp_node_attr_i(node, "axis", one ? -1 : 1);
  const int32_t rank = type_of(d, in(d, node, 0))->rank;
  axes[0] = axis;
  if (one) return 1;
  uint32_t count = 0;
  if (rank < 0 || rank > KP_MAX_RANK)
    fail(d, node, "the rank of its input is not known before a run");
  if (d->status) return 0;
  for (int64_t a = axis < 0 ? axis + rank : axis; a < rank && a >= 0; ++a) axes[count++] = a;
  return count;
}

// (dy - sum(dy y)) y
static void diff_softmax(kp_diff* d, const kp_node* node, kp_value_id dy) {
  int64_t axes[KP_MAX_RANK + 1];
  const kp_value_id y = out(d, node);
  const uint32_t count = softmax_axes(d, node, axes);
  const kp_value_id sum = sum_over(d, mul(d, dy, y), axes, count);
  give(d, node, 0, mul(d, op2(d, "Sub", dy, sum), y));
}

// dy - exp(y) sum(dy)
static void diff_log_softmax(kp_diff* d, const kp_node* node, kp_value_id dy) {
  int64_t axes[KP_MAX_RANK + 1];
  const uint32_t count = softmax_axes(d, node, axes);
  const kp_value_id sum = sum_over(d, dy, axes, count);
  give(d, node, 0, op2(d, "Sub", dy, mul(d, op1(d, "Exp", out(d, node)), sum)));
}

// --- products ------------------------------------------------------------------------------------------------------------
static kp_value_id insert_axes(kp_diff* d, kp_value_id x, const int64_t* axes, uint32_t count) {
  return count ? op2(d, "Unsqueeze", x, integers(d, axes, count)) : x;
}

// The last two axes swapped.
static kp_value_id turned(kp_diff* d, kp_value_id x, int32_t rank) {
  int64_t perm[KP_MAX_RANK];
  for (int32_t i = 0; i < rank; ++i) perm[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
  return transpose(d, x, perm, (size_t)rank);
}

static void give_product(kp_diff* d, const kp_node* node, uint32_t index, kp_value_id gradient,
                         int32_t y_rank) {
  const int32_t rank = type_of(d, in(d, node, index))->rank;
  kp_value_id sum = add_up(d, node, index, gradient, rank < 2 ? 0 : rank - 2, y_rank - 2);
  if (rank < 2 && y_rank == 2 && !d->status) sum = reshape_like(d, sum, in(d, node, index));
  give(d, node, index, sum);
}

// dy b^T and a^T dy, where a vector is a matrix of one row (a) or column (b) and dy has that axis, too.
static void diff_matmul(kp_diff* d, const kp_node* node, kp_value_id dy) {
  kp_value_id a = in(d, node, 0), b = in(d, node, 1);
  int32_t a_rank = type_of(d, a)->rank, b_rank = type_of(d, b)->rank;
  const bool row = a_rank == 1, column = b_rank == 1;
  if (row) a_rank = 2;
  if (column) b_rank = 2;
  const int32_t y_rank = a_rank > b_rank ? a_rank : b_rank;
  const int32_t given = type_of(d, out(d, node))->rank;
  if (a_rank < 2 || b_rank < 2 || y_rank > KP_MAX_RANK || given != y_rank - row - column)
    fail(d, node, "the rank of an input is not known before a run");
  if (d->status) return;
  static const int64_t axes[2] = {-2, -1};
  dy = insert_axes(d, dy, row ? axes : axes + 1, (uint32_t)row + column);
  a = insert_axes(d, a, (int64_t[]){0}, row);
  b = insert_axes(d, b, (int64_t[]){1}, column);
  if (wants(d, node, 0))
    give_product(d, node, 0, op2(d, "MatMul", dy, turned(d, b, b_rank)), y_rank);
  if (wants(d, node, 1))
    give_product(d, node, 1, op2(d, "MatMul", turned(d, a, a_rank), dy), y_rank);
}

typedef struct gemm_side {
  kp_value_id value;
  bool turned;
} gemm_side;

static kp_value_id gemm(kp_diff* d, const kp_attr* alpha, gemm_side a, gemm_side b) {
  kp_attr attrs[3] = {kp_emit_int(&d->e, "transA", a.turned),
                      kp_emit_int(&d->e, "transB", b.turned)};
  if (alpha) attrs[2] = *alpha;
  return make(d, "Gemm", (kp_value_id[]){a.value, b.value}, 2, attrs, alpha ? 3 : 2);
}

// Of alpha A B + beta C, A and B as they are after their transposes: alpha dy B^T and alpha A^T dy, transposed where A or B is.
static void diff_gemm(kp_diff* d, const kp_node* node, kp_value_id dy) {
  const kp_attr* alpha = kp_node_attr(node, "alpha");
  const gemm_side a = {in(d, node, 0), kp_node_attr_i(node, "transA", 0) != 0};
  const gemm_side b = {in(d, node, 1), kp_node_attr_i(node, "transB", 0) != 0};
  const gemm_side plain = {dy, false}, other = {dy, true};
  const gemm_side not_a = {a.value, !a.turned}, not_b = {b.value, !b.turned};
  if (wants(d, node, 0))
    give(d, node, 0, a.turned ? gemm(d, alpha, b, other) : gemm(d, alpha, plain, not_b));
  if (wants(d, node, 1))
    give(d, node, 1, b.turned ? gemm(d, alpha, other, a) : gemm(d, alpha, not_a, plain));
  const float beta = kp_node_attr_f(node, "beta", 1.0f);
  if (wants(d, node, 2)) give_spread(d, node, 2, mul(d, dy, scalar(d, out(d, node), (double)beta)));
}

kp_gradient_fn kp_gradient_find(const kp_node* node) {
  static const struct {
    const char* op;
    kp_gradient_fn fn;
  } rules[] = {
      {"Abs", diff_abs},
      {"Add", diff_add},
      {"Cast", diff_cast},
      {"CastLike", diff_cast},
      {"Concat", diff_concat},
      {"Cos", diff_cos},
      {"Div", diff_div},
      {"Erf", diff_erf},
      {"Exp", diff_exp},
      {"Expand", diff_expand},
      {"Flatten", diff_reshape},
      {"Gemm", diff_gemm},
      {"Identity", diff_identity},
      {"Log", diff_log},
      {"LogSoftmax", diff_log_softmax},
      {"MatMul", diff_matmul},
      {"Max", diff_extreme},
      {"Mean", diff_mean},
      {"Min", diff_extreme},
      {"Mul", diff_mul},
      {"Neg", diff_neg},
      {"Pow", diff_pow},
      {"Reciprocal", diff_reciprocal},
      {"ReduceMean", diff_reduce_mean},
      {"ReduceSum", diff_reduce_sum},
      {"Relu", diff_relu},
      {"Reshape", diff_reshape},
      {"Sigmoid", diff_sigmoid},
      {"Sin", diff_sin},
      {"Softmax", diff_softmax},
      {"Softplus", diff_softplus},
      {"Sqrt", diff_sqrt},
      {"Squeeze", diff_reshape},
      {"Sub", diff_sub},
      {"Sum", diff_add},
      {"Tanh", diff_tanh},
      {"Transpose", diff_transpose},
      {"Unsqueeze", diff_reshape},
      {"Where", diff_where},
  };
  for (size_t i = 0; i < KP_COUNT_OF(rules); ++i)
    if (kp_node_is(node, "", rules[i].op)) return rules[i].fn;
  return NULL;
}
