// Fourier transforms of tensors: DFT, STFT, com.microsoft's Rfft and Irfft, and products of complex tensors.
//
// All are sets of lines: a line is read from one place with a stride, transformed in double precision (fft.h), and written to
// another. A line of an even number of real numbers goes through a complex transform of half its length.
#include "provider/cpu/op/map.h"
#include "provider/cpu/op/signal/fft.h"

// Strides in elements; line i begins at i / inner * outer stride + i % inner * inner stride.
typedef struct kp_lines {
  size_t outer, inner, step;
} kp_lines;

typedef struct kp_spectrum {
  size_t length;
  kp_fft fft;               // of |length|, or of half of it:
  const kp_complex* roots;  // then those of |length|, else NULL
  size_t count, inner;      // lines; how many share an outer index
  size_t present;           // numbers that the source has, of |length|; the others are zero
  size_t bins;              // numbers written
  bool complex_in, complex_out, inverse;
  bool half;  // inverse: the source has the first half of a spectrum, whose rest mirrors it
  bool f64;
  kp_lines from, to;
} kp_spectrum;

#define KP_SPECTRUM_AXES 3  // of a signal in several dims (Rfft)

typedef struct kp_spectrum_params {
  kp_spectrum pass[KP_SPECTRUM_AXES];
  size_t pass_count;
  size_t copy_bytes;    // Irfft in several dims: the spectrum on its way
  size_t thread_count;  // complex numbers for one worker
} kp_spectrum_params;

// --- lines -------------------------------------------------------------------------------------------------------------------
typedef struct kp_spectrum_job {
  const kp_op_run* run;
  const kp_spectrum* s;
  const void *from, *window;
  void* to;
  kp_complex* scratch;
  size_t thread_count, tasks;
} kp_spectrum_job;

static size_t line_at(const kp_lines* lines, size_t inner, size_t line) {
  return line / inner * lines->outer + line % inner * lines->inner;
}

static double number_at(bool f64, const void* data, size_t index) {
  return f64 ? ((const double*)data)[index] : (double)((const float*)data)[index];
}

static void put(bool f64, void* data, size_t index, double value) {
  if (f64)
    ((double*)data)[index] = value;
  else
    ((float*)data)[index] = (float)value;
}

// Number |i| of the line that begins at |at|.
static double real_at(const kp_spectrum_job* job, size_t at, size_t i) {
  const kp_spectrum* s = job->s;
  const double value = i < s->present ? number_at(s->f64, job->from, at + i * s->from.step) : 0;
  return job->window ? value * number_at(s->f64, job->window, i) : value;
}

static void load_complex(const kp_spectrum_job* job, size_t line, kp_complex* x) {
  const kp_spectrum* s = job->s;
  const size_t at = line_at(&s->from, s->inner, line), n = s->length;
  for (size_t i = 0; i < n; ++i) {
    const size_t index = at + i * s->from.step;
    x[i] = (kp_complex){0, 0};
    if (i < s->present)
      x[i] = (kp_complex){number_at(s->f64, job->from, index),
                          number_at(s->f64, job->from, index + 1)};
    if (!job->window) continue;
    const double by = number_at(s->f64, job->window, i);
    x[i] = (kp_complex){x[i].re * by, x[i].im * by};
  }
  for (size_t i = n / 2 + 1; s->half && i < n; ++i) x[i] = (kp_complex){x[n - i].re, -x[n - i].im};
}

static void store(const kp_spectrum_job* job, size_t line, const kp_complex* x) {
  const kp_spectrum* s = job->s;
  const size_t at = line_at(&s->to, s->inner, line);
  const double by = s->inverse ? 1 / (double)s->length : 1, sign = s->inverse ? -by : by;
  for (size_t i = 0; i < s->bins; ++i) {
    put(s->f64, job->to, at + i * s->to.step, x[i].re * by);
    if (s->complex_out) put(s->f64, job->to, at + i * s->to.step + 1, x[i].im * sign);
  }
}

// The spectrum of 2 h real numbers from |z|, the transform of h complex ones made of every two of them.
static void unfold(const kp_spectrum* s, const kp_complex* z, kp_complex* x) {
  const size_t h = s->fft.length;
  for (size_t k = 0; k <= h && k < s->bins; ++k) {
    const kp_complex a = z[k == h ? 0 : k], b = z[k == 0 || k == h ? 0 : h - k];
    const kp_complex even = {(a.re + b.re) / 2, (a.im - b.im) / 2};
    const kp_complex odd = {(a.im + b.im) / 2, (b.re - a.re) / 2}, w = s->roots[k];
    x[k] = (kp_complex){even.re + odd.re * w.re - odd.im * w.im,
                        even.im + odd.re * w.im + odd.im * w.re};
  }
  for (size_t k = h + 1; k < s->bins; ++k) x[k] = (kp_complex){x[2 * h - k].re, -x[2 * h - k].im};
}

