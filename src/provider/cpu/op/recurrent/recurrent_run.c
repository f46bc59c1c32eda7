// Walking the steps of RNN, GRU and LSTM. recurrent.c has the story.
//
// A row of the batch whose sequence is over keeps its state; its places in Y are zeros. A sequence of no steps leaves zeros in Y_h and
// Y_c, as in ONNX Runtime (the specification does not say).
#include <math.h>

#include "provider/cpu/op/recurrent/recurrent.h"

// One direction over some rows of the batch.
typedef struct kp_recurrent_way {
  const kp_op_run* run;
  const kp_recurrent_state* state;
  const kp_recurrent_params* p;
  const kp_cell* cell;
  size_t index;      // of the direction
  size_t row, rows;  // of the batch; below, rows count from |row|
  bool reverse;
  const int32_t* lengths;  // by row; NULL: all have p->length
  size_t steps;            // of the longest
  char* scratch;           // of this way
  const float *w, *r;      // packed
  bool biased;
  size_t now;         // which of the two states is the one before this step
  size_t step;        // at work
  size_t first_step;  // of the chunk
  const void* x;      // inputs of the chunk, row by row
  size_t chunk_steps;
  const void* h_seen;  // what R meets: the state, or the state rounded
} kp_recurrent_way;

static void* room(const kp_recurrent_way* way, size_t at) { return way->scratch + at; }
static size_t columns_of(const kp_recurrent_way* way) { return way->state->gates * way->p->hidden; }
static size_t length_of(const kp_recurrent_way* way, size_t b) {
  return way->lengths ? (size_t)way->lengths[way->row + b] : way->p->length;
}
static bool reset_first(const kp_recurrent_way* way) {
  return way->cell->kind == KP_CELL_GRU && !way->cell->reset_after;
}

// --- products ----------------------------------------------------------------------------------------------------------------
// f64: sums of rows of A with rows of B added to C, or bias to it.
typedef struct kp_plain_product {
  size_t rows, cols, depth;
  const double *a, *b, *bias;
  double* c;
  size_t c_stride;
  bool adds;
  size_t tasks;
} kp_plain_product;

static void plain_rows(const kp_plain_product* p, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) {
    for (size_t j = 0; j < p->cols; ++j) {
      double* c = &p->c[i * p->c_stride + j];
      double sum = p->adds ? *c : p->bias ? p->bias[j] : 0;
      for (size_t k = 0; k < p->depth; ++k) sum += p->a[i * p->depth + k] * p->b[j * p->depth + k];
      *c = sum;
    }
  }
}

static void plain_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_plain_product* p = arg;
  size_t first, last;
  kp_share(p->rows, p->tasks, task, &first, &last);
  plain_rows(p, first, last);
}

// Where H R goes: added to what is there, or put there with a bias (may be NULL).
typedef struct kp_state_sum {
  void* to;
  size_t stride;
  bool adds;
  const void* bias;
} kp_state_sum;

// H R of gate |gate| for units [first, last).
static void multiply_state(const kp_recurrent_way* way, const void* h, size_t gate, size_t first,
                           size_t last, const kp_state_sum* sum) {
  const kp_recurrent_params* p = way->p;
  if (p->f64) {
    const double* r = (const double*)way->run->inputs[KP_RECURRENT_R]->data +
                      (way->index * columns_of(way) + gate * p->hidden + first) * p->hidden;
    const kp_plain_product product = {.rows = way->rows,
                                      .cols = last - first,
                                      .depth = p->hidden,
                                      .a = h,
                                      .b = r,
                                      .bias = sum->bias,
                                      .c = sum->to,
                                      .c_stride = sum->stride,
                                      .adds = sum->adds};
    plain_rows(&product, 0, way->rows);
    return;
  }
  kp_gemm_tile tile = {.rows = way->rows,
                       .cols = last - first,
                       .taps = 1,
                       .depth = p->hidden,
                       .a = h,
                       .a_stride = p->hidden,
                       .b = way->r + gate * p->r_floats + first * p->hidden,
                       .b_row_stride = way->state->gemm->nr,
                       .b_panel_stride = way->state->gemm->nr * p->hidden,
                       .c = sum->to,
                       .c_stride = sum->stride,
                       .epilogue = KP_EPILOGUE_NONE};
  tile.epilogue.bias_n = sum->bias;
  if (sum->adds) {
    tile.epilogue.residual = sum->to;
    tile.epilogue.residual_stride = sum->stride;
  }
  way->state->gemm->multiply(&tile);
}

