// If and Loop inside a partition of the mock's: bodies are frames of their own, with values that only the mock sees.
// Neighbours: run.c has the frames.
#include "base/alloc.h"
#include "base/size.h"
#include "provider/mock/mock_internal.h"

bool kp_mock_is_control(const kp_node* node) {
  return kp_node_is(node, "", "If") || kp_node_is(node, "", "Loop");
}

static bool read_bool(const kapell_value* value) {
  return value->byte_count > 0 && *(const unsigned char*)value->data != 0;
}
static int64_t read_int(const kapell_value* value) {
  int64_t number = 0;
  if (value->byte_count >= sizeof number) memcpy(&number, value->data, sizeof number);
  return number;
}

static void set(kp_mock_frame* frame, kp_value_id id, kapell_value* value) {
  if (id == KP_NONE || !value) return;
  kp_value_release(frame->values[id]);
  frame->values[id] = kp_value_retain(value);
}

// A frame of |body| with its captures, and |inputs| (body->input_count, may be NULL for none).
static kp_status* enter(const kp_mock_frame* outer, const kp_node* node, const kp_graph* body,
                        kapell_value* const* inputs, kp_mock_frame* inner) {
  KP_PASS(kp_mock_frame_init(inner, body));
  inner->job = outer->job;
  inner->stop = outer->stop;
  for (uint32_t i = 0; i < body->capture_count; ++i)
    set(inner, body->captures[i], kp_mock_frame_get(outer, node->implicit[i]));
  for (uint32_t i = 0; inputs && i < body->input_count; ++i) set(inner, body->inputs[i], inputs[i]);
  return NULL;
}

static kp_status* run_if(kp_mock_frame* frame, const kp_node* node, kapell_value** outputs) {
  const kapell_value* condition = kp_mock_frame_get(frame, node->inputs[0]);
  const kp_graph* body =
      kp_node_attr_graph(node, read_bool(condition) ? "then_branch" : "else_branch");
  kp_mock_frame inner;
  kp_status* status = enter(frame, node, body, NULL, &inner);
  if (!status) status = kp_mock_frame_run(&inner);
  for (uint32_t i = 0; !status && i < node->output_count; ++i)
    outputs[i] = kp_value_retain(kp_mock_frame_get(&inner, body->outputs[i]));
  frame->flops += inner.flops;
  kp_mock_frame_free(&inner);
  return status;
}

// --- Loop -----------------------------------------------------------------------------------------------------------------
typedef struct loop {
  kp_mock_frame* frame;
  const kp_node* node;
  const kp_graph* body;
  uint32_t carried, scans;
  kapell_value** inputs;   // of the body: iteration, condition, carried; one reference each
  kapell_value*** pieces;  // by scan output, |done| entries each; one reference each
  size_t done, capacity;
} loop;

static kp_status* scalar(kapell_type type, const void* data, size_t size,
                         kapell_value** out_value) {
  KP_PASS(kp_value_create_tensor(type, NULL, 0, out_value));
  memcpy((*out_value)->data, data, size);
  return NULL;
}

static kp_status* loop_begin(loop* l, bool condition) {
  l->inputs = kp_alloc_zero(l->body->input_count, sizeof *l->inputs);
  l->pieces = kp_alloc_zero(l->scans, sizeof *l->pieces);
  if (!l->inputs || !l->pieces) return KP_ERROR(OUT_OF_MEMORY, "a loop");
  KP_PASS(scalar(KAPELL_BOOL, &condition, 1, &l->inputs[1]));
  for (uint32_t i = 0; i < l->carried; ++i)
    l->inputs[2 + i] = kp_value_retain(kp_mock_frame_get(l->frame, l->node->inputs[2 + i]));
  return NULL;
}

static kp_status* keep_piece(loop* l, uint32_t scan, kapell_value* piece) {
  if (scan == 0 && l->done == l->capacity) {
    const size_t capacity = l->capacity ? l->capacity * 2 : 8;
    for (uint32_t i = 0; i < l->scans; ++i) {
      kapell_value** grown = kp_realloc_array(l->pieces[i], capacity, sizeof *grown);
      if (!grown) return KP_ERROR(OUT_OF_MEMORY, "scan outputs");
      l->pieces[i] = grown;
    }
    l->capacity = capacity;
  }
  l->pieces[scan][l->done] = piece ? kp_value_retain(piece) : NULL;
  return NULL;
}

static kp_status* loop_step(loop* l, int64_t iteration, bool* out_condition) {
  kp_value_release(l->inputs[0]);
  l->inputs[0] = NULL;
  KP_PASS(scalar(KAPELL_INT64, &iteration, sizeof iteration, &l->inputs[0]));
  kp_mock_frame inner;
  kp_status* status = enter(l->frame, l->node, l->body, l->inputs, &inner);
  if (!status) status = kp_mock_frame_run(&inner);
  l->frame->flops += inner.flops;
  for (uint32_t i = 0; !status && i <= l->carried; ++i) {  // the condition, then the carried values
    kapell_value* fresh = kp_value_retain(kp_mock_frame_get(&inner, l->body->outputs[i]));
    kp_value_release(l->inputs[1 + i]);
    l->inputs[1 + i] = fresh;
  }
  for (uint32_t i = 0; !status && i < l->scans; ++i)
    status = keep_piece(l, i, kp_mock_frame_get(&inner, l->body->outputs[1 + l->carried + i]));
  if (!status) {
    ++l->done;
    *out_condition = read_bool(l->inputs[1]);
  }
  kp_mock_frame_free(&inner);
  return status;
}

