// Channels-last order inside a partition: operators on images that the library wants so read and write transposed values, and the
// transposes between them meet and vanish. The library is asked about the result as it was about the model. What runs by kernels and
// is not taken whole is left as it was; libraries that compile have no other form, so that theirs is not claimed then (capability.c).
#include "base/alloc.h"
#include "base/log.h"
#include "base/size.h"
#include "graph/rewrite.h"
#include "ort/support.h"
#include "provider/plugin/kernels.h"

#define REWRITE "channels last"

// Asked of the library where it leaves the decision to the host: operators whose meaning depends on the place of the channels.
static const char* const layout_operators[] = {"AveragePool",
                                               "BatchNormalization",
                                               "Conv",
                                               "ConvInteger",
                                               "ConvTranspose",
                                               "DepthToSpace",
                                               "GlobalAveragePool",
                                               "GlobalLpPool",
                                               "GlobalMaxPool",
                                               "GridSample",
                                               "InstanceNormalization",
                                               "LRN",
                                               "LpPool",
                                               "MaxPool",
                                               "MaxUnpool",
                                               "QLinearConv",
                                               "Resize",
                                               "SpaceToDepth"};

// Element by element: transposing before or after is the same.
static const char* const pointwise_operators[] = {"Abs",
                                                  "Add",
                                                  "Cast",
                                                  "Ceil",
                                                  "Clip",
                                                  "Cos",
                                                  "DequantizeLinear",
                                                  "Div",
                                                  "Elu",
                                                  "Erf",
                                                  "Exp",
                                                  "Floor",
                                                  "Gelu",
                                                  "HardSigmoid",
                                                  "HardSwish",
                                                  "LeakyRelu",
                                                  "Log",
                                                  "Max",
                                                  "Min",
                                                  "Mish",
                                                  "Mul",
                                                  "Neg",
                                                  "Pow",
                                                  "QuantizeLinear",
                                                  "Reciprocal",
                                                  "Relu",
                                                  "Round",
                                                  "Selu",
                                                  "Sigmoid",
                                                  "Sign",
                                                  "Sin",
                                                  "Softplus",
                                                  "Softsign",
                                                  "Sqrt",
                                                  "Sub",
                                                  "Sum",
                                                  "Tanh",
                                                  "ThresholdedRelu"};

static bool is_one_of(const char* op, const char* const* list, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (strcmp(op, list[i]) == 0) return true;
  return false;
}

typedef struct layout {
  const kp_plugin_provider* provider;
  kp_graph* part;
  bool fused;  // to be compiled; otherwise there are kernels
  uint32_t converted;
} layout;

// --- permutations -----------------------------------------------------------------------------------------------------------
// N C D1 .. to N D1 .. C, and back.
static void fill_permutation(bool to_last, int32_t rank, int64_t* perm) {
  perm[0] = 0;
  for (int32_t d = 1; d < rank; ++d)
    perm[d] = to_last ? (d + 1 < rank ? d + 1 : 1) : (d == 1 ? rank - 1 : d - 1);
}

static bool is_transpose(const kp_node* node, bool to_last, int32_t rank) {
  int64_t expected[KP_MAX_RANK];
  size_t count;
  if (!kp_node_is(node, "", "Transpose") || rank > KP_MAX_RANK) return false;
  const int64_t* perm = kp_node_attr_ints(node, "perm", &count);
  fill_permutation(to_last, rank, expected);
  return count == (size_t)rank && memcmp(perm, expected, count * sizeof *perm) == 0;
}

// A value that is |from| transposed.
static kp_status* transposed_value(kp_graph* part, kp_value_id from, bool to_last,
                                   kp_value_id* out) {
  int64_t perm[KP_MAX_RANK];
  const int32_t rank = part->values[from].type.rank;
  KP_PASS(kp_graph_add_value(part, NULL, out));
  const kp_type* type = &part->values[from].type;
  kp_expr* dims = kp_arena_new_array(&part->arena, kp_expr, (size_t)rank);
  if (!dims) return KP_ERROR(OUT_OF_MEMORY, "a transposed shape");
  fill_permutation(to_last, rank, perm);
  for (int32_t d = 0; d < rank; ++d) dims[d] = type->dims[perm[d]];
  part->values[*out].type = *type;
  part->values[*out].type.dims = dims;
  return NULL;
}