typedef struct kp_input_product {
  kp_gemm_plan plan;
  kp_gemm_args args;
  char* scratch;
  size_t thread_bytes;
} kp_input_product;

static void input_task(void* arg, size_t task, int worker) {
  const kp_input_product* job = arg;
  kp_gemm_run_task(&job->plan, &job->args, task, job->scratch + (size_t)worker * job->thread_bytes);
}

// Rows of f32 meet 8-bit weights; inputs |scale| and the one behind it say what these stand for.
static kp_bytes_product bytes_product(const kp_recurrent_way* way,
                                      const kp_recurrent_bytes* weights, uint32_t scale) {
  const kp_recurrent_params* p = way->p;
  return (kp_bytes_product){.weights = weights,
                            .direction = way->index,
                            .scale = way->run->inputs[scale],
                            .zero = way->run->inputs[scale + 1],
                            .rounded = room(way, p->bytes_at),
                            .scales = room(way, p->scales_at),
                            .scratch = room(way, p->gemm_at),
                            .thread_bytes = p->gemm_bytes};
}

static void multiply_inputs_as_bytes(const kp_recurrent_way* way) {
  const kapell_value* x = way->run->inputs[KP_RECURRENT_X];
  kp_bytes_product product = bytes_product(way, &way->state->w_bytes, KP_RECURRENT_W_SCALE);
  product.rows = way->chunk_steps * way->rows;
  product.x = way->x;
  product.spread = x->data;
  product.spread_count = kp_value_count(x);
  product.bias = way->biased ? room(way, way->p->bias_at) : NULL;
  product.c = room(way, way->p->gates_at);
  product.threads = way->run->width;
  kp_bytes_product_run(&product);
}

// Adds H R to the gates of the step, which lie in one piece.
static void add_state_as_bytes(const kp_recurrent_way* way, float* gates) {
  kp_bytes_product product = bytes_product(way, &way->state->r_bytes, KP_RECURRENT_R_SCALE);
  const size_t count = way->rows * columns_of(way);
  float* sums = room(way, way->p->sums_at);
  product.rows = way->rows;
  product.x = product.spread = way->h_seen;
  product.spread_count = way->rows * way->p->hidden;
  product.c = sums;
  product.threads = way->p->step_threads;
  kp_bytes_product_run(&product);
  for (size_t i = 0; i < count; ++i) gates[i] += sums[i];
}

static void multiply_inputs(const kp_recurrent_way* way) {
  const kp_recurrent_params* p = way->p;
  if (way->state->narrow) {
    multiply_inputs_as_bytes(way);
    return;
  }
  const size_t rows = way->chunk_steps * way->rows, columns = columns_of(way);
  const int width = way->run->width;
  const void* bias = way->biased ? room(way, p->bias_at) : NULL;
  if (p->f64) {
    kp_plain_product product = {.rows = rows,
                                .cols = columns,
                                .depth = p->features,
                                .a = way->x,
                                .b = (const double*)way->run->inputs[KP_RECURRENT_W]->data +
                                     way->index * columns * p->features,
                                .bias = bias,
                                .c = room(way, p->gates_at),
                                .c_stride = columns};
    const int threads = kp_op_width(width, rows * columns * p->features);
    product.tasks = (size_t)threads;
    kp_parallel_for(threads, product.tasks, plain_task, &product);
    return;
  }
  kp_input_product job = {.scratch = room(way, p->gemm_at), .thread_bytes = p->gemm_bytes};
  const kp_gemm_shape shape = {1, rows, columns, p->features, KP_GEMM_B_PACKED};
  kp_gemm_plan_init(way->state->gemm, &shape, (size_t)width, &job.plan);
  // A shorter last chunk may be cut otherwise than what memory was counted for.
  if (job.plan.scratch_bytes > p->gemm_bytes) job.plan.copy_a = false;
  job.args = (kp_gemm_args){.a = way->x,
                            .a_stride = p->features,
                            .b = way->w,
                            .c = room(way, p->gates_at),
                            .c_stride = columns,
                            .epilogue = KP_EPILOGUE_NONE};
  job.args.epilogue.bias_n = bias;
  kp_parallel_for_dynamic(width, job.plan.task_count, input_task, &job);
}

