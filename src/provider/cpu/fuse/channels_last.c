// Moves convolution networks to channels-last layout inside of a partition: kernel/conv wants [N, spatial..., C].
//
// Nodes are visited in order. A value may have a *twin*: the same value channels-last. Convolutions and transposed ones (f32, constant
// filters, one to three spatial dims) always give a twin; pools, Resize, elementwise operators, Concat and Split do where an input has one
// already. What reads a value whose twin alone is computed gets it through a Transpose back. Both Transposes exist only where
// somebody needs them: unused ones are pruned, so between two convolutions nothing is moved.
// The first convolution on few channels reads the picture as it comes (attribute first).
// Quantized convolutions (kapell.QLinearConv), sums of bytes, pools of bytes and quantization with one scale move likewise.
#include "base/size.h"
#include "provider/cpu/fuse/match.h"

typedef struct layout {
  kp_pass* pass;
  kp_graph* graph;
  kp_value_id* twins;  // value -> its channels-last twin, or KP_NONE
  uint32_t capacity;
} layout;

static const char kName[] = "channels-last layout";

// --- twins ------------------------------------------------------------------------------------------------------------------------
static kp_value_id twin_of(const layout* l, kp_value_id value) {
  return value != KP_NONE && value < l->capacity ? l->twins[value] : KP_NONE;
}

static kp_status* set_twin(layout* l, kp_value_id value, kp_value_id twin) {
  if (value >= l->capacity) {
    const uint32_t capacity = value * 2 + 64;
    kp_value_id* grown = kp_arena_new_array(l->pass->scratch, kp_value_id, capacity);
    if (!grown) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
    for (uint32_t i = 0; i < capacity; ++i) grown[i] = i < l->capacity ? l->twins[i] : KP_NONE;
    l->twins = grown;
    l->capacity = capacity;
  }
  l->twins[value] = twin;
  return NULL;
}

static bool picture_rank(const kp_graph* graph, kp_value_id value, int32_t* out_rank) {
  if (value == KP_NONE) return false;
  const kp_type* type = &graph->values[value].type;
  *out_rank = type->rank;
  return type->kind == KAPELL_KIND_TENSOR && type->rank >= 3 && type->rank <= 5;
}

// perm[d] of the Transpose to channels-last, or back.
static void permutation(int32_t rank, bool back, int64_t* perm) {
  for (int32_t d = 0; d < rank; ++d) {
    if (d == 0) {
      perm[d] = 0;
    } else if (back) {
      perm[d] = d == 1 ? rank - 1 : d - 1;
    } else {
      perm[d] = d == rank - 1 ? 1 : d + 1;
    }
  }
}

static void permute_dims(const kp_expr* dims, int32_t rank, bool back, kp_expr* out) {
  int64_t perm[KP_MAX_RANK];
  permutation(rank, back, perm);
  for (int32_t d = 0; d < rank; ++d) out[d] = dims[perm[d]];
}

// A fresh value typed as the twin of |value|.
static kp_status* make_twin(layout* l, kp_value_id value, kp_value_id* out_twin) {
  const kp_type type = l->graph->values[value].type;
  kp_expr dims[KP_MAX_RANK];
  permute_dims(type.dims, type.rank, false, dims);
  KP_PASS(kp_make_value(l->graph, type.element, dims, type.rank, out_twin));
  return set_twin(l, value, *out_twin);
}

static kp_status* transpose_spec(layout* l, int32_t rank, bool back, const kp_value_id* from,
                                 kp_value_id* to, kp_attr* attr, kp_node_spec* out_spec) {
  int64_t perm[KP_MAX_RANK];
  permutation(rank, back, perm);
  *attr = kp_make_ints(l->graph, "perm", perm, (size_t)rank);
  if (!attr->name) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  *out_spec = (kp_node_spec){.op = "Transpose",
                             .domain = "",
                             .version = 13,
                             .inputs = from,
                             .input_count = 1,
                             .outputs = to,
                             .output_count = 1,
                             .attrs = attr,
                             .attr_count = 1};
  return NULL;
}