// The node Transpose in the version that the model's other nodes are of.
static kp_status* transpose_spec(const layout* l, const kp_node* near, bool to_last, int32_t rank,
                                 const kp_value_id* from, kp_value_id* to, kp_node_spec* out) {
  int64_t* perm = kp_arena_new_array(&l->part->arena, int64_t, (size_t)rank);
  kp_attr* attr = kp_arena_new(&l->part->arena, kp_attr);
  const char* name = kp_intern(&l->part->model->names, kp_str_of("perm"));
  if (!perm || !attr || !name) return KP_ERROR(OUT_OF_MEMORY, "a transpose");
  fill_permutation(to_last, rank, perm);
  *attr = (kp_attr){.name = name, .type = KP_ONNX_ATTR_INTS, .count = (size_t)rank, .ints = perm};
  *out = (kp_node_spec){.op = "Transpose",
                        .domain = "",
                        .version = near->version,
                        .inputs = from,
                        .input_count = 1,
                        .outputs = to,
                        .output_count = 1,
                        .attrs = attr,
                        .attr_count = 1};
  return NULL;
}

static kp_status* replace_node(kp_graph* part, kp_node_id id, kp_node_spec* fresh, uint32_t count) {
  return kp_graph_rewrite(part, &(kp_rewrite){.name = REWRITE,
                                              .old_nodes = &id,
                                              .old_count = 1,
                                              .fresh = fresh,
                                              .fresh_count = count,
                                              .origin_of = KP_NONE});
}

// --- operators on images ------------------------------------------------------------------------------------------------------
typedef struct question {
  const kp_plugin_provider* provider;
  const kp_node* node;
  int answer;
} question;

static OrtStatus* call_question(void* arg) {
  question* q = arg;
  OrtEp* ep = q->provider->ep;
  return ep->ShouldConvertDataLayoutForOp(ep, q->node->domain, q->node->op, OrtEpDataLayout_NHWC,
                                          &q->answer);
}

static bool is_wanted(const layout* l, const kp_node* node) {
  question q = {l->provider, node, -1};
  if (KP_PLUGIN_HAS(l->provider->ep, ShouldConvertDataLayoutForOp, 23)) {
    OrtStatus* status = kp_ort_guard(call_question, &q);
    if (status) q.answer = 0;
    ort_ReleaseStatus(status);
  }
  return q.answer > 0 ||
         (q.answer < 0 && is_one_of(node->op, layout_operators, KP_COUNT_OF(layout_operators)));
}

static bool is_list(const kp_value* value, int32_t rank) {
  return value && value->constant && value->constant->rank == 1 && !value->constant->memory &&
         value->constant->dims[0] == rank;
}

// Resize has its scales or sizes by axis: those that are known move with the axes.
static bool is_resize(const layout* l, const kp_node* node, int32_t rank) {
  const kp_value *scales = kp_node_input(l->part, node, 2),
                 *sizes = kp_node_input(l->part, node, 3);
  const kp_value* region = kp_node_input(l->part, node, 1);
  if (!l->fused || strcmp(node->op, "Resize") != 0 || kp_node_attr(node, "axes")) return false;
  if (region && !(region->constant && kp_value_count(region->constant) == 0)) return false;
  const bool by_size = is_list(sizes, rank);
  return by_size != is_list(scales, rank) &&
         (by_size ? !scales || !scales->constant || !kp_value_count(scales->constant) : !sizes);
}

static kp_status* turn_list(layout* l, kp_value_id from, int32_t rank, kp_value_id* out) {
  const kapell_value* list = l->part->values[from].constant;
  const size_t width = list->byte_count / (size_t)rank;
  int64_t perm[KP_MAX_RANK];
  kapell_value* turned;
  KP_PASS(kp_value_clone(list, &turned));
  fill_permutation(true, rank, perm);
  for (int32_t d = 0; d < rank; ++d)
    memcpy((char*)turned->data + (size_t)d * width,
           (const char*)list->data + (size_t)perm[d] * width, width);
  return kp_graph_add_constant(l->part, NULL, turned, out);
}