// --- 8 bits ------------------------------------------------------------------------------------------------------------------
typedef struct kp_rounder {
  float scale, zero;
} kp_rounder;

static kp_rounder rounder_of(const float* x, size_t count) {
  float low = 0, high = 0;
  for (size_t i = 0; i < count; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  const float scale = high == low ? 1 : (high - low) / 255;
  return (kp_rounder){scale, rintf(fminf(255, fmaxf(0, -low / scale)))};
}

static void round_to_8_bits(kp_rounder by, size_t count, const float* x, float* y) {
  for (size_t i = 0; i < count; ++i)
    y[i] = (fminf(255, fmaxf(0, rintf(x[i] / by.scale) + by.zero)) - by.zero) * by.scale;
}

// --- inputs ------------------------------------------------------------------------------------------------------------------
// Sets way->x to the inputs of the chunk, [step][row of the batch]: where they lie, or gathered.
static void gather_inputs(kp_recurrent_way* way) {
  const kp_recurrent_params* p = way->p;
  const char* x = way->run->inputs[KP_RECURRENT_X]->data;
  const size_t row_bytes = p->features * p->size;
  const bool in_order =
      (way->state->batch_first ? p->batch == 1 : way->rows == p->batch) && !way->reverse;
  const bool rounds = way->state->quantized && !way->state->narrow;
  if (in_order && !rounds) {
    way->x = x + way->first_step * p->batch * row_bytes;
    return;
  }
  char* to = room(way, p->rows_at);
  way->x = to;
  for (size_t s = way->first_step; s < way->first_step + way->chunk_steps; ++s) {
    for (size_t b = 0; b < way->rows; ++b, to += row_bytes) {
      const size_t length = length_of(way, b), t = way->reverse ? length - 1 - s : s;
      const size_t at = way->row + b;
      const size_t row = way->state->batch_first ? at * p->length + t : t * p->batch + at;
      if (s >= length)
        memset(to, 0, row_bytes);
      else if (row_bytes)
        memcpy(to, x + row * row_bytes, row_bytes);
    }
  }
  if (!rounds) return;
  const kp_rounder by =
      rounder_of((const float*)(const void*)x, p->length * p->batch * p->features);
  round_to_8_bits(by, way->chunk_steps * way->rows * p->features, way->x, room(way, p->rows_at));
}

// --- one step ----------------------------------------------------------------------------------------------------------------
// Element where Y has direction, step |t| and row |b|.
static size_t y_at(const kp_recurrent_way* way, size_t t, size_t b) {
  const kp_recurrent_params* p = way->p;
  const size_t directions = way->state->directions, at = way->row + b;
  return (way->state->batch_first ? (at * p->length + t) * directions + way->index
                                  : (t * directions + way->index) * p->batch + at) *
         p->hidden;
}

static void* unit(const kp_recurrent_way* way, size_t at, size_t b, size_t first) {
  return (char*)room(way, at) + (b * way->p->hidden + first) * way->p->size;
}

static void* gate_of(const kp_recurrent_way* way, size_t gate, size_t b, size_t first) {
  const kp_recurrent_params* p = way->p;
  const size_t row = (way->step - way->first_step) * way->rows + b;
  return (char*)room(way, p->gates_at) +
         (row * columns_of(way) + gate * p->hidden + first) * p->size;
}

static kp_cell_row row_of(const kp_recurrent_way* way, size_t b, size_t first, size_t last) {
  const kp_recurrent_params* p = way->p;
  kp_cell_row row = {.count = last - first,
                     .h_before = unit(way, p->h_at[way->now], b, first),
                     .h_after = unit(way, p->h_at[!way->now], b, first),
                     .c = unit(way, p->c_at, b, first),
                     .mixed = unit(way, p->mixed_at, b, first)};
  for (size_t g = 0; g < way->state->gates; ++g) row.gates[g] = gate_of(way, g, b, first);
  const kapell_value* peephole =
      way->cell->kind == KP_CELL_LSTM ? kp_run_input(way->run, KP_RECURRENT_P) : NULL;
  for (size_t g = 0; peephole && g < 3; ++g)
    row.peephole[g] =
        (const char*)peephole->data + ((way->index * 3 + g) * p->hidden + first) * p->size;
  return row;
}

static void finish_row(const kp_recurrent_way* way, size_t b, size_t first, size_t last) {
  const kp_recurrent_params* p = way->p;
  const kp_cell_row row = row_of(way, b, first, last);
  const size_t bytes = row.count * p->size, length = length_of(way, b);
  if (way->step >= length) {
    memcpy(row.h_after, row.h_before, bytes);
    return;
  }
  kp_cell_finish(way->cell, p->f64, &row);
  const kapell_value* y = kp_run_result(way->run, 0);
  const size_t t = way->reverse ? length - 1 - way->step : way->step;
  if (y) memcpy((char*)y->data + (y_at(way, t, b) + first) * p->size, row.h_after, bytes);
}

static void range_of(const kp_recurrent_way* way, size_t task, size_t* out_first,
                     size_t* out_last) {
  const kp_recurrent_params* p = way->p;
  const size_t units = (p->hidden + p->range_unit - 1) / p->range_unit;
  kp_share(units, p->ranges, task, out_first, out_last);
  *out_first *= p->range_unit;
  *out_last = kp_min_size(*out_last * p->range_unit, p->hidden);
}

// Adds H R of gate |gate| to the gates of the step.
static void add_state(const kp_recurrent_way* way, const void* h, size_t gate, size_t first,
                      size_t last) {
  const kp_state_sum sum = {
      .to = gate_of(way, gate, 0, first), .stride = columns_of(way), .adds = true};
  multiply_state(way, h, gate, first, last, &sum);
}

static void step_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_recurrent_way* way = arg;
  const kp_recurrent_params* p = way->p;
  const bool gru = way->cell->kind == KP_CELL_GRU;
  size_t first, last;
  range_of(way, task, &first, &last);
  for (size_t g = 0; !way->state->narrow && g < (gru ? 2 : way->state->gates); ++g)
    add_state(way, way->h_seen, g, first, last);
  if (gru && way->cell->reset_after) {
    const char* bias = (const char*)room(way, p->bias_at) + (columns_of(way) + first) * p->size;
    const kp_state_sum sum = {.to = unit(way, p->mixed_at, 0, first),
                              .stride = p->hidden,
                              .bias = way->biased ? bias : NULL};
    multiply_state(way, way->h_seen, 2, first, last, &sum);
  }
  for (size_t b = 0; b < way->rows; ++b) {
    if (gru) {
      const kp_cell_row row = row_of(way, b, first, last);
      kp_cell_reset(way->cell, p->f64, &row);
    }
    if (!reset_first(way)) finish_row(way, b, first, last);
  }
}