// The twin of |value|, made by a Transpose if there is none. |reader|'s origins are the Transpose's.
static kp_status* want_twin(layout* l, kp_value_id value, kp_node_id reader,
                            kp_value_id* out_twin) {
  *out_twin = twin_of(l, value);
  if (*out_twin != KP_NONE) return NULL;
  const int32_t rank = l->graph->values[value].type.rank;
  kp_attr attr;
  kp_node_spec spec;
  KP_PASS(make_twin(l, value, out_twin));
  kp_value_id output = *out_twin;
  KP_PASS(transpose_spec(l, rank, false, &value, &output, &attr, &spec));
  const kp_rewrite rewrite = {.name = kName, .fresh = &spec, .fresh_count = 1, .origin_of = reader};
  ++l->pass->changes;
  return kp_graph_rewrite(l->graph, &rewrite);
}

#define MOST_OUTPUTS 64  // of a node that is converted

// Replaces |id| by |spec|, whose outputs are twins, and Transposes back to the old outputs; |spec| has no name and no outputs.
static kp_status* convert(layout* l, kp_node_id id, const kp_node_spec* spec) {
  const kp_node* node = &l->graph->nodes[id];
  const uint32_t count = node->output_count;
  kp_value_id old[MOST_OUTPUTS], twins[MOST_OUTPUTS];
  kp_attr attrs[MOST_OUTPUTS];
  kp_node_spec fresh[MOST_OUTPUTS + 1];
  if (count > MOST_OUTPUTS)
    return KP_ERROR(INTERNAL, "a node of %u outputs in the layout pass", count);
  for (uint32_t i = 0; i < count; ++i) {
    old[i] = node->outputs[i];
    KP_PASS(make_twin(l, old[i], &twins[i]));
    KP_PASS(transpose_spec(l, l->graph->values[old[i]].type.rank, true, &twins[i], &old[i],
                           &attrs[i], &fresh[i + 1]));
  }
  fresh[0] = *spec;
  fresh[0].name = l->graph->nodes[id].name;
  fresh[0].outputs = twins;
  fresh[0].output_count = count;
  const kp_rewrite rewrite = {.name = kName,
                              .old_nodes = &id,
                              .old_count = 1,
                              .fresh = fresh,
                              .fresh_count = count + 1,
                              .origin_of = KP_NONE};
  ++l->pass->changes;
  return kp_graph_rewrite(l->graph, &rewrite);
}

// --- convolutions -------------------------------------------------------------------------------------------------------------------
#define FEW_CHANNELS 4  // the first layer reads so many channels as they come

static kp_value_id input_of(const kp_node* node, uint32_t index) {
  return index < node->input_count ? node->inputs[index] : KP_NONE;
}

// Does kernel/conv take the node? Everything that it checks again when preparing.
static bool conv_fits(const kp_graph* graph, const kp_node* node) {
  int32_t rank;
  const kapell_value* w = node->input_count > 1 ? kp_match_f32(graph, node->inputs[1]) : NULL;
  if (!w || !picture_rank(graph, node->inputs[0], &rank) || w->rank != rank ||
      !kp_match_is_f32(graph, node->inputs[0]))
    return false;
  if (node->output_count != 1 || !picture_rank(graph, node->outputs[0], &rank)) return false;
  const kp_expr channels = graph->values[node->inputs[0]].type.dims[1];
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  if (groups < 1 || w->dims[0] < 1 || w->dims[0] % groups || !kp_is_number(channels) ||
      channels != w->dims[1] * groups)
    return false;
  for (int32_t d = 1; d < rank; ++d)
    if (w->dims[d] < 1) return false;
  const kp_value_id z = input_of(node, 3);  // FusedConv
  if (z != KP_NONE && !kp_same_shape(graph, z, node->outputs[0])) return false;
  if (input_of(node, 2) == KP_NONE) return true;
  const kapell_value* bias = kp_match_f32(graph, node->inputs[2]);
  return bias && bias->byte_count == (size_t)w->dims[0] * sizeof(float);
}

static bool reads_first(const layout* l, const kp_node* node) {
  const kapell_value* w = l->graph->values[node->inputs[1]].constant;
  size_t count;
  const int64_t* dilations = kp_node_attr_ints(node, "dilations", &count);
  return twin_of(l, node->inputs[0]) == KP_NONE && kp_node_attr_i(node, "group", 1) == 1 &&
         w->rank <= 4 && w->dims[1] <= FEW_CHANNELS && (!count || dilations[count - 1] == 1);
}

// The node's attributes save |dropped| (NULL: none) and |more| free entries behind them; NULL: out of memory.
static kp_attr* attrs_but(layout* l, const kp_node* node, const char* dropped, size_t more) {
  kp_attr* attrs = kp_arena_new_array(&l->graph->arena, kp_attr, node->attr_count + more);
  size_t kept = 0;
  for (uint32_t i = 0; attrs && i < node->attr_count; ++i)
    if (!dropped || strcmp(node->attrs[i].name, dropped) != 0) attrs[kept++] = node->attrs[i];
  return attrs;
}

