// RNN, GRU, LSTM and com.microsoft's DynamicQuantizeLSTM: attributes, packed weights, memory. recurrent_run.c walks the steps.
//
// The products of the inputs of many steps are one matrix product; a step adds H R and goes through recurrent_cell.c. W and R lie in
// panels for kernel/gemm, R one gate after the other, so that a range of units is a task that needs no others within a step.
// Constant 8-bit weights stay bytes (recurrent_bytes.c). Others are widened when packed, and what meets them is rounded to 8 bits: the
// numbers are those of an integer product.
#include "provider/cpu/op/recurrent/recurrent.h"
#include "provider/cpu/packed.h"

// Floats of gates computed ahead: small enough for a second- or third-level cache, large enough for a good product.
enum { kGatesAhead = 512 * 1024 };
// Rows of the batch that make a way of its own worth while, and floats of R that every core's own cache can hold.
enum { kGroupRows = 4, kSharedWeights = 256 * 1024 };

// --- attributes --------------------------------------------------------------------------------------------------------------
static kp_cell_kind kind_of(const kp_node* node) {
  return strcmp(node->op, "RNN") == 0   ? KP_CELL_RNN
         : strcmp(node->op, "GRU") == 0 ? KP_CELL_GRU
                                        : KP_CELL_LSTM;
}

static kp_reason read_state(const kp_op_query* query, kp_recurrent_state* state) {
  static const size_t gates[] = {1, 3, 4};
  const kp_cell_kind kind = kind_of(query->node);
  const kp_str direction = kp_node_attr_s(query->node, "direction", "forward");
  state->directions = kp_str_is(direction, "bidirectional") ? 2 : 1;
  state->reverse = kp_str_is(direction, "reverse");
  state->gates = gates[kind];
  state->batch_first = kp_node_attr_i(query->node, "layout", 0) != 0;
  state->quantized = query->node->domain[0] != '\0';
  for (size_t d = 0; d < state->directions; ++d) {
    const kp_reason reason = kp_cell_read(query, kind, state->directions, d, &state->cells[d]);
    if (reason) return reason;
  }
  return KP_SUPPORTED;
}

static kp_reason recurrent_supports(const kp_op_query* query) {
  kp_recurrent_state state = {0};
  return read_state(query, &state);
}

// --- packing -----------------------------------------------------------------------------------------------------------------
// Direction |d| of the 8-bit weights |value| as floats.
static void widen(const kapell_value* value, const kapell_value* scale, const kapell_value* zero,
                  size_t d, float* wide) {
  const size_t columns = (size_t)value->dims[2], count = (size_t)value->dims[1] * columns;
  const bool each = scale->rank == 2, zero_each = zero->rank == 2;
  for (size_t i = 0; i < count; ++i) {
    const size_t column = d * columns + i % columns;
    const int64_t from = kp_int_at(zero, zero_each ? column : d);
    const float step = ((const float*)scale->data)[each ? column : d];
    wide[i] = (float)(kp_int_at(value, d * count + i) - from) * step;
  }
}

void kp_recurrent_pack_w(const kp_recurrent_state* state, kapell_value* const* inputs, size_t d,
                         float* wide, float* packed) {
  const kapell_value* w = inputs[KP_RECURRENT_W];
  const size_t rows = (size_t)w->dims[1], columns = (size_t)w->dims[2];
  if (state->quantized) {
    widen(w, inputs[KP_RECURRENT_W_SCALE], inputs[KP_RECURRENT_W_ZERO], d, wide);
    kp_gemm_pack_b(state->gemm, rows, 0, columns, wide, columns, false, packed);
  } else {
    kp_gemm_pack_b(state->gemm, columns, 0, rows, (const float*)w->data + d * rows * columns,
                   columns, true, packed);
  }
}