// GRU without linear_before_reset: the last gate needs r * H of all units.
static void last_gate_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_recurrent_way* way = arg;
  size_t first, last;
  range_of(way, task, &first, &last);
  add_state(way, room(way, way->p->mixed_at), 2, first, last);
  for (size_t b = 0; b < way->rows; ++b) finish_row(way, b, first, last);
}

static void run_step(kp_recurrent_way* way) {
  const kp_recurrent_params* p = way->p;
  way->h_seen = room(way, p->h_at[way->now]);
  if (way->state->narrow) {
    add_state_as_bytes(way, gate_of(way, 0, 0, 0));
  } else if (way->state->quantized) {
    const size_t count = way->rows * p->hidden;
    float* rounded = room(way, p->rounded_at);
    round_to_8_bits(rounder_of(way->h_seen, count), count, way->h_seen, rounded);
    way->h_seen = rounded;
  }
  kp_parallel_for(p->step_threads, p->ranges, step_task, way);
  if (reset_first(way)) kp_parallel_for(p->step_threads, p->ranges, last_gate_task, way);
  way->now = !way->now;
}

// --- one way -----------------------------------------------------------------------------------------------------------------
// Wb + Rb; behind them Rb of GRU's last gate where that goes elsewhere.
static void add_biases(kp_recurrent_way* way) {
  const kapell_value* b = kp_run_input(way->run, KP_RECURRENT_B);
  const size_t columns = columns_of(way), hidden = way->p->hidden;
  way->biased = b != NULL;
  if (!b) return;
  const bool apart = way->cell->kind == KP_CELL_GRU && way->cell->reset_after;
  for (size_t i = 0; i < columns + hidden; ++i) {
    const size_t at = way->index * 2 * columns + i;
    const bool last = i >= columns - hidden;  // of the gates, or behind them
    if (i >= columns && !apart) break;
    const double w = i < columns ? kp_double_at(b, at) : 0,
                 r = i >= columns    ? kp_double_at(b, at + columns - hidden)
                     : apart && last ? 0
                                     : kp_double_at(b, at + columns);
    if (way->p->f64)
      ((double*)room(way, way->p->bias_at))[i] = w + r;
    else
      ((float*)room(way, way->p->bias_at))[i] = (float)(w + r);
  }
}