// Conv, and FusedConv, whose addition and activation kapell.Conv does as well.
static kp_status* convert_conv(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const bool first = reads_first(l, node);
  kp_act act = {KP_ACT_NONE, 0, 0};
  if (node->domain[0] && !kp_read_fused_act(node, &act)) return NULL;
  kp_value_id inputs[4] = {node->inputs[0], node->inputs[1], input_of(node, 2), input_of(node, 3)};
  if (!first) KP_PASS(want_twin(l, inputs[0], id, &inputs[0]));
  if (inputs[3] != KP_NONE) KP_PASS(want_twin(l, inputs[3], id, &inputs[3]));
  node = &l->graph->nodes[id];
  kp_attr* attrs = attrs_but(l, node, NULL, 4);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  attrs[node->attr_count] = kp_make_int(l->graph, "first", first);
  kp_make_act(l->graph, &act, attrs + node->attr_count + 1);
  kp_node_spec spec = {.op = "Conv",
                       .domain = "kapell",
                       .version = 1,
                       .inputs = inputs,
                       .input_count = inputs[3] != KP_NONE ? 4 : 3,
                       .attrs = attrs,
                       .attr_count = node->attr_count + (act.kind == KP_ACT_NONE ? 1 : 4)};
  return convert(l, id, &spec);
}

// Does kapell.ConvTranspose take the node? Groups of a few channels are left to the operator as it is: the panels that filters are
// packed into would be mostly empty.
#define GROUP_CHANNELS_MIN 8

static bool transpose_fits(const kp_graph* graph, const kp_node* node) {
  int32_t rank;
  const kapell_value* w = node->input_count > 1 ? kp_match_f32(graph, node->inputs[1]) : NULL;
  if (!w || node->output_count != 1 || !kp_match_is_f32(graph, node->inputs[0]) ||
      !picture_rank(graph, node->inputs[0], &rank) || w->rank != rank ||
      !picture_rank(graph, node->outputs[0], &rank) || kp_value_count(w) == 0)
    return false;
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  size_t sizes;  // old files repeat batch and channels in output_shape
  kp_node_attr_ints(node, "output_shape", &sizes);
  if (groups < 1 || w->dims[0] % groups ||
      graph->values[node->inputs[0]].type.dims[1] != w->dims[0] ||
      (groups > 1 && w->dims[1] < GROUP_CHANNELS_MIN) || sizes > (size_t)rank - 2)
    return false;
  if (input_of(node, 2) == KP_NONE) return true;
  const kapell_value* bias = kp_match_f32(graph, node->inputs[2]);
  return bias && bias->byte_count == (size_t)(w->dims[1] * groups) * sizeof(float);
}

static kp_status* convert_transpose(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  kp_value_id inputs[3] = {node->inputs[0], node->inputs[1], input_of(node, 2)};
  KP_PASS(want_twin(l, inputs[0], id, &inputs[0]));
  node = &l->graph->nodes[id];
  kp_node_spec spec = {.op = "ConvTranspose",
                       .domain = "kapell",
                       .version = 1,
                       .inputs = inputs,
                       .input_count = 3,
                       .attrs = node->attrs,
                       .attr_count = node->attr_count};
  return convert(l, id, &spec);
}

// com.microsoft's NhwcConv and NhwcFusedConv are kapell.Conv already; nothing moves.
static bool nhwc_fits(const kp_graph* graph, const kp_node* node) {
  const kapell_value* w = node->input_count > 1 ? kp_match_f32(graph, node->inputs[1]) : NULL;
  int32_t rank;
  if (!w || node->output_count != 1 || !kp_match_is_f32(graph, node->inputs[0]) ||
      kp_value_count(w) == 0 || !picture_rank(graph, node->inputs[0], &rank) || w->rank != rank ||
      rank > 4)
    return false;
  const int64_t groups = kp_node_attr_i(node, "group", 1);
  if (groups < 1 || w->dims[0] % groups ||
      graph->values[node->inputs[0]].type.dims[rank - 1] != w->dims[1] * groups)
    return false;
  const kp_value_id z = input_of(node, 3);
  if (z != KP_NONE && !kp_same_shape(graph, z, node->outputs[0])) return false;
  if (input_of(node, 2) == KP_NONE) return true;
  const kapell_value* bias = kp_match_f32(graph, node->inputs[2]);
  return bias && bias->byte_count == (size_t)w->dims[0] * sizeof(float);
}