void kp_recurrent_pack_r(const kp_recurrent_state* state, kapell_value* const* inputs, size_t d,
                         float* wide, float* packed) {
  const kapell_value* r = inputs[KP_RECURRENT_R];
  const size_t hidden = (size_t)r->dims[state->quantized ? 1 : 2], columns = state->gates * hidden;
  const size_t each = kp_gemm_packed_b_size(state->gemm, hidden, hidden);
  if (state->quantized)
    widen(r, inputs[KP_RECURRENT_R_SCALE], inputs[KP_RECURRENT_R_ZERO], d, wide);
  for (size_t g = 0; g < state->gates; ++g) {
    if (state->quantized)
      kp_gemm_pack_b(state->gemm, hidden, 0, hidden, wide + g * hidden, columns, false,
                     packed + g * each);
    else
      kp_gemm_pack_b(state->gemm, hidden, 0, hidden,
                     (const float*)r->data + (d * columns + g * hidden) * hidden, hidden, true,
                     packed + g * each);
  }
}

static bool constant_weights(const kp_op_prepare* prepare, const kp_recurrent_state* state,
                             uint32_t index) {
  const kapell_value* value = kp_prepare_constant(prepare, index);
  if (!value || value->rank != 3 || (size_t)value->dims[0] != state->directions) return false;
  if (!state->quantized) return value->type == KAPELL_FLOAT;
  const uint32_t scale = index == KP_RECURRENT_W ? KP_RECURRENT_W_SCALE : KP_RECURRENT_R_SCALE;
  return kp_prepare_constant(prepare, scale) && kp_prepare_constant(prepare, scale + 1);
}

// What decides how W and R lie besides their shapes.
static kp_packed_form form_of(const kp_op_prepare* prepare, const kp_recurrent_state* state,
                              uint32_t index) {
  enum { kFirst = 2 };  // among the forms that the same kernels pack
  const bool is_w = index == KP_RECURRENT_W;
  kp_packed_form form = {.ops = state->gemm, .numbers = {kFirst + is_w, state->gates}};
  if (!state->quantized) return form;
  const uint32_t scale = is_w ? KP_RECURRENT_W_SCALE : KP_RECURRENT_R_SCALE;
  form.numbers[2] = 1;
  form.numbers[3] = kp_packed_input(prepare, scale);
  form.numbers[4] = kp_packed_input(prepare, scale + 1);
  return form;
}

static kp_status* pack_constant(kp_op_prepare* prepare, const kp_recurrent_state* state,
                                uint32_t index, const float** out_packed) {
  if (!constant_weights(prepare, state, index)) return NULL;
  const kapell_value* value = prepare->constants[index];
  const size_t depth = (size_t)value->dims[state->quantized ? 1 : 2];
  const size_t hidden = (size_t)value->dims[state->quantized ? 2 : 1] / state->gates;
  const size_t each = index == KP_RECURRENT_W
                          ? kp_gemm_packed_b_size(state->gemm, depth, state->gates * hidden)
                          : state->gates * kp_gemm_packed_b_size(state->gemm, hidden, hidden);
  const kp_packed_form form = form_of(prepare, state, index);
  bool done;
  float* packed = kp_prepare_packed_once(prepare, index, &form,
                                         (state->directions * each + 1) * sizeof(float), &done);
  float* wide = state->quantized && !done
                    ? kp_alloc((depth * state->gates * hidden + 1) * sizeof(float))
                    : NULL;
  if (!packed || (state->quantized && !done && !wide)) {
    kp_free(wide);
    return KP_ERROR(OUT_OF_MEMORY, "packing %zu floats", state->directions * each);
  }
  for (size_t d = 0; !done && d < state->directions; ++d)
    (index == KP_RECURRENT_W ? kp_recurrent_pack_w : kp_recurrent_pack_r)(
        state, prepare->constants, d, wide, packed + d * each);
  kp_free(wide);
  prepare->consumed[index] = true;
  prepare->kernel = "gemm_f32";
  *out_packed = done ? packed : kp_prepare_settle(prepare, packed);
  return NULL;
}

static kp_status* pack_bytes(kp_op_prepare* prepare, kp_recurrent_state* state) {
  KP_PASS(kp_recurrent_bytes_pack(prepare, KP_RECURRENT_W, &state->w_bytes));
  KP_PASS(kp_recurrent_bytes_pack(prepare, KP_RECURRENT_R, &state->r_bytes));
  prepare->consumed[KP_RECURRENT_W] = prepare->consumed[KP_RECURRENT_R] = true;
  prepare->kernel = "qgemm";
  return NULL;
}

