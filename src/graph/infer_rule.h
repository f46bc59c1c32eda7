// What the inference functions of all families share: looking at inputs, setting outputs, arithmetic on dims, broadcasting,
// contents of small tensors, errors that name the input. Private to infer*.c.
//
// Everything works in both uses of a rule: over symbols at load, and over numbers while specialising (infer->symbols NULL), where
// a dim that only the data decides is KP_DIM_UNKNOWN. kp_is_symbol(dim) means "no number" in both.
#ifndef KP_GRAPH_INFER_RULE_H_
#define KP_GRAPH_INFER_RULE_H_

#include "base/size.h"
#include "base/value.h"
#include "graph/infer.h"

// --- inputs -----------------------------------------------------------------------------------------------------------
// The node has input |i| (its type may still be unknown).
static inline bool kp_in_given(const kp_infer* infer, uint32_t i) {
  return i < infer->node->input_count && infer->inputs[i];
}
// Type of input |i| as a tensor; NULL: absent, not known, or of another kind.
static inline const kp_type* kp_in_tensor(const kp_infer* infer, uint32_t i) {
  if (!kp_in_given(infer, i)) return NULL;
  const kp_type* type = infer->inputs[i];
  return type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_SPARSE ? type : NULL;
}
// Element type; UNDEFINED where not known.
static inline kapell_type kp_in_element(const kp_infer* infer, uint32_t i) {
  const kp_type* type = kp_in_tensor(infer, i);
  return type ? type->element : KAPELL_UNDEFINED;
}
// Rank; -1 where not known.
static inline int32_t kp_in_rank(const kp_infer* infer, uint32_t i) {
  const kp_type* type = kp_in_tensor(infer, i);
  return type ? type->rank : -1;
}
// Dim |axis| (negative: from the end) of an input whose rank is known and large enough.
static inline kp_expr kp_in_dim(const kp_infer* infer, uint32_t i, int32_t axis) {
  const kp_type* type = infer->inputs[i];
  return type->dims[axis < 0 ? axis + type->rank : axis];
}
// Name of input |i| in the operator's schema ("A"), or "input 2".
const char* kp_in_name(const kp_infer* infer, uint32_t i, char* buffer, size_t capacity);

// --- errors -----------------------------------------------------------------------------------------------------------
// "input 'A': " and the words given. The place is the value that stands there.
KP_MUST_USE kp_status* kp_in_error_make(const kp_infer* infer, uint32_t i, const char* format, ...)
    KAPELL_PRINTF(3, 4);
#define kp_in_error(...) kp_status_never_null(kp_in_error_make(__VA_ARGS__))
// About the node as a whole (an attribute).
KP_MUST_USE kp_status* kp_node_error_make(const kp_infer* infer, const char* format, ...)
    KAPELL_PRINTF(2, 3);
#define kp_node_error(...) kp_status_never_null(kp_node_error_make(__VA_ARGS__))
// Error unless the rank of input |i| is in [min, max] or not known. max < 0: no upper limit.
KP_MUST_USE kp_status* kp_in_check_rank(const kp_infer* infer, uint32_t i, int32_t min,
                                        int32_t max);
// Error unless input |i| is, as far as known, a scalar or a vector of one element.
KP_MUST_USE kp_status* kp_in_check_single(const kp_infer* infer, uint32_t i);
// Error if dim |axis| of input |i| (rank known) and |expected| are different numbers.
KP_MUST_USE kp_status* kp_in_check_dim(const kp_infer* infer, uint32_t i, int32_t axis,
                                       kp_expr expected, const char* meaning);
// |axis| of attribute or data, counted from the end where negative; error outside [-rank, rank-1].
KP_MUST_USE kp_status* kp_infer_axis(const kp_infer* infer, const char* what, int64_t axis,
                                     int32_t rank, int32_t* out_axis);

// --- outputs ----------------------------------------------------------------------------------------------------------
static inline bool kp_out_wanted(const kp_infer* infer, uint32_t o) {
  return o < infer->node->output_count && infer->node->outputs[o] != KP_NONE;
}
// Sets output |o| to any type (shared, not copied). Outputs that the node does not have are ignored, here and below.
void kp_out_type(kp_infer* infer, uint32_t o, const kp_type* type);
// Output |o| as |type|, which was found at load: while specialising, dims that were symbols then are not known.
kp_status* kp_out_loaded(kp_infer* infer, uint32_t o, const kp_type* type);
// A dense tensor of |rank|; the caller fills *out_dims (valid even for outputs that the node does not have).
KP_MUST_USE kp_status* kp_out_dims(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank,
                                   kp_expr** out_dims);
// A dense tensor with these dims, which are shared.
void kp_out_tensor(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank,
                   const kp_expr* dims);