static void transform_real(const kp_spectrum_job* job, size_t line, kp_complex* x,
                           kp_complex* whole, kp_complex* scratch) {
  const kp_spectrum* s = job->s;
  const size_t at = line_at(&s->from, s->inner, line);
  for (size_t i = 0; i < s->fft.length; ++i)
    x[i] = s->roots ? (kp_complex){real_at(job, at, 2 * i), real_at(job, at, 2 * i + 1)}
                    : (kp_complex){real_at(job, at, i), 0};
  kp_fft_run(&s->fft, x, scratch);
  if (s->roots) unfold(s, x, whole);
  store(job, line, s->roots ? whole : x);
}

static void transform_complex(const kp_spectrum_job* job, size_t line, kp_complex* x,
                              kp_complex* scratch) {
  load_complex(job, line, x);
  for (size_t i = 0; job->s->inverse && i < job->s->length; ++i) x[i].im = -x[i].im;
  kp_fft_run(&job->s->fft, x, scratch);
  store(job, line, x);
}

static void spectrum_task(void* arg, size_t task, int worker) {
  const kp_spectrum_job* job = arg;
  const kp_spectrum* s = job->s;
  kp_complex* x = job->scratch + (size_t)worker * job->thread_count;
  kp_complex *whole = x + s->length, *scratch = whole + s->length;
  size_t first, last;
  kp_share(s->count, job->tasks, task, &first, &last);
  for (size_t line = first; line < last && !kp_cancelled(job->run); ++line) {
    if (s->complex_in)
      transform_complex(job, line, x, scratch);
    else
      transform_real(job, line, x, whole, scratch);
  }
}

static void run_pass(const kp_op_run* run, const kp_spectrum_params* params, size_t index,
                     const void* from, const void* window, void* to) {
  const kp_spectrum* s = &params->pass[index];
  kp_spectrum_job job = {.run = run,
                         .s = s,
                         .from = from,
                         .window = window,
                         .to = to,
                         .scratch = (kp_complex*)(void*)((char*)run->scratch + params->copy_bytes),
                         .thread_count = params->thread_count};
  if (!s->count || !s->bins) return;
  const int threads = kp_op_width(run->width, s->count * s->length * 16);
  job.tasks = kp_min_size(s->count, (size_t)threads * 4);
  kp_parallel_for_dynamic(threads, job.tasks, spectrum_task, &job);
}

// --- plans -------------------------------------------------------------------------------------------------------------------
// Tables of each pass, and scratch.
static kp_status* finish_plan(kp_op_plan* plan, kp_spectrum_params* params) {
  for (size_t i = 0; i < params->pass_count; ++i) {
    kp_spectrum* s = &params->pass[i];
    const bool halves = !s->complex_in && s->length % 2 == 0;
    KP_PASS(kp_fft_init(&s->fft, halves ? s->length / 2 : s->length, plan->arena));
    s->roots = halves ? kp_fft_roots(s->length, s->length / 2 + 1, plan->arena) : NULL;
    if (halves && !s->roots) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
    size_t count;
    if (!kp_mul_size(s->length, 2, &count) || !kp_add_size(count, s->fft.scratch_count, &count))
      return KP_ERROR(LIMIT, "a transform of %zu", s->length);
    params->thread_count = kp_max_size(params->thread_count, count);
  }
  size_t bytes;
  if (!kp_mul_size(params->thread_count, sizeof(kp_complex) * (size_t)plan->width, &bytes) ||
      !kp_align_size(params->copy_bytes, KP_ALIGNMENT, &params->copy_bytes) ||
      !kp_add_size(bytes, params->copy_bytes, &plan->scratch_bytes))
    return KP_ERROR(LIMIT, "scratch memory exceeds the address space");
  return NULL;
}

static kp_spectrum_params* new_params(kp_op_plan* plan) {
  kp_spectrum_params* params = kp_arena_new(plan->arena, kp_spectrum_params);
  plan->params = params;
  return params;
}