static kp_status* recurrent_prepare(kp_op_prepare* prepare) {
  kp_recurrent_state* state = kp_arena_new(prepare->arena, kp_recurrent_state);
  if (!state) return KP_ERROR(OUT_OF_MEMORY, "preparing a node");
  const kp_op_query query = {prepare->graph, prepare->node, prepare->arena};
  const kp_reason reason = read_state(&query, state);
  if (reason) return KP_ERROR(UNSUPPORTED, "%s", reason);
  prepare->state = state;
  state->gemm = kp_gemm_select(prepare->features);
  state->cells[0].eltwise = state->cells[1].eltwise = kp_eltwise_select(prepare->features);
  state->narrow = state->quantized && constant_weights(prepare, state, KP_RECURRENT_W) &&
                  constant_weights(prepare, state, KP_RECURRENT_R);
  if (state->narrow) return pack_bytes(prepare, state);
  KP_PASS(pack_constant(prepare, state, KP_RECURRENT_W, &state->w));
  return pack_constant(prepare, state, KP_RECURRENT_R, &state->r);
}

// --- plan --------------------------------------------------------------------------------------------------------------------
// Room for |a| * |b| elements of |size| bytes at *out_at; *ok false once the sum does not fit.
static void take(bool* ok, size_t* total, size_t a, size_t b, size_t size, size_t* out_at) {
  size_t bytes;
  *out_at = *total;
  *ok = *ok && kp_mul_size(a, b, &bytes) && kp_mul_size(bytes, size, &bytes) &&
        kp_add_size(*total, bytes, total) && kp_align_size(*total, KP_ALIGNMENT, total);
}

static void choose_threads(const kp_recurrent_state* state, kp_recurrent_params* p, int width) {
  const size_t weights = p->hidden * p->hidden * state->gates, step = p->batch * weights / 16;
  const size_t panels = (p->hidden + p->range_unit - 1) / p->range_unit;
  p->step_threads = kp_op_width(width, step);
  p->groups = p->way_threads = 1;
  p->group_rows = p->batch;
  // Whole ways side by side never wait for each other; ranges of one step do. But each way reads all of R.
  const size_t ways = (size_t)kp_op_width(width, step * p->length * state->directions);
  if (weights <= kSharedWeights && (state->narrow || (state->w && state->r)))
    p->groups = kp_max_size(1, kp_min_size(ways / state->directions, p->batch / kGroupRows));
  const bool apart = state->directions == 2 && ways > 1 && p->step_threads <= 2;
  if (p->groups > 1 || apart) {
    p->way_threads = (int)kp_min_size(ways, p->groups * state->directions);
    p->group_rows = (p->batch + p->groups - 1) / p->groups;
    p->step_threads = 1;
  }
  p->ranges = kp_max_size(1, kp_min_size(panels, (size_t)p->step_threads));
}

static void lay_out(const kp_recurrent_state* state, kp_recurrent_params* p, int width, bool* ok,
                    size_t* total) {
  const size_t columns = state->gates * p->hidden, rows = p->chunk * p->group_rows, size = p->size;
  take(ok, total, rows, p->features, size, &p->rows_at);
  take(ok, total, rows, columns, size, &p->gates_at);
  take(ok, total, p->group_rows, p->hidden, size, &p->h_at[0]);
  take(ok, total, p->group_rows, p->hidden, size, &p->h_at[1]);
  take(ok, total, p->group_rows, p->hidden, size, &p->c_at);
  take(ok, total, p->group_rows, p->hidden, size, &p->mixed_at);
  take(ok, total, columns + p->hidden, 1, size, &p->bias_at);
  p->w_at = p->r_at = p->rounded_at = *total;
  if (state->narrow) {
    take(ok, total, kp_max_size(rows * p->features, p->group_rows * p->hidden), 1, 1, &p->bytes_at);
    take(ok, total, columns, 1, sizeof(float), &p->scales_at);
    take(ok, total, p->group_rows, columns, sizeof(float), &p->sums_at);
  } else if (!p->f64) {
    if (!state->w) take(ok, total, p->w_floats, 1, sizeof(float), &p->w_at);
    if (!state->r) take(ok, total, p->r_floats, state->gates, sizeof(float), &p->r_at);
  }
  // Rounded states; before the run also 8-bit weights while they are widened.
  const size_t deepest = kp_max_size(p->features, p->hidden);
  if (state->quantized && !state->narrow)
    take(ok, total, kp_max_size(p->group_rows, state->gates * deepest), p->hidden, sizeof(float),
         &p->rounded_at);
  take(ok, total, p->gemm_bytes, (size_t)width, 1, &p->gemm_at);
}

