// Symbolic integers: dimensions and elements of shape arithmetic that are not numbers before a run.
//
// A kp_expr is a plain int64_t: an ordinary number, or a symbol when below KP_SYMBOL_LIMIT. Symbols are hash-consed: equal
// expressions of equal symbols have equal numbers, so "are these two dims the same?" is ==. Expressions are kept in a
// normal form (sums of products with integer coefficients where possible), so that (N*4)/4 == N and (a+b)-b == a.
#ifndef KP_GRAPH_SYMBOL_H_
#define KP_GRAPH_SYMBOL_H_

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

typedef int64_t kp_expr;
#define KP_SYMBOL_LIMIT (INT64_MIN + INT64_C(0x100000000))
static inline bool kp_is_symbol(kp_expr e) { return e < KP_SYMBOL_LIMIT; }
static inline bool kp_is_number(kp_expr e) { return e >= KP_SYMBOL_LIMIT; }

typedef enum kp_expr_op {
  KP_EXPR_NAMED,  // dim_param of the model
  KP_EXPR_FRESH,  // unknown, made by inference; equal only to itself
  KP_EXPR_ADD,
  KP_EXPR_SUB,
  KP_EXPR_MUL,
  KP_EXPR_DIV,  // floor
  KP_EXPR_CEILDIV,
  KP_EXPR_MOD,  // sign of the divisor
  KP_EXPR_MIN,
  KP_EXPR_MAX
} kp_expr_op;

typedef struct kp_symbols {
  struct kp_symbol_table* table;  // owned; NULL until first use
  uint32_t fresh_count;  // fresh symbols need no memory: they are numbered from the other end
} kp_symbols;

// Expressions whose tree would have more parts than this become fresh symbols, as do those whose result overflows. The same
// question gets the same answer, so two equal dims stay equal even then.
#define KP_EXPR_MAX_SIZE 256

void kp_symbols_free(kp_symbols* symbols);
// Each of these gives a number where both sides are numbers (overflow and division by zero give a fresh symbol), and a fresh
// symbol when memory or the table's budget (64 MiB) is out, so no error path: a symbol that is equal to nothing is right.
kp_expr kp_symbol_named(kp_symbols* symbols, const char* interned_name);
kp_expr kp_symbol_fresh(kp_symbols* symbols);      // may be any number
kp_expr kp_symbol_fresh_dim(kp_symbols* symbols);  // a dimension that only the run knows: >= 0
kp_expr kp_expr_make(kp_symbols* symbols, kp_expr_op op, kp_expr a, kp_expr b);
// |op| of two numbers; false where it overflows or divides by zero.
bool kp_expr_fold(kp_expr_op op, int64_t a, int64_t b, int64_t* out);
kp_expr kp_expr_product(kp_symbols* symbols, const kp_expr* dims, int32_t count);
// True where |e| is known to be >= 0 whatever its symbols are: named symbols are dimensions, hence not negative.
bool kp_expr_nonnegative(const kp_symbols* symbols, kp_expr e);
// True for a symbol that is a fresh unknown by itself, not an expression.
bool kp_symbol_is_fresh(const kp_symbols* symbols, kp_expr e);
// Text: "N", "(N+1)", "?" for a fresh one. For messages and for dim_param of inferred types.
void kp_expr_describe(const kp_symbols* symbols, kp_expr e, kp_strbuf* buf);
// Value of |e| when each named or fresh symbol s has value |lookup(user, s)|; false if one is not known.
bool kp_expr_eval(const kp_symbols* symbols, kp_expr e,
                  bool (*lookup)(void* user, kp_expr symbol, int64_t* out), void* user,
                  int64_t* out);

#endif  // KP_GRAPH_SYMBOL_H_
