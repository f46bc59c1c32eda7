// A provider to copy: complete, and as small as that can be. It runs Neg on float32 in host memory, and so that it stays true it passes
// the conformance suite (test/cts/); it is not in builtin.inl. README.md here has the steps to make a provider of it.
//
// What a real one changes: probe finds a library and a device; capability knows more operators; compile translates the partition into the
// engine's form; memory and streams come when the device has its own.
#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/size.h"
#include "provider/provider.h"

extern const kp_provider_type kp_null_type;

// --- options: each has a default and a line of help; kp_options_check has checked what arrives ---
enum { SIGN, OPTION_COUNT };
static const kp_option_def options[OPTION_COUNT] = {
    [SIGN] = {.key = "sign",
              .kind = KP_OPTION_FLOAT,
              .default_text = "-1",
              .min = -1,
              .max = 1,
              .help = "what Neg multiplies with; 1 makes it wrong"},
};

typedef struct null_provider {
  kp_provider base;  // first, so that a kp_provider* is one of these
  double sign;
} null_provider;

typedef struct null_compiled {
  kp_compiled base;
  kp_graph* part;  // owned
  double sign;
} null_compiled;

typedef struct null_special {
  kp_special base;
  size_t* counts;   // elements, by value id
  size_t* offsets;  // into scratch, by value id: values inside the partition
} null_special;

// --- is it here? Cheap, without side effects; a missing library is a reason and a fix, not an error ---
static kp_status* probe(const char* const* option_texts, kp_probe* probe) {
  (void)option_texts;
  static const kp_device_info device = {0, "the host", 0};
  probe->available = true;
  probe->version = "1";
  probe->devices = &device;
  probe->device_count = 1;
  return NULL;
}

// --- one instance a session ---
static kp_status* create(const kp_provider_args* args, kp_provider** out_provider) {
  *out_provider = NULL;
  null_provider* provider = kp_alloc_zero(1, sizeof *provider);
  if (!provider) return KP_ERROR(OUT_OF_MEMORY, "the null provider");
  provider->base.type = &kp_null_type;
  provider->base.flags = kp_null_type.flags;
  provider->sign = -1;
  if (args->option_texts) kp_parse_f64(kp_str_of(args->option_texts[SIGN]), &provider->sign);
  *out_provider = &provider->base;
  return NULL;
}

static void destroy(kp_provider* provider) { kp_free(provider); }

// --- what would you run? Every "no" says what stands in the way ---
static bool supports(const kp_graph* graph, kp_node_id id, kp_claims* claims) {
  const kp_node* node = &graph->nodes[id];
  if (!kp_node_is(node, "", "Neg"))
    return kp_claims_refuse(claims, id, KP_SOURCE_PROVIDER, "%s has no kernel; Neg has", node->op),
           false;
  const kp_value* x = kp_node_input(graph, node, 0);
  if (!x || x->type.kind != KAPELL_KIND_TENSOR || x->type.element != KAPELL_FLOAT)
    return kp_claims_refuse(claims, id, KP_SOURCE_PROVIDER,
                            "the element type of '%s' is not float32", x ? x->name : ""),
           false;
  return true;
}

static kp_status* capability(kp_provider* provider, const kp_graph* graph, kp_claims* claims) {
  for (kp_node_id id = 0; id < graph->node_count; ++id) {
    if (!kp_claims_is_free(claims, id) || !supports(graph, id, claims)) continue;
    const kp_claim claim = {
        .nodes = &id,
        .count = 1,
        .memory = provider->memory};  // not atomic: claims that touch are joined
    KP_PASS(kp_claims_add(claims, &claim));
  }
  return NULL;
}

// --- once a partition: everything that does not depend on shapes ---
static void release(kp_compiled* base) {
  if (!base) return;
  kp_graph_free(((null_compiled*)base)->part);
  kp_free(base);
}

static kp_status* compile(kp_provider* provider, const kp_compile_args* args,
                          kp_compiled** out_compiled) {
  *out_compiled = NULL;
  null_compiled* compiled = kp_alloc_zero(1, sizeof *compiled);
  if (!compiled) {
    kp_graph_free(args->part);  // the partition is ours from the call on, also on an error
    return KP_ERROR(OUT_OF_MEMORY, "compiling %s", args->name);
  }
  compiled->base.provider = provider;
  compiled->part = args->part;
  compiled->sign = ((null_provider*)provider)->sign;
  kp_status* status = kp_graph_order(compiled->part);
  if (status) {
    release(&compiled->base);
    return status;
  }
  *out_compiled = &compiled->base;
  return NULL;
}