static kp_status* convert_nhwc(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  kp_act act;
  if (!kp_read_fused_act(node, &act)) return NULL;
  const kp_value_id inputs[4] = {node->inputs[0], node->inputs[1], input_of(node, 2),
                                 input_of(node, 3)};
  kp_value_id output = node->outputs[0];
  kp_attr* attrs = attrs_but(l, node, NULL, 3);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  kp_make_act(l->graph, &act, attrs + node->attr_count);
  kp_node_spec spec = {.name = node->name,
                       .op = "Conv",
                       .domain = "kapell",
                       .version = 1,
                       .inputs = inputs,
                       .input_count = inputs[3] != KP_NONE ? 4 : 3,
                       .outputs = &output,
                       .output_count = 1,
                       .attrs = attrs,
                       .attr_count = node->attr_count + 3};
  return kp_pass_replace(l->pass, kName, &id, 1, &spec);
}

// --- pools and batch normalization ----------------------------------------------------------------------------------------------------
static bool is_pool(const kp_graph* graph, const kp_node* node) {
  int32_t rank;
  if (!picture_rank(graph, node->inputs[0], &rank) || !kp_match_is_f32(graph, node->inputs[0]))
    return false;
  if (node->output_count != 1 || node->outputs[0] == KP_NONE ||
      !picture_rank(graph, node->outputs[0], &rank))
    return false;
  return !strcmp(node->op, "MaxPool") || !strcmp(node->op, "AveragePool") ||
         !strcmp(node->op, "GlobalAveragePool") || !strcmp(node->op, "GlobalMaxPool");
}

// By |op| of |domain| on the twin of the first input, attributes as they are.
static kp_status* convert_alone(layout* l, kp_node_id id, const char* op, const char* domain) {
  const kp_node* node = &l->graph->nodes[id];
  const kp_value_id input = twin_of(l, node->inputs[0]);
  kp_node_spec spec = {.op = op,
                       .domain = domain,
                       .version = 1,
                       .inputs = &input,
                       .input_count = 1,
                       .attrs = node->attrs,
                       .attr_count = node->attr_count};
  return convert(l, id, &spec);
}

static kp_status* convert_pool(layout* l, kp_node_id id) {
  return convert_alone(l, id, l->graph->nodes[id].op, "kapell");
}

static bool is_norm(const kp_graph* graph, const kp_node* node) {
  if (!kp_node_is(node, "", "BatchNormalization") || node->input_count < 5 ||
      node->output_count != 1)
    return false;
  if (kp_node_attr_i(node, "training_mode", 0) || !kp_match_is_f32(graph, node->inputs[0]))
    return false;
  const kapell_value* scale = kp_match_f32(graph, node->inputs[1]);
  for (uint32_t i = 1; i < 5; ++i) {
    const kapell_value* value = kp_match_f32(graph, node->inputs[i]);
    if (!value || value->byte_count != scale->byte_count || value->byte_count == 0) return false;
  }
  return true;
}

static kp_status* convert_norm(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const float* in[5] = {0};
  for (uint32_t i = 1; i < 5; ++i) in[i] = l->graph->values[node->inputs[i]].constant->data;
  const int64_t channels =
      (int64_t)(l->graph->values[node->inputs[1]].constant->byte_count / sizeof(float));
  const double epsilon = kp_node_attr_f(node, "epsilon", 1e-5f);
  float *scale, *shift;
  kp_value_id inputs[3] = {twin_of(l, node->inputs[0]), KP_NONE, KP_NONE};
  KP_PASS(kp_make_f32(l->graph, &channels, 1, &scale, &inputs[1]));
  KP_PASS(kp_make_f32(l->graph, &channels, 1, &shift, &inputs[2]));
  for (int64_t c = 0; c < channels; ++c) {
    const double s = (double)in[1][c] / __builtin_sqrt((double)in[4][c] + epsilon);
    scale[c] = (float)s;
    shift[c] = (float)((double)in[2][c] - (double)in[3][c] * s);
  }
  kp_node_spec spec = {
      .op = "ScaleShift", .domain = "kapell", .version = 1, .inputs = inputs, .input_count = 3};
  return convert(l, id, &spec);
}