// Constants are packed already.
static void pack_weights(kp_recurrent_way* way) {
  const kp_recurrent_state* state = way->state;
  const kp_recurrent_params* p = way->p;
  kapell_value* const* inputs = way->run->inputs;
  if (p->f64 || state->narrow) return;
  float *wide = room(way, p->rounded_at), *w = room(way, p->w_at), *r = room(way, p->r_at);
  if (!state->w) kp_recurrent_pack_w(state, inputs, way->index, wide, w);
  way->w = state->w ? state->w + way->index * p->w_floats : w;
  if (!state->r) kp_recurrent_pack_r(state, inputs, way->index, wide, r);
  way->r = state->r ? state->r + way->index * state->gates * p->r_floats : r;
}

// Row |b| of this direction in initial_h, initial_c, Y_h, Y_c.
static char* state_row(const kp_recurrent_way* way, const kapell_value* value, size_t b) {
  const size_t at = way->row + b;
  const size_t row = way->state->batch_first ? at * way->state->directions + way->index
                                             : way->index * way->p->batch + at;
  return (char*)value->data + row * way->p->hidden * way->p->size;
}

static void load_state(const kp_recurrent_way* way, uint32_t input, size_t at) {
  const kapell_value* from = kp_run_input(way->run, input);
  const size_t bytes = way->p->hidden * way->p->size;
  if (!from) memset(room(way, at), 0, way->rows * bytes);
  for (size_t b = 0; from && b < way->rows; ++b)
    memcpy(unit(way, at, b, 0), state_row(way, from, b), bytes);
}

static void store_state(const kp_recurrent_way* way, uint32_t output, size_t at) {
  const kapell_value* to = kp_run_result(way->run, output);
  const size_t bytes = way->p->hidden * way->p->size;
  for (size_t b = 0; to && b < way->rows; ++b) {
    if (length_of(way, b))
      memcpy(state_row(way, to, b), unit(way, at, b, 0), bytes);
    else
      memset(state_row(way, to, b), 0, bytes);
  }
}

