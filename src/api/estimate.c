// kapell_session_estimate_memory: what a run will take, from the shapes of its inputs alone.
#include "api/session.h"
#include "base/size.h"
#include "onnx/reader.h"

typedef struct request {
  kapell_session* session;
  const kapell_shape* shapes;
  size_t count;
  kp_arena arena;
  kapell_value** inputs;  // descriptions, parallel to the session's inputs
  bool exact;
} request;

static const kapell_shape* find_shape(const request* r, const char* name) {
  for (size_t i = r->count; i-- > 0;)
    if (strcmp(r->shapes[i].name, name) == 0) return &r->shapes[i];
  return NULL;
}

static kp_status* check_names(const request* r) {
  for (size_t i = 0; i < r->count; ++i) {
    const kapell_shape* shape = &r->shapes[i];
    bool known = false;
    if (!shape->name || shape->rank < 0 || (shape->rank > 0 && !shape->dims))
      return KP_ERROR(INVALID_ARGUMENT, "shapes[%zu] has no name or no dims", i);
    for (size_t k = 0; k < r->session->input_count && !known; ++k)
      known = strcmp(r->session->inputs[k].name, shape->name) == 0;
    if (!known) return KP_ERROR(INVALID_INPUT, "the model has no input '%s'", shape->name);
  }
  return NULL;
}

// The shape that |input| is taken to have: the given one, checked against the declared, or that with 1 for what is no number.
static kp_status* choose_dims(const request* r, const kapell_io_info* input, int32_t* out_rank,
                              int64_t* dims) {
  const kapell_type_info* type = input->type;
  const kapell_shape* shape = find_shape(r, input->name);
  const int32_t rank = shape ? shape->rank : type->rank;
  if (rank < 0)
    return KP_ERROR(INVALID_INPUT, "the shape of input '%s' is not known: give one", input->name);
  if (rank > KP_MAX_RANK || (shape && type->rank >= 0 && rank != type->rank))
    return KP_ERROR(INVALID_INPUT, "input '%s' has rank %d; %d is given", input->name, type->rank,
                    rank);
  for (int32_t d = 0; d < rank; ++d) {
    const int64_t declared = type->rank >= 0 ? type->dims[d] : -1;
    dims[d] = shape ? shape->dims[d] : declared >= 0 ? declared : 1;
    if (declared >= 0 && dims[d] != declared)
      return KP_ERROR(INVALID_INPUT, "dimension %d of input '%s' is %lld; %lld is given", d,
                      input->name, (long long)declared, (long long)dims[d]);
  }
  *out_rank = rank;
  return NULL;
}

static kp_status* describe_input(request* r, const kapell_io_info* input,
                                 kapell_value** out_value) {
  const kapell_type_info* type = input->type;
  kapell_value* value = *out_value = kp_arena_new(&r->arena, kapell_value);
  int64_t* dims = kp_arena_new_array(&r->arena, int64_t, KP_MAX_RANK);
  if (!value || !dims) return KP_ERROR(OUT_OF_MEMORY, "an estimate");
  value->kind = type->kind;
  value->refs = 1;
  if (type->kind != KAPELL_KIND_TENSOR) {
    r->exact = false;
    return NULL;
  }
  value->type = type->element;
  value->dims = dims;
  KP_PASS(choose_dims(r, input, &value->rank, dims));
  KP_TRY(kp_value_check_dims(value->type, dims, value->rank, NULL, &value->byte_count),
         "the shape of input '%s'", input->name);
  return NULL;
}

static kp_status* estimate(request* r, kapell_memory_estimate* out) {
  kapell_session* s = r->session;
  kp_exec_memory memory;
  KP_PASS(check_names(r));
  r->inputs = kp_arena_new_array(&r->arena, kapell_value*, s->input_count + 1);
  if (!r->inputs) return KP_ERROR(OUT_OF_MEMORY, "an estimate");
  for (size_t i = 0; i < s->input_count; ++i)
    KP_PASS(describe_input(r, &s->inputs[i], &r->inputs[i]));
  KP_PASS(kp_exec_estimate(kp_core_current(s->core)->executor, r->inputs, s->core->width, &memory));
  out->mapped_bytes = kp_onnx_mapped_bytes(s->core->model->source);
  out->opening_bytes = s->opening_bytes;
  out->session_bytes = s->opened_bytes + memory.context_bytes;
  out->arena_bytes = memory.arena_bytes;
  out->scratch_bytes = memory.scratch_bytes;
  out->output_bytes = memory.output_bytes;
  out->peak_bytes = out->session_bytes + out->arena_bytes + out->scratch_bytes + out->output_bytes;
  out->exact = memory.exact && r->exact;
  return NULL;
}

kapell_status* kapell_session_estimate_memory(kapell_session* session, const kapell_shape* shapes,
                                              size_t shape_count,
                                              kapell_memory_estimate* out_estimate) {
  if (!session || !out_estimate || (shape_count && !shapes))
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session, shapes or out_estimate");
  const size_t size = out_estimate->struct_size;
  if (size < sizeof(size_t))
    return KP_ERROR(INVALID_ARGUMENT, "out_estimate->struct_size is %zu", size);
  kapell_memory_estimate all = {.struct_size = size};
  request r = {.session = session, .shapes = shapes, .count = shape_count, .exact = true};
  const uint64_t deadline = kp_deadline_in(session->options.run_timeout_ns, 0);
  kp_bounds before;
  kp_limits_enter(&session->options, session->budget, deadline, &before);
  kp_status* status = estimate(&r, &all);
  kp_arena_free(&r.arena);
  (void)kp_bounds_enter(before);
  if (status) return kp_limits_explain(status, session->budget, deadline, false);
  memcpy(out_estimate, &all, kp_min_size(size, sizeof(all)));
  return NULL;
}
