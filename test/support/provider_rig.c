#include "support/provider_rig.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "base/size.h"
#include "base/types.h"
#include "graph/build.h"
#include "graph/infer.h"
#include "graph/rewrite.h"
#include "onnx/reader.h"
#include "support/model_text.h"

// --- opening --------------------------------------------------------------------------------------------------------------------
kp_status* kp_rig_load(kp_rig* rig, const kp_provider_type* type, const char* text) {
  *rig = (kp_rig){.type = type};
  size_t byte_count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  kp_onnx_model* source = NULL;
  kp_status* status = kp_onnx_read_bytes(bytes, byte_count, NULL, &source);
  free(bytes);
  if (status) return status;
  KP_PASS(kp_model_build(source, NULL, &rig->model));
  KP_PASS(kp_graph_order(rig->model->graph));
  return kp_graph_infer(rig->model->graph);
}

static kp_status* read_options(kp_rig* rig, const char* text) {
  kp_option options[17] = {{NULL, NULL}};
  size_t count = 0;
  char* copy = kp_arena_printf(&rig->arena, "%s", text ? text : "");
  if (!copy) return KP_ERROR(OUT_OF_MEMORY, "options");
  for (char *save = NULL, *word = strtok_r(copy, " ", &save); word && count < 16;
       word = strtok_r(NULL, " ", &save)) {
    char* equals = strchr(word, '=');
    if (equals) *equals = 0;
    options[count++] = (kp_option){word, equals ? equals + 1 : ""};
  }
  // A library's options are its own to check.
  if (rig->type->flags & KP_PROVIDER_HOSTED) {
    rig->options = kp_arena_memdup(&rig->arena, options, (count + 1) * sizeof *options);
    rig->option_count = count;
    return rig->options ? NULL : KP_ERROR(OUT_OF_MEMORY, "options");
  }
  return kp_options_check(rig->type->short_name, rig->type->options, rig->type->option_count,
                          options, count, &rig->arena, &rig->option_texts);
}

kp_status* kp_rig_create(kp_rig* rig, const char* options) {
  KP_PASS(read_options(rig, options));
  const kp_provider_args args = {.type = rig->type,
                                 .option_texts = rig->option_texts,
                                 .cpu_features = kp_cpu_features(),
                                 .options = rig->options,
                                 .option_count = rig->option_count,
                                 .model = rig->model};
  return rig->type->create(&args, &rig->provider);
}

kp_status* kp_rig_open(kp_rig* rig, const kp_provider_type* type, const char* options,
                       const char* text) {
  KP_PASS(kp_rig_load(rig, type, text));
  return kp_rig_create(rig, options);
}

void kp_rig_close(kp_rig* rig) {
  if (rig->compiled) rig->type->release(rig->compiled);
  if (rig->provider) rig->type->destroy(rig->provider);
  kp_model_free(rig->model);
  kp_arena_free(&rig->arena);
  *rig = (kp_rig){0};
}

// --- claims ----------------------------------------------------------------------------------------------------------------------
kp_status* kp_rig_claim(kp_rig* rig, const bool* offered) {
  const kp_graph* graph = rig->model->graph;
  bool* mask = kp_arena_new_array(&rig->arena, bool, graph->node_count);
  if (!mask) return KP_ERROR(OUT_OF_MEMORY, "a mask");
  for (kp_node_id id = 0; id < graph->node_count; ++id)
    mask[id] = (!offered || offered[id]) && (!kp_node_body_count(&graph->nodes[id]) ||
                                             (rig->provider->flags & KP_PROVIDER_CONTROL));
  KP_PASS(kp_claims_init(&rig->claims, graph, mask, &rig->arena));
  KP_PASS(rig->type->capability(rig->provider, rig->model->graph, &rig->claims));
  return kp_claims_close(&rig->claims, rig->type->short_name);
}

bool kp_rig_claimed_all(const kp_rig* rig) {
  const kp_graph* graph = rig->model->graph;
  for (kp_node_id id = 0; id < graph->node_count; ++id)
    if (!graph->nodes[id].removed && rig->claims.claim_of[id] == KP_NONE) return false;
  return true;
}