static kp_status* turn_resize(layout* l, const kp_node* node, int32_t rank, kp_value_id* inputs) {
  if (node->input_count > 1) inputs[1] = KP_NONE;
  for (uint32_t i = 2; i < node->input_count; ++i) {
    if (inputs[i] == KP_NONE) continue;
    if (is_list(&l->part->values[inputs[i]], rank))
      KP_PASS(turn_list(l, inputs[i], rank, &inputs[i]));
    else
      inputs[i] = KP_NONE;
  }
  return NULL;
}

// MaxPool has its indices by place: one that gives them stays as it is, and so does a Resize whose sizes only the run tells.
static bool can_convert(const layout* l, const kp_node* node) {
  const kp_value* image = kp_node_input(l->part, node, 0);
  const kp_value* result = kp_node_output(l->part, node, 0);
  if (node->domain[0] || node->custom || node->implicit_count || !image || !result ||
      image->constant || image->type.kind != KAPELL_KIND_TENSOR || image->type.rank < 3 ||
      image->type.rank > KP_MAX_RANK || result->type.kind != KAPELL_KIND_TENSOR ||
      result->type.rank != image->type.rank || strcmp(node->op, "Upsample") == 0 ||
      (strcmp(node->op, "Resize") == 0 && !is_resize(l, node, image->type.rank)))
    return false;
  for (uint32_t o = 1; o < node->output_count; ++o)
    if (node->outputs[o] != KP_NONE) return false;
  if (!is_wanted(l, node)) return false;
  return l->fused ||
         kp_ort_registry_find_in(l->provider->registry, KP_ORT_NHWC_DOMAIN, l->part, node, NULL);
}

static kp_status* convert(layout* l, kp_node_id id) {
  kp_graph* part = l->part;
  const kp_node node = part->nodes[id];
  const int32_t rank = part->values[node.inputs[0]].type.rank;
  kp_value_id image = node.inputs[0], result = node.outputs[0], image_last, result_last;
  KP_PASS(transposed_value(part, image, true, &image_last));
  KP_PASS(transposed_value(part, result, true, &result_last));
  kp_value_id* inputs =
      kp_arena_memdup(&part->arena, node.inputs, node.input_count * sizeof *inputs);
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "a node in channels-last order");
  if (strcmp(node.op, "Resize") == 0) KP_PASS(turn_resize(l, &node, rank, inputs));
  inputs[0] = image_last;
  kp_node_spec fresh[3];
  KP_PASS(transpose_spec(l, &node, true, rank, &image, &image_last, &fresh[0]));
  fresh[1] = kp_node_spec_like(&node);
  fresh[1].domain = kp_intern(&part->model->names, kp_str_of(KP_ORT_NHWC_DOMAIN));
  if (!fresh[1].domain) return KP_ERROR(OUT_OF_MEMORY, "a node in channels-last order");
  fresh[1].schema = node.schema;
  fresh[1].inputs = inputs;
  fresh[1].outputs = &result_last;
  fresh[1].output_count = 1;
  KP_PASS(transpose_spec(l, &node, false, rank, &result_last, &result, &fresh[2]));
  ++l->converted;
  return replace_node(part, id, fresh, 3);
}

// --- transposes sink through pointwise operators, to meet those of the next image ---------------------------------------------
static bool is_single(const kp_value* value, int32_t rank) {
  if (value->type.kind != KAPELL_KIND_TENSOR || value->type.rank < 0 || value->type.rank > rank)
    return false;
  for (int32_t d = 0; d < value->type.rank; ++d)
    if (value->type.dims[d] != 1) return false;
  return true;
}

// The channels-last value behind input |value|; KP_NONE: there is none.
static kp_value_id last_of(const kp_graph* part, const kp_value* value, int32_t rank) {
  if (value->producer == KP_NONE) return KP_NONE;
  const kp_node* from = &part->nodes[value->producer];
  return is_transpose(from, false, rank) ? from->inputs[0] : KP_NONE;
}