// --- once a set of input shapes: numbers only, all of it in args->arena ---
static kp_status* specialise(kp_compiled* base, const kp_specialise_args* args,
                             kp_special** out_special) {
  *out_special = NULL;
  const kp_graph* part = ((null_compiled*)base)->part;
  null_special* special = kp_arena_new(args->arena, null_special);
  kp_shape_info* shapes = kp_arena_new_array(args->arena, kp_shape_info, part->value_count);
  kp_shape_info* outputs = kp_arena_new_array(args->arena, kp_shape_info, part->output_count);
  if (!special || !shapes || !outputs) return KP_ERROR(OUT_OF_MEMORY, "shapes of a partition");
  special->counts = kp_arena_new_array(args->arena, size_t, part->value_count);
  special->offsets = kp_arena_new_array(args->arena, size_t, part->value_count);
  if (!special->counts || !special->offsets)
    return KP_ERROR(OUT_OF_MEMORY, "shapes of a partition");
  for (uint32_t i = 0; i < part->input_count; ++i) {
    kp_shape_info* shape = &shapes[part->inputs[i]];
    *shape = args->inputs[i];
    shape->dims =
        kp_arena_memdup(args->arena, shape->dims,
                        sizeof *shape->dims * (size_t)shape->rank);  // the caller's go away
    if (!shape->dims) return KP_ERROR(OUT_OF_MEMORY, "shapes of a partition");
  }
  for (uint32_t i = 0; i < part->value_count; ++i) {
    const kapell_value* constant = part->values[i].constant;
    if (constant)
      shapes[i] = (kp_shape_info){.kind = KAPELL_KIND_TENSOR,
                                  .type = constant->type,
                                  .rank = constant->rank,
                                  .dims = constant->dims};
  }
  for (uint32_t i = 0; i < part->order_count; ++i) {
    const kp_node* node = &part->nodes[part->order[i]];
    const kp_value_id x = node->inputs[0], y = node->outputs[0];
    size_t byte_count, aligned;
    KP_PASS(kp_value_check_dims(shapes[x].type, shapes[x].dims, shapes[x].rank, &special->counts[y],
                                &byte_count));
    shapes[y] = shapes[x];
    shapes[y].data = NULL;
    special->offsets[y] = special->base.scratch_bytes;
    if (!kp_align_size(byte_count, KP_ALIGNMENT, &aligned) ||
        !kp_add_size(special->base.scratch_bytes, aligned, &special->base.scratch_bytes))
      return KP_ERROR(LIMIT, "scratch of a partition");
  }
  for (uint32_t i = 0; i < part->output_count; ++i) outputs[i] = shapes[part->outputs[i]];
  special->base.outputs = outputs;
  special->base.output_count = part->output_count;
  *out_special = &special->base;
  return NULL;
}

// --- the work: no allocation, any number of runs at once ---
// Where |value| lies in this run: an input, an output, a constant, or scratch.
static void* place(const null_compiled* compiled, const null_special* special,
                   const kp_run_args* args, kp_value_id value) {
  const kp_graph* part = compiled->part;
  for (uint32_t i = 0; i < part->input_count; ++i)
    if (part->inputs[i] == value) return args->inputs[i]->data;
  for (uint32_t i = 0; i < part->output_count; ++i)
    if (part->outputs[i] == value) return args->outputs[i]->data;
  if (part->values[value].constant) return part->values[value].constant->data;
  return (char*)args->scratch + special->offsets[value];
}

static void negate(const char* x, char* y, size_t count, double sign) {
  for (size_t i = 0; i < count; ++i) {
    float number;  // tensors are of any alignment
    memcpy(&number, x + i * sizeof number, sizeof number);
    number *= (float)sign;
    memcpy(y + i * sizeof number, &number, sizeof number);
  }
}

static void report(kp_profile* profile, const kp_node* node, uint64_t start_ns, double flops) {
  const kp_profile_event event = {.name = node->name,
                                  .op = node->op,
                                  .provider = kp_null_type.name,
                                  .kernel = "negate",
                                  .origins = node->origins,
                                  .origin_count = node->origin_count,
                                  .start_ns = start_ns,
                                  .end_ns = kp_clock_ns(),
                                  .flops = flops};
  kp_profile_add(profile, &event);
}

static kp_status* run(kp_compiled* base, const kp_special* special_base, const kp_run_args* args) {
  const null_compiled* compiled = (const null_compiled*)base;
  const null_special* special = (const null_special*)special_base;
  const kp_graph* part = compiled->part;
  for (uint32_t i = 0; i < part->order_count; ++i) {
    if (kp_is_cancelled(args->cancel)) return KP_ERROR(CANCELLED, "the null provider was stopped");
    const kp_node* node = &part->nodes[part->order[i]];
    const size_t count = special->counts[node->outputs[0]];
    const uint64_t start_ns = args->profile ? kp_clock_ns() : 0;
    negate(place(compiled, special, args, node->inputs[0]),
           place(compiled, special, args, node->outputs[0]), count, compiled->sign);
    if (args->profile) report(args->profile, node, start_ns, (double)count);
  }
  return NULL;
}

const kp_provider_type kp_null_type = {
    .name = "NullExecutionProvider",
    .short_name = "Null",
    .flags = KP_PROVIDER_HIDDEN,
    .options = options,
    .option_count = OPTION_COUNT,
    .probe = probe,
    .create = create,
    .destroy = destroy,
    .capability = capability,
    .compile = compile,
    .release = release,
    .specialise = specialise,
    .run = run,
};