// --- compile ---------------------------------------------------------------------------------------------------------------------
static uint32_t position(const kp_value_id* list, uint32_t count, kp_value_id value) {
  for (uint32_t i = 0; i < count; ++i)
    if (list[i] == value) return i;
  return KP_NONE;
}

static const kp_memory* memory_of(const kp_rig* rig, kp_value_id value) {
  if (rig->provider->flags & KP_PROVIDER_HOST) return NULL;
  for (uint32_t c = 0; c < rig->claims.claim_count; ++c) {
    const kp_claim* claim = &rig->claims.claims[c];
    for (uint32_t e = 0; e < claim->exception_count; ++e)
      if (claim->exceptions[e].value == value) return claim->exceptions[e].memory;
  }
  return rig->claims.claim_count ? rig->claims.claims[0].memory : NULL;
}

static kp_status* note_ends(kp_rig* rig, const kp_graph* part, const kp_value_id* outer_inputs,
                            const kp_value_id* outer_outputs) {
  const kp_graph* graph = rig->model->graph;
  rig->input_count = part->input_count;
  rig->output_count = part->output_count;
  rig->inputs = kp_arena_new_array(&rig->arena, uint32_t, part->input_count);
  rig->outputs = kp_arena_new_array(&rig->arena, uint32_t, part->output_count);
  rig->input_memory = kp_arena_new_array(&rig->arena, const kp_memory*, part->input_count);
  rig->output_memory = kp_arena_new_array(&rig->arena, const kp_memory*, part->output_count);
  if (!rig->inputs || !rig->outputs || !rig->input_memory || !rig->output_memory)
    return KP_ERROR(OUT_OF_MEMORY, "a rig");
  for (uint32_t i = 0; i < part->input_count; ++i) {
    rig->inputs[i] = position(graph->inputs, graph->input_count, outer_inputs[i]);
    rig->input_memory[i] = memory_of(rig, outer_inputs[i]);
  }
  for (uint32_t i = 0; i < part->output_count; ++i) {
    rig->outputs[i] = position(graph->outputs, graph->output_count, outer_outputs[i]);
    rig->output_memory[i] = memory_of(rig, outer_outputs[i]);
  }
  return NULL;
}

kp_status* kp_rig_compile(kp_rig* rig, const volatile int* cancel) {
  kp_graph* graph = rig->model->graph;
  KP_PASS(kp_graph_order(graph));
  kp_graph* part = NULL;
  kp_value_id *outer_inputs, *outer_outputs;
  KP_PASS(kp_graph_extract(graph, graph->order, graph->order_count, &part, &outer_inputs,
                           &outer_outputs));
  kp_status* status = note_ends(rig, part, outer_inputs, outer_outputs);
  if (status) {
    kp_graph_free(part);
    return status;
  }
  const kp_compile_args args = {.part = part, .name = "partition 0", .width = 2, .cancel = cancel};
  return rig->type->compile(rig->provider, &args, &rig->compiled);
}

// --- runs ------------------------------------------------------------------------------------------------------------------------
enum { MAX_ENDS = 16 };

typedef struct call {
  kp_rig* rig;
  const kp_rig_run* run;
  kapell_value* inputs[MAX_ENDS];
  kapell_value* outputs[MAX_ENDS];
  void* buffers[MAX_ENDS * 2];  // of misaligned values
  uint32_t buffer_count;
} call;

static kp_status* make(call* c, const kp_memory* memory, kapell_type type, const int64_t* dims,
                       int32_t rank, kapell_value** out_value) {
  size_t count, byte_count;
  if (memory) return kp_value_create_on(memory, type, dims, rank, out_value);
  if (!c->run->misaligned || type == KAPELL_STRING)
    return kp_value_create_tensor(type, dims, rank, out_value);
  KP_PASS(kp_value_check_dims(type, dims, rank, &count, &byte_count));
  const size_t element = kp_max_size(kp_type_bits(type) / 8, 1);
  char* buffer = malloc(byte_count + element);
  if (!buffer) abort();
  c->buffers[c->buffer_count++] = buffer;
  return kp_value_wrap_tensor(type, dims, rank, buffer + element, byte_count, NULL, NULL,
                              out_value);
}