// Fills |inputs| with what |node| would read in channels-last order; false: it cannot.
static bool find_last_inputs(const kp_graph* part, const kp_node* node, int32_t rank,
                             kp_value_id* inputs) {
  uint32_t turned = 0;
  for (uint32_t i = 0; i < node->input_count; ++i) {
    const kp_value* value = kp_node_input(part, node, i);
    inputs[i] = node->inputs[i];
    if (!value || is_single(value, rank)) continue;
    inputs[i] = value->type.rank == rank ? last_of(part, value, rank) : KP_NONE;
    if (inputs[i] == KP_NONE) return false;
    ++turned;
  }
  return turned > 0;
}

static kp_status* sink(layout* l, kp_node_id id) {
  kp_graph* part = l->part;
  const kp_node node = part->nodes[id];
  const kp_value* out = node.output_count == 1 ? kp_node_output(part, &node, 0) : NULL;
  if (node.domain[0] || !out || out->type.kind != KAPELL_KIND_TENSOR || out->type.rank < 3 ||
      out->type.rank > KP_MAX_RANK ||
      !is_one_of(node.op, pointwise_operators, KP_COUNT_OF(pointwise_operators)))
    return NULL;
  const int32_t rank = out->type.rank;
  kp_value_id result = node.outputs[0], result_last;
  kp_value_id* inputs = kp_arena_new_array(&part->arena, kp_value_id, (size_t)node.input_count + 1);
  if (!inputs) return KP_ERROR(OUT_OF_MEMORY, "a node in channels-last order");
  if (!find_last_inputs(part, &node, rank, inputs)) return NULL;
  KP_PASS(transposed_value(part, result, true, &result_last));
  kp_node_spec fresh[2] = {kp_node_spec_like(&node)};
  fresh[0].inputs = inputs;
  fresh[0].outputs = &result_last;
  KP_PASS(transpose_spec(l, &node, false, rank, &result_last, &result, &fresh[1]));
  return replace_node(part, id, fresh, 2);
}

// A transpose to channels-last order of what a transpose made from it: the first value serves.
static kp_status* meet(layout* l, kp_node_id id) {
  kp_graph* part = l->part;
  const kp_node* node = &part->nodes[id];
  const kp_value* from = kp_node_input(part, node, 0);
  if (!from || from->type.kind != KAPELL_KIND_TENSOR || from->type.rank < 3 ||
      !is_transpose(node, true, from->type.rank) || part->values[node->outputs[0]].output_refs)
    return NULL;
  const kp_value_id last = last_of(part, from, from->type.rank);
  return last == KP_NONE ? NULL : kp_graph_replace_uses(part, node->outputs[0], last);
}

// --- transposes of what is quantized -------------------------------------------------------------------------------------------
// A value of |from|'s shape and |element|s.
static kp_status* alike_value(kp_graph* part, kp_value_id from, kapell_type element,
                              kp_value_id* out) {
  KP_PASS(kp_graph_add_value(part, NULL, out));
  part->values[*out].type = part->values[from].type;
  part->values[*out].type.element = element;
  return NULL;
}