void kp_out_scalar(kp_infer* infer, uint32_t o, kapell_type element);
KP_MUST_USE kp_status* kp_out_vector(kp_infer* infer, uint32_t o, kapell_type element, kp_expr dim);
void kp_out_any_rank(kp_infer* infer, uint32_t o, kapell_type element);  // rank not known
void kp_out_shape_of(kp_infer* infer, uint32_t o, kapell_type element,
                     uint32_t i);  // input |i|'s shape, as far as known
// Rank known, every dim fresh.
KP_MUST_USE kp_status* kp_out_fresh(kp_infer* infer, uint32_t o, kapell_type element, int32_t rank);
// A container: sequence or optional of |inner| (copied into the arena), or a map from |key|.
KP_MUST_USE kp_status* kp_out_container(kp_infer* infer, uint32_t o, kapell_kind kind,
                                        kapell_type key, const kp_type* inner);

// --- arithmetic on dims -------------------------------------------------------------------------------------------------
kp_expr kp_dim_fresh(
    kp_infer* infer);  // while specialising: KP_DIM_UNKNOWN, which makes the output data-dependent
kp_expr kp_dim_op(kp_infer* infer, kp_expr_op op, kp_expr a,
                  kp_expr b);  // overflow of numbers sets infer->overflow
static inline kp_expr kp_dim_add(kp_infer* infer, kp_expr a, kp_expr b) {
  return kp_dim_op(infer, KP_EXPR_ADD, a, b);
}
static inline kp_expr kp_dim_sub(kp_infer* infer, kp_expr a, kp_expr b) {
  return kp_dim_op(infer, KP_EXPR_SUB, a, b);
}
static inline kp_expr kp_dim_mul(kp_infer* infer, kp_expr a, kp_expr b) {
  return kp_dim_op(infer, KP_EXPR_MUL, a, b);
}
// Floor; a divisor 0 gives a fresh dim.
static inline kp_expr kp_dim_div(kp_infer* infer, kp_expr a, kp_expr b) {
  return kp_dim_op(infer, KP_EXPR_DIV, a, b);
}
kp_expr kp_dim_product(kp_infer* infer, const kp_expr* dims, int32_t count);  // 1 for none
// True if both are numbers and different.
static inline bool kp_dim_differ(kp_expr a, kp_expr b) {
  return kp_is_number(a) && kp_is_number(b) && a != b;
}
// The more specific of two dims that must be equal.
static inline kp_expr kp_dim_merge(kp_expr a, kp_expr b) {
  return kp_is_number(a) ? a : kp_is_number(b) ? b : a;
}

// Multidirectional broadcasting of inputs [first, first + count), all given. *out_rank -1 where a rank is not known.
KP_MUST_USE kp_status* kp_broadcast_inputs(kp_infer* infer, uint32_t first, uint32_t count,
                                           int32_t* out_rank, const kp_expr** out_dims);
// Broadcasts |dims| into |result| (|result_rank| >= |rank| entries, right-aligned), in place. |i| is named in errors.
KP_MUST_USE kp_status* kp_broadcast_into(kp_infer* infer, uint32_t i, const kp_expr* dims,
                                         int32_t rank, kp_expr* result, int32_t result_rank);

// --- contents of small tensors ------------------------------------------------------------------------------------------
typedef struct kp_ints {
  const kp_expr* v;
  uint32_t n;
} kp_ints;
typedef struct kp_doubles {
  const double* v;
  uint32_t n;
} kp_doubles;
// Contents of integer, bool (or whole-numbered float) input |i|. False: not known, too long, or out of memory. Numbers of constants that
// a kp_expr cannot hold are moved to its limits (they matter as "far out" only).
bool kp_in_ints(kp_infer* infer, uint32_t i, kp_ints* out);
// The same, as numbers only: false where an element is a symbol.
bool kp_in_numbers(kp_infer* infer, uint32_t i, kp_ints* out);
// One element of input |i| (a scalar or a vector of one) as an expression.
bool kp_in_int(kp_infer* infer, uint32_t i, kp_expr* out);
// Contents of a float or integer input, all numbers.
bool kp_in_doubles(kp_infer* infer, uint32_t i, kp_doubles* out);
// True if contents of input |i| are there to be had (cheap).
bool kp_in_has_data(const kp_infer* infer, uint32_t i);
static inline bool kp_data_is_number(const kp_infer* infer, kp_expr e) {
  return !infer->symbols || kp_is_number(e);
}
// True if |e| is a number >= 0, or an expression that cannot be negative.
bool kp_data_at_least(const kp_infer* infer, kp_expr e, int64_t minimum);
// Number of elements of a tensor type when it is a number and at most KP_INFER_MAX_DATA; else -1.
int64_t kp_type_small_count(const kp_type* type);