kp_status* kp_run_output(const kp_run_args* args, uint32_t index, kapell_type type,
                         const int64_t* dims, int32_t rank, kapell_value** out_value) {
  call* c = args->exec;
  kapell_value* fresh = NULL;
  KP_PASS(make(c, c->rig->output_memory[index], type, dims, rank, &fresh));
  kp_value_release(c->outputs[index]);
  c->outputs[index] = args->outputs[index] = *out_value = fresh;
  return NULL;
}

static atomic_uint_fast64_t profile_events;
void kp_profile_add(kp_profile* profile, const kp_profile_event* event) {
  (void)profile;
  if (event->name && event->provider && event->end_ns >= event->start_ns) ++profile_events;
}
uint64_t kp_rig_profile_events(void) { return profile_events; }

static kp_status* give_inputs(call* c) {
  for (uint32_t i = 0; i < c->rig->input_count; ++i) {
    const kapell_value* given = c->run->inputs[c->rig->inputs[i]];
    if (given->kind != KAPELL_KIND_TENSOR || given->type == KAPELL_STRING) {
      c->inputs[i] = kp_value_retain(c->run->inputs[c->rig->inputs[i]]);
      continue;
    }
    KP_PASS(make(c, c->rig->input_memory[i], given->type, given->dims, given->rank, &c->inputs[i]));
    const kp_memory* memory = c->rig->input_memory[i];
    if (memory)
      KP_PASS(memory->copy_in(memory, c->inputs[i]->data, given->data, given->byte_count));
    else if (given->byte_count)
      memcpy(c->inputs[i]->data, given->data, given->byte_count);
  }
  return NULL;
}

static kp_status* specialise(call* c, kp_rig_run* run) {
  if (run->keep_special && run->special) return NULL;
  kp_arena_reset(&run->arena);
  kp_shape_info inputs[MAX_ENDS];
  int64_t dims[MAX_ENDS][KP_INLINE_RANK];
  for (uint32_t i = 0; i < c->rig->input_count; ++i) {
    const kapell_value* given = c->run->inputs[c->rig->inputs[i]];
    for (int32_t d = 0; d < given->rank; ++d) dims[i][d] = given->dims[d];
    inputs[i] = (kp_shape_info){
        .kind = given->kind, .type = given->type, .rank = given->rank, .dims = dims[i]};
    if (c->rig->compiled->value_inputs && c->rig->compiled->value_inputs[i])
      inputs[i].data = given->data;
  }
  const kp_specialise_args args = {.inputs = inputs,
                                   .input_count = c->rig->input_count,
                                   .width = run->width ? run->width : 1,
                                   .arena = &run->arena};
  kp_status* status = c->rig->type->specialise(c->rig->compiled, &args, &run->special);
  memset(dims, 0x5a, sizeof dims);  // the result may keep nothing of these
  return status;
}

static kp_status* ready_outputs(call* c, const kp_special* special) {
  for (uint32_t o = 0; o < c->rig->output_count; ++o) {
    const kp_shape_info* info = &special->outputs[o];
    const bool known =
        info->kind == KAPELL_KIND_TENSOR && info->rank >= 0 && info->type != KAPELL_STRING;
    KP_PASS(known ? make(c, c->rig->output_memory[o], info->type, info->dims, info->rank,
                         &c->outputs[o])
                  : kp_value_create_shell(&c->outputs[o]));
  }
  return NULL;
}

// Enqueued work may not need what run was given, but for memory.
static void forget_arguments(call* c, kp_rig_run* run) {
  for (uint32_t i = 0; i < c->rig->input_count; ++i)
    for (int32_t d = 0; c->inputs[i]->memory && d < c->inputs[i]->rank; ++d)
      c->inputs[i]->dims[d] = -1;
  if (run->keep_special) return;
  kp_arena_free(&run->arena);
  run->special = NULL;
}