static bool is_instance_norm(const kp_graph* graph, const kp_node* node) {
  int32_t rank;
  return kp_node_is(node, "", "InstanceNormalization") && node->input_count == 3 &&
         node->output_count == 1 && picture_rank(graph, node->outputs[0], &rank) &&
         kp_match_is_f32(graph, node->inputs[0]) && kp_match_is_f32(graph, node->inputs[1]) &&
         kp_match_is_f32(graph, node->inputs[2]) && !kp_node_attr(node, "consumed_inputs");
}

static kp_status* convert_instance_norm(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const kp_value_id inputs[3] = {twin_of(l, node->inputs[0]), node->inputs[1], node->inputs[2]};
  kp_node_spec spec = {.op = "InstanceNormalization",
                       .domain = "kapell",
                       .version = 1,
                       .inputs = inputs,
                       .input_count = 3,
                       .attrs = node->attrs,
                       .attr_count = node->attr_count};
  return convert(l, id, &spec);
}

// --- elementwise -----------------------------------------------------------------------------------------------------------------------
static bool in_list(const char* const* list, const char* op) {
  for (; *list; ++list)
    if (strcmp(*list, op) == 0) return true;
  return false;
}

// Operators that treat all elements alike and broadcast as numpy does.
static bool is_elementwise(const kp_node* node) {
  static const char* const kOps[] = {
      "Relu",     "LeakyRelu", "Clip",  "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
      "Elu",      "Selu",      "Celu",  "Mish",    "Softplus",    "Softsign",  "ThresholdedRelu",
      "Erf",      "Gelu",      "Swish", "Exp",     "Log",         "Sqrt",      "Neg",
      "Abs",      "Floor",     "Ceil",  "Round",   "Reciprocal",  "Sign",      "Cast",
      "Identity", "Add",       "Sub",   "Mul",     "Div",         "Pow",       "Min",
      "Max",      "Sum",       "Mean",  "Where",   "PRelu",       "Greater",   "Less",
      "Equal",    NULL};
  return node->domain[0] == 0 && node->output_count == 1 && in_list(kOps, node->op) &&
         !kp_node_attr(node, "broadcast");
}

// The constant |value|, of rank up to |rank|, as it stands against channels-last operands.
static kp_status* permuted_constant(layout* l, kp_value_id value, int32_t rank,
                                    kp_value_id* out_value) {
  const kapell_value* from = l->graph->values[value].constant;
  const size_t size = kp_type_bits(from->type) / 8;
  int64_t dims[KP_MAX_RANK], permuted[KP_MAX_RANK], perm[KP_MAX_RANK], strides[KP_MAX_RANK],
      stride = 1;
  for (int32_t d = 0; d < rank; ++d)
    dims[d] = d < rank - from->rank ? 1 : from->dims[d - (rank - from->rank)];
  permutation(rank, false, perm);
  for (int32_t d = rank; d-- > 0; stride *= dims[d]) strides[d] = stride;
  for (int32_t d = 0; d < rank; ++d) permuted[d] = dims[perm[d]];
  kapell_value* to;
  KP_PASS(kp_value_create_tensor(from->type, permuted, rank, &to));
  const size_t count = kp_value_count(to);
  int64_t at[KP_MAX_RANK] = {0};
  for (size_t i = 0; i < count; ++i) {
    int64_t source = 0;
    for (int32_t d = 0; d < rank; ++d) source += at[d] * strides[perm[d]];
    memcpy((char*)to->data + i * size, (const char*)from->data + (size_t)source * size, size);
    for (int32_t d = rank; d-- > 0 && ++at[d] == permuted[d];) at[d] = 0;
  }
  return kp_graph_add_constant(l->graph, NULL, to, out_value);
}

// How an operand comes: as its twin, unchanged (one element), as a permuted constant, or not at all.
static bool operand_fits(const layout* l, kp_value_id value, int32_t rank) {
  if (value == KP_NONE) return true;
  const kp_value* v = &l->graph->values[value];
  if (v->constant) {
    if (v->constant->kind != KAPELL_KIND_TENSOR || v->constant->type == KAPELL_STRING ||
        v->constant->rank > rank)
      return false;
    return kp_type_bits(v->constant->type) >= 8;
  }
  return v->type.kind == KAPELL_KIND_TENSOR && v->type.rank == rank;
}

static kp_status* operand(layout* l, kp_value_id value, int32_t rank, kp_node_id reader,
                          kp_value_id* out_value) {
  *out_value = value;
  if (value == KP_NONE) return NULL;
  const kapell_value* constant = l->graph->values[value].constant;
  if (!constant) return want_twin(l, value, reader, out_value);
  if (kp_value_count(constant) == 1) return NULL;
  return permuted_constant(l, value, rank, out_value);
}