// The engines that quantize take an operator between DequantizeLinear and QuantizeLinear: a transpose behind the former gets its own pair.
static kp_status* wrap(layout* l, kp_node_id id) {
  kp_graph* part = l->part;
  const kp_node node = part->nodes[id];
  const kp_value* from = kp_node_input(part, &node, 0);
  if (!l->fused || strcmp(node.op, "Transpose") != 0 || !from || from->producer == KP_NONE)
    return NULL;
  const kp_node near = part->nodes[from->producer];
  if (!kp_node_is(&near, "", "DequantizeLinear") || near.input_count != 3 ||
      near.inputs[2] == KP_NONE || !is_single(&part->values[near.inputs[1]], KP_MAX_RANK))
    return NULL;
  kp_value_id result = node.outputs[0], turned, quantized;
  KP_PASS(alike_value(part, result, part->values[result].type.element, &turned));
  KP_PASS(alike_value(part, result, part->values[near.inputs[0]].type.element, &quantized));
  const kp_value_id to_quantize[] = {turned, near.inputs[1], near.inputs[2]};
  const kp_value_id to_restore[] = {quantized, near.inputs[1], near.inputs[2]};
  kp_node_spec fresh[3] = {kp_node_spec_like(&node), kp_node_spec_like(&near),
                           kp_node_spec_like(&near)};
  fresh[0].outputs = &turned;
  fresh[1].op = "QuantizeLinear";
  fresh[1].interned = false;
  fresh[1].schema = NULL;
  fresh[1].inputs = to_quantize;
  fresh[1].outputs = &quantized;
  fresh[2].inputs = to_restore;
  fresh[2].outputs = &result;
  for (int i = 0; i < 3; ++i) {
    fresh[i].inputs = kp_arena_memdup(&part->arena, fresh[i].inputs,
                                      fresh[i].input_count * sizeof *fresh[i].inputs);
    fresh[i].name = NULL;
    if (!fresh[i].inputs) return KP_ERROR(OUT_OF_MEMORY, "a transpose");
  }
  return replace_node(part, id, fresh, 3);
}

// --- the library's second look -------------------------------------------------------------------------------------------------
typedef struct second_look {
  const layout* layout;
  OrtEpGraphSupportInfo support;
} second_look;

static OrtStatus* call_capability(void* arg) {
  second_look* look = arg;
  OrtEp* ep = look->layout->provider->ep;
  return ep->GetCapability(ep, kp_ort_view_graph(look->support.view), &look->support);
}

// All of it: node by node, or as one group. A library may take for its own whatever is shown as such: that there is a kernel is looked up.
static bool takes_all(const layout* l, const OrtEpGraphSupportInfo* support, bool* taken) {
  const kp_graph* part = l->part;
  if (l->fused && support->count != 1) return false;
  for (size_t g = 0; g < support->count; ++g)
    for (size_t i = 0; support->groups[g].fuse == l->fused && i < support->groups[g].count; ++i)
      taken[support->groups[g].nodes[i]] = true;
  for (uint32_t i = 0; i < part->order_count; ++i) {
    const kp_node* node = &part->nodes[part->order[i]];
    if (!taken[part->order[i]] ||
        (!l->fused && !kp_ort_registry_find(l->provider->registry, part, node, NULL)))
      return false;
  }
  return true;
}

// Of what runs by kernels, nodes that are as they were are the library's already.
static const char** list_owners(const layout* l) {
  const kp_graph* part = l->part;
  const char** owners = kp_alloc_zero((size_t)part->node_count + 1, sizeof *owners);
  for (uint32_t i = 0; owners && !l->fused && i < part->order_count; ++i) {
    const char* made_by = part->nodes[part->order[i]].rewrite;
    if (!made_by || strcmp(made_by, REWRITE) != 0)
      owners[part->order[i]] = l->provider->type->type.name;
  }
  return owners;
}

static kp_status* ask_again(const layout* l, bool* out_takes) {
  const char** owners = list_owners(l);
  const kp_ort_view_args args = {
      .graph = l->part, .model_path = kp_plugin_model_path(l->part), .owners = owners};
  kp_ort_view* view = NULL;
  bool* taken = kp_alloc_zero((size_t)l->part->node_count + 1, sizeof *taken);
  second_look look = {.layout = l};
  OrtStatus* status = taken && owners ? kp_ort_view_create(&args, &view) : kp_ort_no_memory();
  look.support = (OrtEpGraphSupportInfo){.view = view, .registry = l->provider->registry};
  if (!status) status = kp_ort_guard(call_capability, &look);
  if (!status) *out_takes = takes_all(l, &look.support, taken);
  kp_ort_support_clear(&look.support);
  kp_ort_view_free(view);
  kp_free(taken);
  kp_free(owners);
  return kp_plugin_failure(l->provider->type, "asking what it runs in channels-last order", status);
}