static kp_status* call_provider(call* c, kp_rig_run* run, kp_stream* stream, void* scratch) {
  kapell_value* outputs[MAX_ENDS];
  memcpy(outputs, c->outputs, sizeof outputs);
  const kp_run_args args = {.inputs = c->inputs,
                            .outputs = outputs,
                            .scratch = scratch,
                            .width = run->width ? run->width : 1,
                            .cancel = run->cancel,
                            .deadline_ns = run->deadline_ns,
                            .stream = stream,
                            .profile = run->profile,
                            .exec = c};
  const uint64_t before = kp_alloc_total();
  kp_status* status = c->rig->type->run(c->rig->compiled, run->special, &args);
  run->run_allocations = kp_alloc_total() - before;
  for (uint32_t o = 0; o < c->rig->output_count; ++o) {
    if (outputs[o] == c->outputs[o]) continue;
    kp_value_release(c->outputs[o]);  // replaced by a value of another kind
    c->outputs[o] = outputs[o];
  }
  if (status || !stream) return status;
  forget_arguments(c, run);
  if (run->skip_wait) return NULL;
  uint64_t ticket;
  bool done;
  KP_PASS(c->rig->type->stream_signal(stream, &ticket));
  KP_PASS(c->rig->type->stream_wait(stream, ticket, run->deadline_ns, run->cancel, &done));
  if (done) return NULL;
  return kp_is_cancelled(run->cancel) ? KP_ERROR(CANCELLED, "waiting for the stream")
                                      : KP_ERROR(TIMEOUT, "waiting for the stream");
}

static kp_status* fetch(call* c, kp_rig_run* run) {
  for (uint32_t o = 0; o < c->rig->output_count; ++o) {
    kapell_value* made = c->outputs[o];
    const uint32_t to = c->rig->outputs[o];
    if (to == KP_NONE) continue;
    if (!made->memory && !c->buffer_count) {
      run->outputs[to] = kp_value_retain(made);
      continue;
    }
    KP_PASS(kp_value_create_tensor(made->type, made->dims, made->rank, &run->outputs[to]));
    if (made->memory)
      KP_PASS(made->memory->copy_out(made->memory, run->outputs[to]->data, made->data,
                                     made->byte_count));
    else if (made->byte_count)
      memcpy(run->outputs[to]->data, made->data, made->byte_count);
  }
  return NULL;
}

static kp_status* run_call(call* c, kp_rig_run* run) {
  kp_stream* stream = NULL;
  KP_PASS(give_inputs(c));
  KP_PASS(specialise(c, run));
  KP_PASS(ready_outputs(c, run->special));
  void* scratch = kp_alloc_aligned(run->special->scratch_bytes, KP_ALIGNMENT);
  if (!scratch) return KP_ERROR(OUT_OF_MEMORY, "scratch");
  kp_status* status = NULL;
  if (c->rig->provider->flags & KP_PROVIDER_STREAMS)
    status = c->rig->type->stream_create(c->rig->provider, &stream);
  if (!status) status = call_provider(c, run, stream, scratch);
  if (!status) status = fetch(c, run);
  if (stream) c->rig->type->stream_destroy(stream);
  kp_free(scratch);
  return status;
}

kp_status* kp_rig_run_once(kp_rig* rig, kp_rig_run* run) {
  call c = {.rig = rig, .run = run};
  for (size_t o = 0; o < KP_COUNT_OF(run->outputs); ++o) {
    kp_value_release(run->outputs[o]);
    run->outputs[o] = NULL;
  }
  kp_status* status = run_call(&c, run);
  for (uint32_t i = 0; i < MAX_ENDS; ++i)
    kp_value_release(c.inputs[i]), kp_value_release(c.outputs[i]);
  for (uint32_t i = 0; i < c.buffer_count; ++i) free(c.buffers[i]);
  for (size_t o = 0; status && o < KP_COUNT_OF(run->outputs); ++o) {
    kp_value_release(run->outputs[o]);
    run->outputs[o] = NULL;
  }
  return status;
}

void kp_rig_run_free(kp_rig_run* run) {
  for (size_t o = 0; o < KP_COUNT_OF(run->outputs); ++o) kp_value_release(run->outputs[o]);
  kp_arena_free(&run->arena);
  *run = (kp_rig_run){0};
}
