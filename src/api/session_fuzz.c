// Fuzz target: any bytes are opened as a whole session, untrusted and with narrow limits, on several chains of providers. Oracles: a
// repeated run gives the same numbers; what runs on the CPU alone runs on each chain, with the same numbers; what runs with and
// without fusions agrees within rounding; with an allocation that fails, nothing leaks and the error says so.
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"
#include "support/fuzz_session.h"
#include "support/model_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return kp_mutate_model(data, size, max_size, seed);
}

static void require(bool condition) {
  if (!condition) abort();
}

// Draws numbers, or (training) may.
static const char* const kRandom[] = {"Random", "Dropout", "Bernoulli", "Multinomial", NULL};
// A rounding error of an input may change an output by any amount: numbers are compared only where no such operator occurs.
static const char* const kSteep[] = {
    "Cast",  "Floor",  "Ceil",       "Round",      "Mod",       "Sign",       "Arg",
    "TopK",  "Equal",  "Less",       "Greater",    "Quant",     "NonZero",    "NonMax",
    "Where", "If",     "Loop",       "Scan",       "Unique",    "MaxPool",    "Hard",
    "Is",    "Div",    "Reciprocal", "Integer",    "QLinear",   "BatchNorm",  "Norm",
    "Pow",   "Sqrt",   "Log",        "Tan",        "Thresh",    "Shrink",     "Clip",
    "Exp",   "Matmul", "Not",        "Gradient",   "Attention", "Inverse",    "Det",
    "Tree",  "Range",  "Resize",     "GridSample", "RoiAlign",  "Upsample",   "BitCast",
    "Atan",  "Acos",   "Asin",       "Compress",   "Loss",      "Adam",       "Adagrad",
    "MoE",   "Binar",  "Discret",    "Label",      "SVM",       "Classifier", "Mel",
    "Crop",  "Swish",  "Experts",    NULL};

typedef struct chain {
  const char* providers;
  kapell_provider_option settings[4];
} chain;

static const chain chains[] = {
    {"Mock?,CPU", {{NULL, NULL}}},
    {"Mock?,CPU", {{"Mock.ops", "alternate"}, {"Mock.atomic", "1"}, {NULL, NULL}}},
    {"Mock?,Mock2?,CPU",
     {{"Mock.ops", "half"}, {"Mock.control", "1"}, {"Mock2.static", "1"}, {NULL, NULL}}},
    {"Mock?,Mock3?,CPU", {{"Mock.streams", "1"}, {"Mock.ops", "alternate"}, {NULL, NULL}}},
};

// A limit is reached here and not there when plans differ.
static bool is_limit(kapell_code code) {
  return code == KAPELL_LIMIT || code == KAPELL_TIMEOUT || code == KAPELL_OUT_OF_MEMORY;
}

static void repeat(kp_fuzz_run* run, unsigned seed) {
  kp_fuzz_again(run, seed);
  if (run->code) return;
  kp_fuzz_run again = {.session = run->session, .count = run->count};
  kp_fuzz_again(&again, seed);
  for (size_t i = 0; !again.code && i < run->count && !kp_fuzz_has(run->session, kRandom); ++i)
    require(kp_fuzz_same(run->outputs[i], again.outputs[i]));
  kp_fuzz_drop(&again);
  kapell_memory_estimate estimate = {.struct_size = sizeof(estimate)};
  (void)kp_fuzz_finish(kapell_session_estimate_memory(run->session, NULL, 0, &estimate));
}

// |other| runs what |wanted| ran; |scale| < 0: with the same shapes; else with numbers within rounding of |scale|.
static void agree(const kp_fuzz_run* wanted, const kp_fuzz_run* other, double scale) {
  if (wanted->code || is_limit(other->code)) return;
  require(other->code == KAPELL_OK && other->count == wanted->count);
  if (kp_fuzz_has(wanted->session, kRandom)) return;
  for (size_t i = 0; i < wanted->count; ++i) {
    if (!kp_fuzz_same_shape(wanted->outputs[i], other->outputs[i]))
      require(kp_fuzz_has(wanted->session, kSteep));
    else if (scale >= 0)
      require(kp_fuzz_near(wanted->outputs[i], other->outputs[i], scale));
  }
}

// How far numbers may lie apart: of the largest value that occurs anywhere in the model; a negative number where they may by any amount.
static double rounding(const uint8_t* data, size_t size, unsigned seed) {
  kapell_options options = kp_fuzz_options(NULL, NULL);
  options.keep_values = true;
  kp_fuzz_run all;
  kp_fuzz_open(&all, data, size, &options);
  double scale = -1, bits = 64;
  if (all.session && !kp_fuzz_has(all.session, kSteep)) kp_fuzz_again(&all, seed);
  if (all.session && !all.code && all.outputs[0]) {
    for (size_t i = 0; i < all.count; ++i) {
      scale = fmax(scale, kp_fuzz_largest(all.outputs[i]));
      if (kapell_value_kind(all.outputs[i]) == KAPELL_KIND_TENSOR)
        bits = fmin(bits, (double)kapell_type_bits(kapell_value_type(all.outputs[i])));
    }
    scale = bits < 32 || scale > 1e30 ? -1 : 1e-4 * scale;
  }
  kp_fuzz_close(&all);
  return scale;
}

static void compare(const uint8_t* data, size_t size, unsigned seed, const kp_fuzz_run* fused) {
  kapell_options options = kp_fuzz_options(NULL, NULL);
  options.no_optimize = true;
  const double scale = fused->code ? -1 : rounding(data, size, seed);
  kp_fuzz_run plain, other;
  kp_fuzz_open(&plain, data, size, &options);
  if (plain.session) kp_fuzz_again(&plain, seed);
  agree(fused, &plain, scale);
  kp_fuzz_close(&plain);
  const chain* const c = &chains[seed % (sizeof chains / sizeof *chains)];
  options = kp_fuzz_options(c->providers, c->settings);
  kp_fuzz_open(&other, data, size, &options);
  if (other.session) kp_fuzz_again(&other, seed);
  agree(fused, &other, scale);
  kp_fuzz_close(&other);
}

static void fail_an_allocation(const uint8_t* data, size_t size, unsigned seed) {
  const int64_t live = kp_alloc_live();
  const kapell_options options = kp_fuzz_options(NULL, NULL);
  kp_fuzz_run run;
  kp_alloc_fail_at(1 + kp_hash_bytes(data, size, 1) % 600);
  kp_fuzz_open(&run, data, size, &options);
  if (run.session) kp_fuzz_again(&run, seed);
  kp_alloc_fail_at(0);
  kp_fuzz_close(&run);
  require(kp_alloc_live() == live);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kp_log_set_level(KAPELL_LOG_OFF);
  const unsigned seed = (unsigned)kp_hash_bytes(data, size, 7);
  const kapell_options options = kp_fuzz_options(NULL, NULL);
  kp_fuzz_run fused;
  kp_fuzz_open(&fused, data, size, &options);
  if (fused.session) {
    repeat(&fused, seed);
    compare(data, size, seed, &fused);
  }
  kp_fuzz_close(&fused);
  fail_an_allocation(data, size, seed);
  return 0;
}