static kp_status* recurrent_plan(kp_op_plan* plan) {
  const kp_recurrent_state* state = plan->state;
  kp_recurrent_params* p = kp_arena_new(plan->arena, kp_recurrent_params);
  if (!p) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = p;
  const kapell_value *x = plan->inputs[KP_RECURRENT_X], *r = plan->inputs[KP_RECURRENT_R];
  p->f64 = x->type == KAPELL_DOUBLE;
  p->size = kp_type_bits(x->type) / 8;
  p->length = (size_t)x->dims[state->batch_first ? 1 : 0];
  p->batch = (size_t)x->dims[state->batch_first ? 0 : 1];
  p->features = (size_t)x->dims[2];
  p->hidden = (size_t)r->dims[state->quantized ? 1 : 2];
  const size_t columns = state->gates * p->hidden;
  p->range_unit = p->f64 ? 8 : state->gemm->nr;
  p->w_floats = kp_gemm_packed_b_size(state->gemm, p->features, columns);
  p->r_floats = kp_gemm_packed_b_size(state->gemm, p->hidden, p->hidden);
  choose_threads(state, p, plan->width);
  const size_t ahead = kGatesAhead / kp_max_size(1, p->group_rows * (columns + p->features));
  p->chunk = kp_max_size(1, kp_min_size(p->length, ahead));
  kp_gemm_plan product;
  const kp_gemm_shape shape = {1, p->chunk * p->group_rows, columns, p->features, KP_GEMM_B_PACKED};
  kp_gemm_plan_init(state->gemm, &shape, (size_t)plan->width, &product);
  p->gemm_bytes = state->narrow ? kp_max_size(kp_recurrent_bytes_scratch(&state->w_bytes),
                                              kp_recurrent_bytes_scratch(&state->r_bytes))
                                : product.scratch_bytes;
  bool ok = kp_align_size(p->gemm_bytes, KP_ALIGNMENT, &p->gemm_bytes);
  lay_out(state, p, plan->width, &ok, &p->way_bytes);
  if (!ok || !kp_mul_size(p->way_bytes, state->directions * p->groups, &plan->scratch_bytes))
    return KP_ERROR(LIMIT, "a state of %zu x %zu exceeds the address space", p->batch, p->hidden);
  return NULL;
}

// clang-format off
#define RECURRENT(op) \
  {.name = op, .since = 1, .types = KP_M_REALS, .supports = recurrent_supports, .prepare = recurrent_prepare, \
   .plan = recurrent_plan, .run = kp_recurrent_run, .flags = KP_OP_WIDEN, .kernels = "f32: gemm, eltwise"}
static const kp_op_def ops[] = {  // spec: ONNX operators RNN-1..22, GRU-1..22, LSTM-1..22; ONNX Runtime's DynamicQuantizeLSTM
    RECURRENT("RNN"), RECURRENT("GRU"), RECURRENT("LSTM"),
    {.domain = "com.microsoft", .name = "DynamicQuantizeLSTM", .since = 1, .types = KP_M(FLOAT), .supports = recurrent_supports,
     .prepare = recurrent_prepare, .plan = recurrent_plan, .run = kp_recurrent_run, .kernels = "8 bits: qgemm; f32: gemm, eltwise"},
};
// clang-format on
KP_OP_TABLE(recurrent);