// --- the whole ------------------------------------------------------------------------------------------------------------------
static kp_status* for_each(layout* l, kp_status* (*visit)(layout* l, kp_node_id id)) {
  KP_PASS(kp_graph_order(l->part));
  kp_node_id* order = kp_alloc_array((size_t)l->part->order_count + 1, sizeof *order);
  if (!order) return KP_ERROR(OUT_OF_MEMORY, "the order of a partition");
  const uint32_t count = l->part->order_count;
  memcpy(order, l->part->order, count * sizeof *order);
  kp_status* status = NULL;
  for (uint32_t i = 0; !status && i < count; ++i)
    if (!l->part->nodes[order[i]].removed) status = visit(l, order[i]);
  kp_free(order);
  return status;
}

static kp_status* convert_image(layout* l, kp_node_id id) {
  return can_convert(l, &l->part->nodes[id]) ? convert(l, id) : NULL;
}

static kp_status* rewrite(layout* l) {
  KP_PASS(for_each(l, convert_image));
  if (!l->converted) return NULL;
  KP_PASS(for_each(l, sink));
  KP_PASS(for_each(l, meet));
  KP_PASS(kp_graph_prune(l->part));
  KP_PASS(for_each(l, wrap));
  return kp_graph_order(l->part);
}

// Puts |list|, whose entries stand for |outer|, in the order of |wanted|.
static bool put_in_order(kp_value_id* list, const kp_value_id* outer, uint32_t count,
                         const kp_value_id* wanted, uint32_t wanted_count) {
  kp_value_id* sorted =
      count == wanted_count ? kp_alloc_array((size_t)count + 1, sizeof *sorted) : NULL;
  uint32_t found = 0;
  for (uint32_t i = 0; sorted && i < count; ++i)
    for (uint32_t k = 0; k < count; ++k)
      if (outer[k] == wanted[i]) sorted[found++] = list[k];
  const bool whole = sorted && found == count;
  if (whole) memcpy(list, sorted, count * sizeof *list);
  kp_free(sorted);
  return whole;
}

// A copy of the whole partition, to fall back on.
static kp_status* copy_part(const kp_graph* part, kp_graph** out_copy) {
  kp_value_id *inputs, *outputs;
  kp_graph* copy;
  KP_PASS(kp_graph_extract(part, part->order, part->order_count, &copy, &inputs, &outputs));
  if (put_in_order(copy->inputs, inputs, copy->input_count, part->inputs, part->input_count) &&
      put_in_order(copy->outputs, outputs, copy->output_count, part->outputs, part->output_count)) {
    *out_copy = copy;
    return NULL;
  }
  kp_graph_free(copy);
  return KP_ERROR(OUT_OF_MEMORY, "a copy of a partition");
}

kp_status* kp_kernels_to_nhwc(kp_plugin_compiled* compiled) {
  layout l = {.provider = compiled->provider, .part = compiled->part};
  bool takes = false, worth = false;
  if (l.provider->layout != OrtEpDataLayout_NHWC) return NULL;
  for (uint32_t i = 0; !worth && i < l.part->order_count; ++i)
    worth = can_convert(&l, &l.part->nodes[l.part->order[i]]);
  if (!worth) return NULL;
  kp_graph* spare;
  KP_PASS(copy_part(l.part, &spare));
  kp_status* status = rewrite(&l);
  if (!status) status = ask_again(&l, &takes);
  if (!status && !takes) {
    KP_LOG(INFO, "%s does not take the whole of %s in channels-last order: it stays as it is",
           l.provider->type->type.short_name, compiled->name);
    compiled->part = spare;
    spare = l.part;
    status = kp_graph_order(compiled->part);
  }
  kp_graph_free(spare);
  return status;
}

kp_status* kp_fused_to_nhwc(const kp_plugin_provider* provider, kp_graph* part, bool always,
                            bool* out_takes) {
  layout l = {.provider = provider, .part = part, .fused = true};
  KP_PASS(kp_graph_order(part));
  KP_PASS(rewrite(&l));
  *out_takes = true;
  return l.converted || always ? ask_again(&l, out_takes) : NULL;
}