static kp_status* read_length(const kapell_value* value, const char* name, int64_t fallback,
                              size_t* out) {
  if (value && (kp_value_count(value) != 1 || !value->data))
    return KP_ERROR(RUN_FAILED, "%s has %zu elements; expected one", name, kp_value_count(value));
  const int64_t length = value ? kp_int_at(value, 0) : fallback;
  if (length < 1)
    return KP_ERROR(RUN_FAILED, "%s is %lld; expected 1 or more", name, (long long)length);
  *out = (size_t)length;
  return NULL;
}

static kp_status* dft_axis(const kp_op_plan* plan, int32_t rank, int32_t* out_axis) {
  const kapell_value* input = kp_plan_input(plan, 2);
  const int64_t stated = input                       ? kp_int_at(input, 0)
                         : plan->node->version >= 20 ? -2
                                                     : kp_node_attr_i(plan->node, "axis", 1);
  if (!kp_axis(stated, rank, out_axis) || *out_axis == rank - 1)
    return KP_ERROR(RUN_FAILED, "axis %lld of a tensor of rank %d, whose last one is for parts",
                    (long long)stated, (int)rank);
  return NULL;
}

static kp_status* dft_plan(kp_op_plan* plan) {
  kp_spectrum_params* params = new_params(plan);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  if (!kp_value_count(y)) return NULL;
  int32_t axis;
  KP_PASS(dft_axis(plan, x->rank, &axis));
  kp_spectrum* s = &params->pass[0];
  params->pass_count = 1;
  const bool onesided = kp_node_attr_i(plan->node, "onesided", 0) != 0;
  s->inverse = kp_node_attr_i(plan->node, "inverse", 0) != 0;
  s->half = onesided && s->inverse;
  s->f64 = x->type == KAPELL_DOUBLE;
  s->complex_in = x->dims[x->rank - 1] == 2;
  s->complex_out = y->dims[y->rank - 1] == 2;
  const int64_t own = s->half ? y->dims[axis] : x->dims[axis];
  KP_PASS(read_length(kp_plan_input(plan, 1), "dft_length", own, &s->length));
  s->present = kp_min_size((size_t)x->dims[axis], s->half ? s->length / 2 + 1 : s->length);
  s->bins = (size_t)y->dims[axis];
  const size_t in = s->complex_in ? 2 : 1, out = s->complex_out ? 2 : 1;
  s->inner = kp_span(x, axis + 1, x->rank - 1);
  s->count = kp_span(x, 0, axis) * s->inner;
  s->from = (kp_lines){(size_t)x->dims[axis] * s->inner * in, in, s->inner * in};
  s->to = (kp_lines){s->bins * s->inner * out, out, s->inner * out};
  return finish_plan(plan, params);
}

static kp_status* stft_plan(kp_op_plan* plan) {
  kp_spectrum_params* params = new_params(plan);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0], *window = kp_plan_input(plan, 2);
  if (!kp_value_count(y)) return NULL;
  kp_spectrum* s = &params->pass[0];
  params->pass_count = 1;
  s->f64 = x->type == KAPELL_DOUBLE;
  s->complex_in = x->rank == 3 && x->dims[2] == 2;
  s->complex_out = true;
  const bool onesided = kp_node_attr_i(plan->node, "onesided", 1) != 0;
  if (s->complex_in && onesided)
    return KP_ERROR(RUN_FAILED, "onesided=1 of a complex signal; its spectrum has two sides");
  if (x->rank == 3 && x->dims[2] != 1 && x->dims[2] != 2)
    return KP_ERROR(RUN_FAILED, "the signal's last dim is %lld; expected 1 (real) or 2 (complex)",
                    (long long)x->dims[2]);
  size_t step;
  KP_PASS(read_length(plan->inputs[1], "frame_step", 0, &step));
  KP_PASS(read_length(kp_plan_input(plan, 3), "frame_length", window ? window->dims[0] : x->dims[1],
                      &s->length));
  const size_t in = s->complex_in ? 2 : 1, frames = (size_t)y->dims[1];
  s->present = s->length;
  s->bins = (size_t)y->dims[2];
  s->inner = frames;
  s->count = (size_t)y->dims[0] * frames;
  s->from = (kp_lines){(size_t)x->dims[1] * in, step * in, in};
  s->to = (kp_lines){frames * s->bins * 2, s->bins * 2, 2};
  return finish_plan(plan, params);
}