// Room for the contents of output |o|; NULL: not wanted, too many, or no memory (then contents stay unknown).
kp_expr* kp_out_ints(kp_infer* infer, uint32_t o, int64_t count);
double* kp_out_doubles(kp_infer* infer, uint32_t o, int64_t count);
// Output |o| has the contents of input |i|, or of a constant.
void kp_out_data_of(kp_infer* infer, uint32_t o, uint32_t i);
void kp_out_data_of_value(kp_infer* infer, uint32_t o, const kapell_value* value);
void kp_out_drop_data(kp_infer* infer, uint32_t o);
// Element k of output |o| is element source[k] of input |i|, where that input's contents are known. Sources are in range.
void kp_data_pick(kp_infer* infer, uint32_t o, uint32_t i, const uint32_t* source, uint32_t count);
// Room for |count| sources; NULL where contents of input |i| are not known, output |o| is not wanted, or |count| (-1: not known) is too large.
uint32_t* kp_data_sources(kp_infer* infer, uint32_t o, uint32_t i, int64_t count);
// Output 0 is input 0 broadcast to output 0's dims.
void kp_data_broadcast(kp_infer* infer);
bool kp_data_is_float(kapell_type type);  // float types whose contents are followed
bool kp_data_is_int(kapell_type type);    // integer types and bool
// First element of a tensor of such a type, as an integer (where it is whole) and as a double. False: empty, not on the host, other type.
bool kp_value_number(const kapell_value* value, int64_t* out_whole, double* out_real);
// |x| as an expression where it is a whole number below 2^53.
bool kp_data_whole(double x, kp_expr* out);
// An element that cannot be told: fresh at load. While specialising there are none: false, and the contents are dropped.
bool kp_data_untold(kp_infer* infer, kp_expr* out);

// Elementwise arithmetic on contents, after the shape of output 0 is set (infer_arith.c). Numbers behave as at run time: they wrap
// around in the element type; where the run has no result (a division by zero) any number stands.
typedef enum kp_data_op {
  KP_DATA_ADD,
  KP_DATA_SUB,
  KP_DATA_MUL,
  KP_DATA_DIV,
  KP_DATA_MOD,
  KP_DATA_FMOD,
  KP_DATA_MIN,
  KP_DATA_MAX,
  KP_DATA_POW,
  // From here on the result is bool.
  KP_DATA_EQUAL,
  KP_DATA_LESS,
  KP_DATA_LESS_EQUAL,
  KP_DATA_GREATER,
  KP_DATA_GREATER_EQUAL,
  KP_DATA_AND,
  KP_DATA_OR,
  KP_DATA_XOR
} kp_data_op;
typedef enum kp_data_unary {
  KP_DATA_NEG,
  KP_DATA_ABS,
  KP_DATA_NOT,
  KP_DATA_CEIL,
  KP_DATA_FLOOR,
  KP_DATA_ROUND,
  KP_DATA_SQRT,
  KP_DATA_SIGN,
  KP_DATA_RELU,
  KP_DATA_RECIPROCAL
} kp_data_unary;
typedef struct kp_data_step {
  kp_data_op op;
  uint32_t input;
} kp_data_step;
// Contents of output 0: input 0 combined with each step's input in turn.
void kp_data_chain(kp_infer* infer, const kp_data_step* steps, uint32_t count);
static inline void kp_data_binary(kp_infer* infer, kp_data_op op) {
  kp_data_chain(infer, &(kp_data_step){op, 1}, 1);
}
void kp_data_fold(kp_infer* infer, kp_data_op op);  // over all inputs: Min, Max, Sum
void kp_data_map(kp_infer* infer, kp_data_unary op);
void kp_data_where(kp_infer* infer);
void kp_data_cast(kp_infer* infer, kapell_type to);
// One step for numbers or symbols of integer type |element|; false where the result cannot be told.
bool kp_data_combine(kp_infer* infer, kp_data_op op, kapell_type element, kp_expr a, kp_expr b,
                     kp_expr* out);

// --- attributes ---------------------------------------------------------------------------------------------------------
// An attribute that names an element type ("to", "dtype"); |fallback| where absent. Error for a number that is no type.
KP_MUST_USE kp_status* kp_attr_element(const kp_infer* infer, const char* name,
                                       kapell_type fallback, kapell_type* out);
// Axes from the attribute or, where |input| >= 0 and given, from that input. *out_known false: an input whose contents are not known.
KP_MUST_USE kp_status* kp_infer_axes(kp_infer* infer, const char* attribute, int32_t input,
                                     int32_t rank, uint64_t* out_mask, bool* out_known,
                                     bool* out_given);

// --- shared by families -------------------------------------------------------------------------------------------------
// Output 0 of a matrix product of inputs |a| and |b| as numpy.matmul shapes it.
KP_MUST_USE kp_status* kp_infer_matmul(kp_infer* infer, uint32_t a, uint32_t b,
                                       kapell_type element);