static bool any_twin(const layout* l, const kp_node* node) {
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (twin_of(l, node->inputs[i]) != KP_NONE) return true;
  return false;
}

static bool elementwise_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  if (!is_elementwise(node) || !picture_rank(l->graph, node->outputs[0], &rank)) return false;
  for (uint32_t i = 0; i < node->input_count; ++i)
    if (!operand_fits(l, node->inputs[i], rank)) return false;
  return true;
}

static kp_status* convert_same(layout* l, kp_node_id id, const kp_attr* attrs,
                               uint32_t attr_count) {
  const kp_node* node = &l->graph->nodes[id];
  const int32_t rank = l->graph->values[node->outputs[0]].type.rank;
  const uint32_t count = node->input_count;
  kp_value_id* inputs = kp_arena_new_array(l->pass->scratch, kp_value_id, (size_t)count + 1);
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  for (uint32_t i = 0; i < count; ++i)
    KP_PASS(operand(l, l->graph->nodes[id].inputs[i], rank, id, &inputs[i]));
  node = &l->graph->nodes[id];
  kp_node_spec spec = {.op = node->op,
                       .domain = node->domain,
                       .version = node->version,
                       .inputs = inputs,
                       .input_count = count,
                       .attrs = attrs,
                       .attr_count = attr_count};
  return convert(l, id, &spec);
}

// --- operators with an axis ------------------------------------------------------------------------------------------------------------
static bool concat_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  if (!kp_node_is(node, "", "Concat") || !picture_rank(l->graph, node->outputs[0], &rank))
    return false;
  uint32_t twins = 0;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    if (!operand_fits(l, node->inputs[i], rank) ||
        l->graph->values[node->inputs[i]].type.rank != rank)
      return false;
    twins += twin_of(l, node->inputs[i]) != KP_NONE;
  }
  return twins * 2 >= node->input_count;  // else moving the others costs more than it saves
}

// Where axis |axis| of a channels-first tensor stands channels-last.
static int64_t moved_axis(int64_t axis, int32_t rank) {
  if (axis < 0) axis += rank;
  return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

static kp_status* convert_concat(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const int32_t rank = l->graph->values[node->outputs[0]].type.rank;
  kp_attr* axis = kp_arena_new(&l->graph->arena, kp_attr);
  if (!axis) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  *axis = kp_make_int(l->graph, "axis", moved_axis(kp_node_attr_i(node, "axis", 1), rank));
  return convert_same(l, id, axis, 1);
}

static bool split_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  if (!kp_node_is(node, "", "Split") || twin_of(l, node->inputs[0]) == KP_NONE) return false;
  for (uint32_t i = 0; i < node->output_count; ++i)
    if (node->outputs[i] == KP_NONE || !picture_rank(l->graph, node->outputs[i], &rank))
      return false;
  return node->output_count <= MOST_OUTPUTS;
}

static kp_status* convert_split(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const int32_t rank = l->graph->values[node->inputs[0]].type.rank;
  kp_attr* attrs = attrs_but(l, node, "axis", 1);
  if (!attrs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  const uint32_t kept = node->attr_count - (kp_node_attr(node, "axis") != NULL);
  attrs[kept] = kp_make_int(l->graph, "axis", moved_axis(kp_node_attr_i(node, "axis", 0), rank));
  const kp_value_id inputs[2] = {twin_of(l, node->inputs[0]), input_of(node, 1)};
  kp_node_spec spec = {.op = "Split",
                       .domain = "",
                       .version = node->version,
                       .inputs = inputs,
                       .input_count = node->input_count > 1 ? 2 : 1,
                       .attrs = attrs,
                       .attr_count = kept + 1};
  return convert(l, id, &spec);
}

// Resize, and Upsample since it has scales as an input, which is the same as Resize-10. The operator works on any layout; axes say
// where the dims that scales, sizes and regions speak of have gone, in their order.
static bool resize_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  const bool upsample = kp_node_is(node, "", "Upsample") && node->version >= 9;
  return (upsample || kp_node_is(node, "", "Resize")) && node->output_count == 1 &&
         twin_of(l, node->inputs[0]) != KP_NONE && picture_rank(l->graph, node->outputs[0], &rank);
}