// Transforms along an axis of a complex tensor, in place: the dims of a signal but the last.
static void plan_across(kp_spectrum* s, const kapell_value* spectrum, int32_t axis, bool inverse) {
  s->complex_in = s->complex_out = true;
  s->inverse = inverse;
  s->f64 = spectrum->type == KAPELL_DOUBLE;
  s->length = s->present = s->bins = (size_t)spectrum->dims[axis];
  s->inner = kp_span(spectrum, axis + 1, spectrum->rank - 1);
  s->count = kp_span(spectrum, 0, axis) * s->inner;
  s->from = s->to = (kp_lines){s->bins * s->inner * 2, 2, s->inner * 2};
}

// Rfft: the last dim of the signal first, then those before it; Irfft the other way around.
static kp_status* real_plan(kp_op_plan* plan, bool inverse) {
  kp_spectrum_params* params = new_params(plan);
  if (!params) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  const kapell_value *x = plan->inputs[0], *y = plan->outputs[0];
  if (!kp_value_count(y) || !kp_value_count(x)) return NULL;
  const kapell_value *spectrum = inverse ? x : y, *signal = inverse ? y : x;
  params->pass_count = (size_t)kp_node_attr_i(plan->node, "signal_ndim", 1);
  kp_spectrum* s = &params->pass[inverse ? params->pass_count - 1 : 0];
  s->f64 = x->type == KAPELL_DOUBLE;
  s->inverse = s->half = s->complex_in = inverse;
  s->complex_out = !inverse;
  s->length = (size_t)signal->dims[signal->rank - 1];
  const size_t half = (size_t)spectrum->dims[signal->rank - 1];
  s->present = inverse ? half : s->length;
  s->bins = inverse ? s->length : half;
  s->inner = 1;
  s->count = kp_span(signal, 0, signal->rank - 1);
  const kp_lines real = {s->length, 0, 1}, complex = {half * 2, 0, 2};
  s->from = inverse ? complex : real;
  s->to = inverse ? real : complex;
  for (size_t i = 1; i < params->pass_count; ++i)
    plan_across(&params->pass[inverse ? i - 1 : i], spectrum, signal->rank - 1 - (int32_t)i,
                inverse);
  if (inverse && params->pass_count > 1) params->copy_bytes = x->byte_count;
  return finish_plan(plan, params);
}
static kp_status* rfft_plan(kp_op_plan* plan) { return real_plan(plan, false); }
static kp_status* irfft_plan(kp_op_plan* plan) { return real_plan(plan, true); }

// --- run ---------------------------------------------------------------------------------------------------------------------
// DFT and STFT (input 2 of the latter is the window), Rfft.
static kp_status* forward_run(const kp_op_run* run) {
  const kp_spectrum_params* params = run->params;
  const kapell_value* window = strcmp(run->node->op, "STFT") == 0 ? kp_run_input(run, 2) : NULL;
  void* y = run->outputs[0]->data;
  for (size_t i = 0; i < params->pass_count; ++i)
    run_pass(run, params, i, i ? y : run->inputs[0]->data, window ? window->data : NULL, y);
  if (!params->pass_count && run->outputs[0]->byte_count) memset(y, 0, run->outputs[0]->byte_count);
  return NULL;
}

static kp_status* irfft_run(const kp_op_run* run) {
  const kp_spectrum_params* params = run->params;
  const void* from = run->inputs[0]->data;
  if (params->copy_bytes) from = memcpy(run->scratch, from, run->inputs[0]->byte_count);
  for (size_t i = 0; i + 1 < params->pass_count; ++i)
    run_pass(run, params, i, from, NULL, run->scratch);
  if (params->pass_count)
    run_pass(run, params, params->pass_count - 1, from, NULL, run->outputs[0]->data);
  else if (run->outputs[0]->byte_count)
    memset(run->outputs[0]->data, 0, run->outputs[0]->byte_count);
  return NULL;
}

static kp_reason real_supports(const kp_op_query* query) {
  const int64_t dims = kp_node_attr_i(query->node, "signal_ndim", 1);
  KP_REQUIRE(query, kp_node_attr_i(query->node, "normalized", 0) == 0,
             "normalized=1; the operator's words: 'must be 0'");
  KP_REQUIRE(query, kp_node_attr_i(query->node, "onesided", 1) == 1,
             "onesided=0; the operator's words: 'must be 1'");
  KP_REQUIRE(query, dims >= 1 && dims <= KP_SPECTRUM_AXES, "signal_ndim %lld; expected 1 to 3",
             (long long)dims);
  return KP_SUPPORTED;
}