// The same with FusedMatMul's attributes for transposing.
KP_MUST_USE kp_status* kp_infer_fused_matmul(kp_infer* infer);
// alpha * A * B + beta * C with attributes transA and transB, by the inputs' numbers.
KP_MUST_USE kp_status* kp_infer_gemm(kp_infer* infer, uint32_t a, uint32_t b, uint32_t c,
                                     kapell_type element);
// Output 0: input 0 reduced over "axes" (an attribute, or input |axes_input| where that is >= 0), as |element|.
KP_MUST_USE kp_status* kp_infer_reduce(kp_infer* infer, int32_t axes_input, kapell_type element);
KP_MUST_USE kp_status* kp_infer_pad(kp_infer* infer);        // data, pads, value, axes
KP_MUST_USE kp_status* kp_infer_gather_nd(kp_infer* infer);  // data, indices
KP_MUST_USE kp_status* kp_infer_range(kp_infer* infer);      // start, limit, delta (1 where absent)
KP_MUST_USE kp_status* kp_infer_trilu(kp_infer* infer);
KP_MUST_USE kp_status* kp_infer_grid_sample(kp_infer* infer);
// Gather: |element| results where the last dim of data counts |factor| times (packed elements).
KP_MUST_USE kp_status* kp_infer_gather(kp_infer* infer, int64_t axis, kapell_type element,
                                       int64_t factor);
// Output 0: shape and element type of input 0; for tables.
KP_MUST_USE kp_status* kp_infer_same(kp_infer* infer);
// Output 0: broadcast of inputs 0 and 1, element type of the first known; for tables.
KP_MUST_USE kp_status* kp_infer_broadcast2(kp_infer* infer);
// Softmax and its like: the shape of input 0, attribute "axis" checked.
KP_MUST_USE kp_status* kp_infer_softmax(kp_infer* infer);
// Output 0: inputs |first|, |first| + |step|, ... one after the other along attribute "axis".
KP_MUST_USE kp_status* kp_infer_concat(kp_infer* infer, uint32_t first, uint32_t step);
// A dim from element |e| of a shape: fresh where it may be negative; error for a negative number.
KP_MUST_USE kp_status* kp_dim_of_data(kp_infer* infer, uint32_t i, kp_expr e, kp_expr* out);

// --- bodies (infer.c; only at load, where infer->engine is set) ------------------------------------------------------------
// Infers |body| with these types (and contents; may be NULL) for its inputs (|count| of them; NULL: as stated). Results are in the body's
// values. Called again, it starts over from the types that the file states.
KP_MUST_USE kp_status* kp_infer_body(kp_infer* infer, kp_graph* body, const kp_type* inputs,
                                     const kp_known* known, uint32_t count);
// True when repeating inference of this body would cost too much (deep nests, many nodes): be pessimistic at once.
bool kp_infer_body_spent(const kp_infer* infer, const kp_graph* body);

// --- types (infer_type.c) -----------------------------------------------------------------------------------------------
// What both |a| and |b| are: equal parts stay, dims that differ become fresh, different ranks unknown. *out_any false: no common kind.
KP_MUST_USE kp_status* kp_type_union(kp_infer* infer, const kp_type* a, const kp_type* b,
                                     kp_type* out, bool* out_any);
bool kp_type_equal(const kp_type* a, const kp_type* b);
// |type| with what |more| knows beyond it; numbers win over symbols, known symbols over fresh ones. *out_agree false: they contradict.
KP_MUST_USE kp_status* kp_type_merge(const kp_symbols* symbols, kp_arena* arena,
                                     const kp_type* type, const kp_type* more, kp_type* out,
                                     bool* out_agree);
// Element types against the operator's schema: every input allowed, equal where one type variable stands.
KP_MUST_USE kp_status* kp_infer_check_types(const kp_infer* infer);
// Fills in element types of outputs that follow from the schema alone.
void kp_infer_fill_types(kp_infer* infer);

// --- tables -------------------------------------------------------------------------------------------------------------
// One line a family; X(name) stands for kp_infer_rules_<name>[], ended by a row whose op is NULL.
// clang-format off
#define KP_INFER_FAMILIES(X) \
  X(math) X(matmul) X(nn) X(norm) X(tensor) X(slice) X(index) X(reduce) X(generator) X(attention) \
  X(signal) X(vision) X(rnn) X(quant) X(sequence) X(text) X(control) X(ml) X(training) \
  X(microsoft) X(microsoft_attention)
// clang-format on
#define KP_INFER_DECLARE(name) extern const kp_infer_rule kp_infer_rules_##name[];
KP_INFER_FAMILIES(KP_INFER_DECLARE)

#endif  // KP_GRAPH_INFER_RULE_H_