static kp_status* convert_resize(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const int32_t rank = l->graph->values[node->outputs[0]].type.rank;
  size_t given;
  const int64_t* list = kp_node_attr_ints(node, "axes", &given);
  int64_t axes[KP_MAX_RANK];
  const size_t count = given ? kp_min_size(given, KP_MAX_RANK) : (size_t)rank;
  for (size_t i = 0; i < count; ++i) axes[i] = moved_axis(given ? list[i] : (int64_t)i, rank);
  const uint32_t kept = node->attr_count - (kp_node_attr(node, "axes") != NULL);
  kp_attr* attrs = attrs_but(l, node, "axes", 1);
  kp_value_id* inputs =
      kp_arena_memdup(l->pass->scratch, node->inputs, node->input_count * sizeof(*inputs));
  if (!attrs || !inputs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  attrs[kept] = kp_make_ints(l->graph, "axes", axes, count);
  if (!attrs[kept].name) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  inputs[0] = twin_of(l, node->inputs[0]);
  kp_node_spec spec = {.op = "Resize",
                       .domain = "",
                       .version = kp_node_is(node, "", "Upsample") ? 10 : node->version,
                       .inputs = inputs,
                       .input_count = node->input_count,
                       .attrs = attrs,
                       .attr_count = kept + 1};
  return convert(l, id, &spec);
}

// --- bytes -----------------------------------------------------------------------------------------------------------------------------
// kernel/qconv works channels-last whatever comes: only where nobody before or after does is nothing gained.
static bool qconv_fits(const kp_graph* graph, const kp_node* node) {
  int32_t rank;
  const bool known =
      kp_node_is(node, "kapell", "QLinearConv") ||
      ((kp_node_is(node, "", "QLinearConv") || kp_node_is(node, "com.microsoft", "QLinearConv")) &&
       graph->values[node->inputs[3]].constant && !kp_node_attr_i(node, "channels_last", 0));
  return known && picture_rank(graph, node->inputs[0], &rank) && rank <= 4 &&
         picture_rank(graph, node->outputs[0], &rank) && !kp_node_attr(node, "out_last");
}

static kp_status* convert_qconv(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  const uint32_t count = node->input_count;
  const kp_expr channels = l->graph->values[node->inputs[0]].type.dims[1];
  const bool first =
      twin_of(l, node->inputs[0]) == KP_NONE && kp_is_number(channels) && channels <= FEW_CHANNELS;
  kp_value_id* inputs = kp_arena_memdup(l->pass->scratch, node->inputs, count * sizeof(*inputs));
  kp_attr* attrs = kp_arena_new_array(&l->graph->arena, kp_attr, (size_t)node->attr_count + 2);
  if (!inputs || !attrs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  if (!first) KP_PASS(want_twin(l, inputs[0], id, &inputs[0]));
  node = &l->graph->nodes[id];
  if (node->attr_count) memcpy(attrs, node->attrs, node->attr_count * sizeof(*attrs));
  attrs[node->attr_count] = kp_make_int(l->graph, "in_last", !first);
  attrs[node->attr_count + 1] = kp_make_int(l->graph, "out_last", 1);
  kp_node_spec spec = {.op = "QLinearConv",
                       .domain = "kapell",
                       .version = 1,
                       .inputs = inputs,
                       .input_count = count,
                       .attrs = attrs,
                       .attr_count = node->attr_count + 2};
  return convert(l, id, &spec);
}

// kapell's, and com.microsoft's where nothing is broadcast.
static bool qbinary_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  if (strcmp(node->op, "QLinearAdd") != 0 && strcmp(node->op, "QLinearMul") != 0) return false;
  if (!picture_rank(l->graph, node->outputs[0], &rank) || !any_twin(l, node)) return false;
  return strcmp(node->domain, "kapell") == 0 ||
         (kp_same_shape(l->graph, node->inputs[0], node->outputs[0]) &&
          kp_same_shape(l->graph, node->inputs[3], node->outputs[0]));
}

static kp_status* convert_qbinary(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  kp_value_id* inputs =
      kp_arena_memdup(l->pass->scratch, node->inputs, node->input_count * sizeof(*inputs));
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  KP_PASS(want_twin(l, inputs[0], id, &inputs[0]));
  KP_PASS(want_twin(l, inputs[3], id, &inputs[3]));
  node = &l->graph->nodes[id];
  kp_node_spec spec = {.op = node->op,
                       .domain = node->domain,
                       .version = node->version,
                       .inputs = inputs,
                       .input_count = node->input_count,
                       .attrs = node->attrs,
                       .attr_count = node->attr_count};
  return convert(l, id, &spec);
}

// MaxPool of bytes without indices.
static bool byte_pool_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  if (!kp_node_is(node, "", "MaxPool") || node->output_count != 1 ||
      twin_of(l, node->inputs[0]) == KP_NONE || !picture_rank(l->graph, node->outputs[0], &rank))
    return false;
  const kapell_type type = l->graph->values[node->inputs[0]].type.element;
  return rank == 4 && (type == KAPELL_UINT8 || type == KAPELL_INT8);
}