static void clear_padding(const kp_recurrent_way* way) {
  const kapell_value* y = kp_run_result(way->run, 0);
  const size_t size = way->p->size;
  for (size_t b = 0; y && b < way->rows; ++b)
    for (size_t t = length_of(way, b); t < way->p->length; ++t)
      memset((char*)y->data + y_at(way, t, b) * size, 0, way->p->hidden * size);
}

static void walk(kp_recurrent_way* way) {
  const kp_recurrent_params* p = way->p;
  clear_padding(way);
  add_biases(way);
  pack_weights(way);
  load_state(way, KP_RECURRENT_H, p->h_at[0]);
  if (way->cell->kind == KP_CELL_LSTM) load_state(way, KP_RECURRENT_C, p->c_at);
  for (size_t first = 0; first < way->steps; first += p->chunk) {
    way->first_step = first;
    way->chunk_steps = kp_min_size(p->chunk, way->steps - first);
    gather_inputs(way);
    multiply_inputs(way);
    for (way->step = first; way->step < first + way->chunk_steps; ++way->step) {
      if (kp_cancelled(way->run)) return;
      run_step(way);
    }
  }
  store_state(way, 1, p->h_at[way->now]);
  if (way->cell->kind == KP_CELL_LSTM) store_state(way, 2, p->c_at);
}

// --- run ---------------------------------------------------------------------------------------------------------------------
static kp_status* read_lengths(const kp_op_run* run, size_t* out_steps) {
  const kp_recurrent_params* p = run->params;
  const kapell_value* lengths = kp_run_input(run, KP_RECURRENT_LENGTHS);
  *out_steps = lengths ? 0 : p->length;
  for (size_t b = 0; lengths && b < p->batch; ++b) {
    const int32_t length = ((const int32_t*)lengths->data)[b];
    if (length < 0 || (size_t)length > p->length)
      return KP_ERROR(RUN_FAILED, "sequence_lens: %d at %zu; expected 0 to %zu, the steps of X",
                      (int)length, b, p->length);
    *out_steps = kp_max_size(*out_steps, (size_t)length);
  }
  return NULL;
}

// Way |index|: the directions of one group of rows follow each other.
static void set_way(const kp_op_run* run, size_t index, size_t steps, kp_recurrent_way* way) {
  const kp_recurrent_state* state = run->state;
  const kp_recurrent_params* p = run->params;
  const kapell_value* lengths = kp_run_input(run, KP_RECURRENT_LENGTHS);
  const size_t direction = index % state->directions;
  *way = (kp_recurrent_way){.run = run,
                            .state = state,
                            .p = p,
                            .cell = &state->cells[direction],
                            .index = direction,
                            .reverse = direction == 1 || state->reverse,
                            .lengths = lengths ? lengths->data : NULL,
                            .steps = steps,
                            .scratch = (char*)run->scratch + index * p->way_bytes};
  size_t end;
  kp_share(p->batch, p->groups, index / state->directions, &way->row, &end);
  way->rows = end - way->row;
}

typedef struct kp_recurrent_job {
  const kp_op_run* run;
  size_t steps;
} kp_recurrent_job;

static void way_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_recurrent_job* job = arg;
  kp_recurrent_way way;
  set_way(job->run, task, job->steps, &way);
  walk(&way);
}

kp_status* kp_recurrent_run(const kp_op_run* run) {
  const kp_recurrent_state* state = run->state;
  const kp_recurrent_params* p = run->params;
  kp_recurrent_job job = {.run = run};
  KP_PASS(read_lengths(run, &job.steps));
  if (!p->batch || !p->hidden) return NULL;
  kp_parallel_for(p->way_threads, state->directions * p->groups, way_task, &job);
  return NULL;
}