// Scan output |scan|: its pieces, one behind the other along a new first axis.
static kp_status* join_pieces(const loop* l, uint32_t scan, kapell_value** out_value) {
  const kp_type* type = &l->body->values[l->body->outputs[1 + l->carried + scan]].type;
  const kapell_value* first = l->done ? l->pieces[scan][0] : NULL;
  int64_t dims[KP_MAX_RANK] = {(int64_t)l->done};
  const int32_t rank = first ? first->rank
                       : kp_max_i64(type->rank, 0) < KP_MAX_RANK
                           ? (int32_t)kp_max_i64(type->rank, 0)
                           : 0;
  if (rank >= KP_MAX_RANK) return KP_ERROR(RUN_FAILED, "a scan output of rank %d", rank + 1);
  for (int32_t d = 0; d < rank; ++d)
    dims[d + 1] = first ? first->dims[d] : kp_is_number(type->dims[d]) ? type->dims[d] : 0;
  KP_PASS(kp_value_create_tensor(first ? first->type : type->element, dims, rank + 1, out_value));
  char* at = (*out_value)->data;
  for (size_t i = 0; i < l->done; ++i) {
    const kapell_value* piece = l->pieces[scan][i];
    if (piece->byte_count != first->byte_count)
      return KP_ERROR(RUN_FAILED, "scan output %u changes its shape at iteration %zu", scan, i);
    if (piece->byte_count) memcpy(at + i * piece->byte_count, piece->data, piece->byte_count);
  }
  return NULL;
}

static kp_status* loop_run(loop* l, kapell_value** outputs) {
  const kp_node* node = l->node;
  const kapell_value* trips = kp_mock_frame_get(l->frame, node->inputs[0]);
  const kapell_value* start =
      node->input_count > 1 ? kp_mock_frame_get(l->frame, node->inputs[1]) : NULL;
  bool condition = start ? read_bool(start) : true;
  const int64_t limit = trips ? read_int(trips) : INT64_MAX;
  KP_PASS(loop_begin(l, condition));
  for (int64_t i = 0; i < limit && condition; ++i) KP_PASS(loop_step(l, i, &condition));
  for (uint32_t i = 0; i < node->output_count; ++i) {
    if (node->outputs[i] == KP_NONE) continue;
    if (i < l->carried)
      outputs[i] = kp_value_retain(l->inputs[2 + i]);
    else
      KP_PASS(join_pieces(l, i - l->carried, &outputs[i]));
  }
  return NULL;
}

static kp_status* run_loop(kp_mock_frame* frame, const kp_node* node, kapell_value** outputs) {
  const kp_graph* body = kp_node_attr_graph(node, "body");
  loop l = {.frame = frame,
            .node = node,
            .body = body,
            .carried = body->input_count - 2,
            .scans = body->output_count + 1 - body->input_count};
  kp_status* status = loop_run(&l, outputs);
  for (uint32_t i = 0; l.inputs && i < body->input_count; ++i) kp_value_release(l.inputs[i]);
  for (uint32_t i = 0; l.pieces && i < l.scans; ++i) {
    for (size_t k = 0; k < l.done; ++k) kp_value_release(l.pieces[i][k]);
    kp_free(l.pieces[i]);
  }
  kp_free(l.inputs);
  kp_free(l.pieces);
  return status;
}

// The counts that the code above relies on; a model may have any.
static bool well_formed_if(const kp_mock_frame* frame, const kp_node* node) {
  const kp_graph* bodies[] = {kp_node_attr_graph(node, "then_branch"),
                              kp_node_attr_graph(node, "else_branch")};
  for (int i = 0; i < 2; ++i)
    if (!bodies[i] || bodies[i]->output_count != node->output_count ||
        bodies[i]->capture_count > node->implicit_count)
      return false;
  return node->input_count == 1 && kp_mock_frame_get(frame, node->inputs[0]);
}

static bool well_formed_loop(const kp_mock_frame* frame, const kp_node* node) {
  const kp_graph* body = kp_node_attr_graph(node, "body");
  if (!body || body->input_count < 2 || body->capture_count > node->implicit_count ||
      body->input_count != node->input_count)
    return false;
  for (uint32_t i = 2; i < node->input_count; ++i)
    if (!kp_mock_frame_get(frame, node->inputs[i])) return false;
  return body->output_count + 1 >= body->input_count &&
         node->output_count + 1 <= body->output_count;
}

kp_status* kp_mock_control_run(kp_mock_frame* frame, const kp_node* node, kapell_value** outputs) {
  const bool is_if = kp_node_is(node, "", "If");
  if (!(is_if ? well_formed_if(frame, node) : well_formed_loop(frame, node)))
    return kp_status_at(KP_ERROR(RUN_FAILED, "the bodies do not fit the node's inputs and outputs"),
                        node->name, node->op, NULL);
  kp_status* status = is_if ? run_if(frame, node, outputs) : run_loop(frame, node, outputs);
  return kp_status_at(status, node->name, node->op, NULL);
}