static kp_status* convert_byte_pool(layout* l, kp_node_id id) {
  return convert_alone(l, id, "NhwcMaxPool", "com.microsoft");
}

// Quantization with one scale treats all elements alike.
static bool linear_fits(const layout* l, const kp_node* node) {
  int32_t rank;
  if (!kp_node_is(node, "", "QuantizeLinear") && !kp_node_is(node, "", "DequantizeLinear"))
    return false;
  const kapell_value* scale = l->graph->values[node->inputs[1]].constant;
  return scale && scale->kind == KAPELL_KIND_TENSOR && kp_value_count(scale) == 1 &&
         scale->rank <= 1 && twin_of(l, node->inputs[0]) != KP_NONE && node->output_count == 1 &&
         picture_rank(l->graph, node->outputs[0], &rank);
}

static kp_status* convert_linear(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  kp_value_id* inputs =
      kp_arena_memdup(l->pass->scratch, node->inputs, node->input_count * sizeof(*inputs));
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  inputs[0] = twin_of(l, inputs[0]);
  kp_node_spec spec = {.op = node->op,
                       .domain = node->domain,
                       .version = node->version,
                       .inputs = inputs,
                       .input_count = node->input_count,
                       .attrs = node->attrs,
                       .attr_count = node->attr_count};
  return convert(l, id, &spec);
}

// --- the pass ------------------------------------------------------------------------------------------------------------------------------
static kp_status* visit(layout* l, kp_node_id id) {
  const kp_node* node = &l->graph->nodes[id];
  if (node->removed || node->input_count == 0) return NULL;
  if (kp_node_is(node, "", "Conv") || kp_node_is(node, "com.microsoft", "FusedConv"))
    return conv_fits(l->graph, node) ? convert_conv(l, id) : NULL;
  if (kp_node_is(node, "com.microsoft", "NhwcConv") ||
      kp_node_is(node, "com.microsoft", "NhwcFusedConv"))
    return nhwc_fits(l->graph, node) ? convert_nhwc(l, id) : NULL;
  if (kp_node_is(node, "", "ConvTranspose"))
    return transpose_fits(l->graph, node) ? convert_transpose(l, id) : NULL;
  if (qconv_fits(l->graph, node)) return convert_qconv(l, id);
  if (qbinary_fits(l, node)) return convert_qbinary(l, id);
  if (node->domain[0]) return NULL;
  if (!any_twin(l, node)) return NULL;
  if (linear_fits(l, node)) return convert_linear(l, id);
  if (byte_pool_fits(l, node)) return convert_byte_pool(l, id);
  if (twin_of(l, node->inputs[0]) != KP_NONE && is_pool(l->graph, node)) return convert_pool(l, id);
  if (twin_of(l, node->inputs[0]) != KP_NONE && is_norm(l->graph, node)) return convert_norm(l, id);
  if (twin_of(l, node->inputs[0]) != KP_NONE && is_instance_norm(l->graph, node))
    return convert_instance_norm(l, id);
  if (resize_fits(l, node)) return convert_resize(l, id);
  if (split_fits(l, node)) return convert_split(l, id);
  if (concat_fits(l, node)) return convert_concat(l, id);
  if (elementwise_fits(l, node)) return convert_same(l, id, node->attrs, node->attr_count);
  return NULL;
}

kp_status* kp_pass_channels_last(kp_pass* pass) {
  kp_graph* graph = pass->graph;
  const uint32_t count = graph->order_count;
  layout l = {.pass = pass, .graph = graph};
  kp_node_id* order = kp_arena_memdup(pass->scratch, graph->order, count * sizeof(*order));
  if (!order) return KP_ERROR(OUT_OF_MEMORY, "the layout pass");
  for (uint32_t i = 0; i < count; ++i) KP_PASS(visit(&l, order[i]));
  return pass->changes ? kp_graph_prune(graph) : NULL;
}