// --- ComplexMul, ComplexMulConj ----------------------------------------------------------------------------------------------
// The value without its last dim, which has the two parts of a number.
static kapell_value numbers_of(const kapell_value* value, int64_t* dims) {
  kapell_value numbers = *value;
  numbers.rank = value->rank - 1;
  memcpy(dims, value->dims, sizeof(int64_t) * (size_t)numbers.rank);
  numbers.dims = dims;
  return numbers;
}

static kp_status* complex_plan(kp_op_plan* plan) {
  kp_map* map = kp_arena_new(plan->arena, kp_map);
  if (!map) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  plan->params = map;
  int64_t dims[3][KP_MAX_RANK];
  const kapell_value* values[] = {plan->inputs[0], plan->inputs[1], plan->outputs[0]};
  kapell_value numbers[3];
  for (size_t i = 0; i < 3; ++i) {
    if (values[i]->rank < 1 || values[i]->dims[values[i]->rank - 1] != 2)
      return KP_ERROR(RUN_FAILED, "the last dim holds real and imaginary parts: it must be 2");
    numbers[i] = numbers_of(values[i], dims[i]);
  }
  const kapell_value* const inputs[] = {&numbers[0], &numbers[1]};
  return kp_map_init(map, plan->arena, 2, inputs, &numbers[2]);
}

#define COMPLEX(type, sum_type)                                                       \
  static void multiply_##type(const void* context, const kp_map_block* block) {       \
    const sum_type sign = *(const bool*)context ? -1 : 1;                             \
    for (size_t r = 0; r < block->rows; ++r) {                                        \
      const type* a = (const type*)block->in[0] + 2 * r * block->row[0];              \
      const type* b = (const type*)block->in[1] + 2 * r * block->row[1];              \
      type* y = (type*)block->out + 2 * r * block->cols;                              \
      for (size_t i = 0; i < block->cols; ++i) {                                      \
        const type *u = a + 2 * i * block->step[0], *v = b + 2 * i * block->step[1];  \
        const sum_type re = (sum_type)u[0], im = (sum_type)u[1], vr = (sum_type)v[0], \
                       vi = sign * (sum_type)v[1];                                    \
        y[2 * i] = (type)(re * vr - im * vi);                                         \
        y[2 * i + 1] = (type)(re * vi + im * vr);                                     \
      }                                                                               \
    }                                                                                 \
  }
COMPLEX(float, double)
COMPLEX(double, double)

static kp_status* complex_run(const kp_op_run* run) {
  const kp_map* map = run->params;
  const bool conjugated = strcmp(run->node->op, "ComplexMulConj") == 0;
  const bool f64 = run->inputs[0]->type == KAPELL_DOUBLE;
  const size_t size = f64 ? 16 : 8, sizes[] = {size, size};
  const void* const in[] = {run->inputs[0]->data, run->inputs[1]->data};
  kp_map_run(map, f64 ? multiply_double : multiply_float, &conjugated, in, sizes,
             run->outputs[0]->data, size, run->width, 4);
  return NULL;
}

// clang-format off
#define MS "com.microsoft"
static const kp_op_def ops[] = {  // spec: ONNX operators DFT-17..20, STFT-17; ONNX Runtime's Rfft, Irfft, ComplexMul, ComplexMulConj
    {.name = "DFT", .since = 17, .types = KP_M_REALS, .plan = dft_plan, .run = forward_run, .flags = KP_OP_WIDEN},
    {.name = "STFT", .since = 17, .types = KP_M_REALS, .plan = stft_plan, .run = forward_run, .flags = KP_OP_WIDEN},
    {.domain = MS, .name = "Rfft", .since = 1, .types = KP_M_REALS, .supports = real_supports, .plan = rfft_plan, .run = forward_run,
     .flags = KP_OP_WIDEN},
    {.domain = MS, .name = "Irfft", .since = 1, .types = KP_M_REALS, .supports = real_supports, .plan = irfft_plan, .run = irfft_run,
     .flags = KP_OP_WIDEN},
    {.domain = MS, .name = "ComplexMul", .since = 1, .types = KP_M_REALS, .plan = complex_plan, .run = complex_run, .flags = KP_OP_WIDEN},
    {.domain = MS, .name = "ComplexMulConj", .since = 1, .types = KP_M_REALS, .plan = complex_plan, .run = complex_run,
     .flags = KP_OP_WIDEN},
};
// clang-format on
KP_OP_TABLE(spectrum);
