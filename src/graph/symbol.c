// Symbolic integers: hash-consing of atoms and polynomials, normalisation, text and evaluation. Arithmetic on polynomials
// is in symbol_poly.c.
//
// A symbol is an atom (a name, a fresh unknown, a quotient, remainder, minimum or maximum of two expressions) or a polynomial
// over atoms. What cannot be normalised within the bounds becomes a fresh symbol, remembered under the question that led
// to it.
#include "graph/symbol.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/size.h"
#include "graph/symbol_poly.h"

#define KP_EXPR_POLY 0x7f                   // kp_record.op of a polynomial
#define KP_ATOM_KEY 0x80                    // memo key: the atom itself, not the question
#define KP_TABLE_BUDGET ((size_t)64 << 20)  // bytes

typedef struct kp_record {
  uint8_t op;  // kp_expr_op or KP_EXPR_POLY
  bool nonnegative;
  uint16_t size;   // parts of the expression written out as a tree
  uint32_t count;  // of terms
  union {
    const char* name;
    const kp_term* terms;
    struct {
      kp_expr a, b;
    };
  };
} kp_record;

typedef struct kp_memo {
  kp_expr a, b, result;
  uint32_t op;  // kp_expr_op, with KP_ATOM_KEY for atoms
  bool used;
} kp_memo;

typedef struct kp_symbol_table {
  kp_arena arena;  // terms
  kp_record* records;
  size_t record_count, record_capacity;
  uint32_t* polys;  // open addressing: record index + 1
  size_t poly_count, poly_capacity;
  kp_memo* memo;  // open addressing
  size_t memo_count, memo_capacity;
} kp_symbol_table;

// INT64_MIN itself is no symbol: inference has it for "not known" (KP_DIM_UNKNOWN).
static kp_expr expr_of(uint32_t index) { return INT64_MIN + 1 + (int64_t)index; }
static uint32_t index_of(kp_expr e) { return (uint32_t)((uint64_t)e - (uint64_t)INT64_MIN - 1); }

void kp_symbols_free(kp_symbols* symbols) {
  kp_symbol_table* table = symbols->table;
  if (!table) return;
  kp_arena_free(&table->arena);
  kp_free(table->records);
  kp_free(table->polys);
  kp_free(table->memo);
  kp_free(table);
  *symbols = (kp_symbols){0};
}

// Fresh symbols count down from the top index; the lowest bit tells dimensions (not negative) from other numbers.
static kp_expr make_fresh(kp_symbols* symbols, uint32_t is_dim) {
  const uint32_t newest = UINT32_MAX / 2 - (1u << 24);  // below are the indices of records
  if (symbols->fresh_count < newest) symbols->fresh_count++;
  return expr_of(UINT32_MAX - (2 * symbols->fresh_count + is_dim));
}

kp_expr kp_symbol_fresh(kp_symbols* symbols) { return make_fresh(symbols, 0); }
kp_expr kp_symbol_fresh_dim(kp_symbols* symbols) { return make_fresh(symbols, 1); }

static const kp_record* record_of(const kp_symbols* symbols, kp_expr e) {
  const uint32_t index = index_of(e);
  if (!kp_is_symbol(e) || !symbols->table || index >= symbols->table->record_count) return NULL;
  return &symbols->table->records[index];
}

bool kp_symbol_is_fresh(const kp_symbols* symbols, kp_expr e) {
  return kp_is_symbol(e) && !record_of(symbols, e);
}

static bool index_is_nonnegative(const kp_symbols* symbols, uint32_t index) {
  const kp_record* record = record_of(symbols, expr_of(index));
  return record ? record->nonnegative : ((UINT32_MAX - index) & 1) != 0;
}

bool kp_expr_nonnegative(const kp_symbols* symbols, kp_expr e) {
  return kp_is_number(e) ? e >= 0 : index_is_nonnegative(symbols, index_of(e));
}

static bool poly_nonnegative(const kp_symbols* symbols, const kp_poly* poly) {
  for (uint32_t i = 0; i < poly->count; ++i) {
    if (poly->terms[i].coefficient < 0) return false;
    for (uint32_t k = 0; k < poly->terms[i].degree; ++k)
      if (!index_is_nonnegative(symbols, poly->terms[i].atoms[k])) return false;
  }
  return true;
}

static uint32_t size_of(const kp_symbols* symbols, kp_expr e) {
  const kp_record* record = record_of(symbols, e);
  return record ? record->size : 1;
}

// --- the tables --------------------------------------------------------------------------------------------------------
static kp_symbol_table* table_of(kp_symbols* symbols) {
  if (!symbols->table) symbols->table = kp_alloc_zero(1, sizeof(kp_symbol_table));
  return symbols->table;
}

static bool within_budget(const kp_symbol_table* table, size_t more) {
  const size_t held = table->arena.total + table->record_capacity * sizeof(kp_record) +
                      table->poly_capacity * sizeof(uint32_t) +
                      table->memo_capacity * sizeof(kp_memo);
  return held + more <= KP_TABLE_BUDGET;
}

static kp_memo* memo_slot(const kp_symbol_table* table, uint32_t op, kp_expr a, kp_expr b) {
  const uint64_t key[3] = {op, (uint64_t)a, (uint64_t)b};
  size_t slot = (size_t)kp_hash_bytes(key, sizeof key, 1) & (table->memo_capacity - 1);
  for (;; slot = (slot + 1) & (table->memo_capacity - 1)) {
    kp_memo* memo = &table->memo[slot];
    if (!memo->used || (memo->op == op && memo->a == a && memo->b == b)) return memo;
  }
}

static bool memo_grow(kp_symbol_table* table) {
  if (table->memo_count * 4 < table->memo_capacity * 3) return true;
  const size_t old_capacity = table->memo_capacity, capacity = old_capacity ? old_capacity * 2 : 64;
  if (!within_budget(table, capacity * sizeof(kp_memo))) return false;
  kp_memo* old = table->memo;
  kp_memo* grown = kp_alloc_zero(capacity, sizeof *grown);
  if (!grown) return false;
  table->memo = grown;
  table->memo_capacity = capacity;
  for (size_t i = 0; i < old_capacity; ++i)
    if (old[i].used) *memo_slot(table, old[i].op, old[i].a, old[i].b) = old[i];
  kp_free(old);
  return true;
}

static bool memo_get(const kp_symbols* symbols, uint32_t op, kp_expr a, kp_expr b, kp_expr* out) {
  const kp_symbol_table* table = symbols->table;
  if (!table || table->memo_capacity == 0) return false;
  const kp_memo* memo = memo_slot(table, op, a, b);
  if (memo->used) *out = memo->result;
  return memo->used;
}

static void memo_put(kp_symbols* symbols, uint32_t op, kp_expr a, kp_expr b, kp_expr result) {
  kp_symbol_table* table = table_of(symbols);
  if (!table || !memo_grow(table)) return;
  kp_memo* memo = memo_slot(table, op, a, b);
  if (!memo->used) table->memo_count++;
  *memo = (kp_memo){a, b, result, op, true};
}

// Appends a record; false when memory or the budget is out.
static bool add_record(kp_symbol_table* table, const kp_record* record, kp_expr* out) {
  if (table->record_count == table->record_capacity) {
    const size_t capacity = table->record_capacity ? table->record_capacity * 2 : 64;
    if (!within_budget(table, capacity * sizeof(kp_record))) return false;
    kp_record* grown = kp_realloc_array(table->records, capacity, sizeof *grown);
    if (!grown) return false;
    table->records = grown;
    table->record_capacity = capacity;
  }
  table->records[table->record_count] = *record;
  *out = expr_of((uint32_t)table->record_count++);
  return true;
}

kp_expr kp_symbol_named(kp_symbols* symbols, const char* interned_name) {
  const kp_expr key = (kp_expr)(intptr_t)interned_name;
  kp_expr result;
  if (memo_get(symbols, KP_EXPR_NAMED | KP_ATOM_KEY, key, 0, &result)) return result;
  const kp_record record = {KP_EXPR_NAMED, .nonnegative = true, .size = 1, .name = interned_name};
  // The memo is what makes the name equal to itself next time: without room there, no record either.
  kp_symbol_table* table = table_of(symbols);
  if (!table || !memo_grow(table) || !add_record(table, &record, &result)) {
    return kp_symbol_fresh_dim(symbols);
  }
  memo_put(symbols, KP_EXPR_NAMED | KP_ATOM_KEY, key, 0, result);
  return result;
}

static bool atom_nonnegative(const kp_symbols* symbols, kp_expr_op op, kp_expr a, kp_expr b) {
  const bool left = kp_expr_nonnegative(symbols, a), right = kp_expr_nonnegative(symbols, b);
  if (op == KP_EXPR_MOD) return right;
  return op == KP_EXPR_MAX ? left || right : left && right;
}

// The atom op(a, b), which normalisation could not take further.
static bool make_atom(kp_symbols* symbols, kp_expr_op op, kp_expr a, kp_expr b, kp_expr* out) {
  if (memo_get(symbols, op | KP_ATOM_KEY, a, b, out)) return true;
  const uint32_t size = 1 + size_of(symbols, a) + size_of(symbols, b);
  kp_symbol_table* table = table_of(symbols);
  if (size > KP_EXPR_MAX_SIZE || !table || !memo_grow(table)) return false;
  const kp_record record = {(uint8_t)op, atom_nonnegative(symbols, op, a, b), (uint16_t)size,
                            .a = a, .b = b};
  if (!add_record(table, &record, out)) return false;
  memo_put(symbols, op | KP_ATOM_KEY, a, b, *out);
  return true;
}

// --- polynomials -------------------------------------------------------------------------------------------------------
static bool term_equal(const kp_term* a, const kp_term* b) {
  return a->coefficient == b->coefficient && a->degree == b->degree &&
         memcmp(a->atoms, b->atoms, a->degree * sizeof a->atoms[0]) == 0;
}

static bool terms_equal(const kp_term* a, const kp_term* b, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (!term_equal(&a[i], &b[i])) return false;
  return true;
}

static uint64_t terms_hash(const kp_term* terms, uint32_t count) {
  uint64_t hash = count;
  for (uint32_t i = 0; i < count; ++i) {
    hash = kp_hash_bytes(&terms[i].coefficient, sizeof terms[i].coefficient, hash);
    hash = kp_hash_bytes(terms[i].atoms, terms[i].degree * sizeof terms[i].atoms[0], hash);
  }
  return hash;
}

static uint32_t* poly_slot(const kp_symbol_table* table, const kp_term* terms, uint32_t count) {
  size_t slot = (size_t)terms_hash(terms, count) & (table->poly_capacity - 1);
  for (;; slot = (slot + 1) & (table->poly_capacity - 1)) {
    const uint32_t held = table->polys[slot];
    if (held == 0) return &table->polys[slot];
    const kp_record* record = &table->records[held - 1];
    if (record->count == count && terms_equal(record->terms, terms, count))
      return &table->polys[slot];
  }
}

static bool polys_grow(kp_symbol_table* table) {
  if (table->poly_count * 4 < table->poly_capacity * 3) return true;
  const size_t old_capacity = table->poly_capacity, capacity = old_capacity ? old_capacity * 2 : 64;
  if (!within_budget(table, capacity * sizeof(uint32_t))) return false;
  uint32_t* old = table->polys;
  uint32_t* grown = kp_alloc_zero(capacity, sizeof *grown);
  if (!grown) return false;
  table->polys = grown;
  table->poly_capacity = capacity;
  for (size_t i = 0; i < old_capacity; ++i) {
    if (old[i] == 0) continue;
    const kp_record* record = &table->records[old[i] - 1];
    *poly_slot(table, record->terms, record->count) = old[i];
  }
  kp_free(old);
  return true;
}

static uint32_t poly_size(const kp_symbols* symbols, const kp_poly* poly) {
  uint32_t size = 0;
  for (uint32_t i = 0; i < poly->count; ++i) {
    size += 1;
    for (uint32_t k = 0; k < poly->terms[i].degree; ++k)
      size += size_of(symbols, expr_of(poly->terms[i].atoms[k]));
  }
  return size;
}

static void to_poly(const kp_symbols* symbols, kp_expr e, kp_poly* out) {
  const kp_record* record = record_of(symbols, e);
  if (kp_is_number(e)) {
    kp_poly_number(out, e);
  } else if (record && record->op == KP_EXPR_POLY) {
    out->count = record->count;
    memcpy(out->terms, record->terms, record->count * sizeof *record->terms);
  } else {
    kp_poly_atom(out, index_of(e));
  }
}

static bool from_poly(kp_symbols* symbols, const kp_poly* poly, kp_expr* out) {
  if (kp_poly_is_number(poly, out)) return kp_is_number(*out);
  const kp_term* first = &poly->terms[0];
  if (poly->count == 1 && first->degree == 1 && first->coefficient == 1) {
    *out = expr_of(first->atoms[0]);
    return true;
  }
  kp_symbol_table* table = table_of(symbols);
  if (!table || !polys_grow(table)) return false;
  uint32_t* slot = poly_slot(table, poly->terms, poly->count);
  if (*slot != 0) {
    *out = expr_of(*slot - 1);
    return true;
  }
  const uint32_t size = poly_size(symbols, poly);
  const size_t byte_count = poly->count * sizeof *poly->terms;
  if (size > KP_EXPR_MAX_SIZE || !within_budget(table, byte_count)) return false;
  kp_record record = {
      KP_EXPR_POLY, poly_nonnegative(symbols, poly), (uint16_t)size, poly->count, {NULL}};
  record.terms = kp_arena_memdup(&table->arena, poly->terms, byte_count);
  if (!record.terms || !add_record(table, &record, out)) return false;
  *slot = (uint32_t)table->record_count;
  table->poly_count++;
  return true;
}

// --- normalisation -----------------------------------------------------------------------------------------------------
static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

bool kp_expr_fold(kp_expr_op op, int64_t a, int64_t b, int64_t* out) {
  const bool divides = op == KP_EXPR_DIV || op == KP_EXPR_CEILDIV || op == KP_EXPR_MOD;
  if (divides && (b == 0 || (b == -1 && a == INT64_MIN))) return false;
  switch (op) {
    case KP_EXPR_ADD:
      return kp_add_i64(a, b, out);
    case KP_EXPR_SUB:
      return !__builtin_sub_overflow(a, b, out);
    case KP_EXPR_MUL:
      return kp_mul_i64(a, b, out);
    case KP_EXPR_DIV:
      *out = floor_div(a, b);
      return true;
    case KP_EXPR_CEILDIV:
      *out = floor_div(a, b) + (a % b != 0);
      return true;
    case KP_EXPR_MOD:
      *out = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
      return true;
    case KP_EXPR_MIN:
      *out = kp_min_i64(a, b);
      return true;
    case KP_EXPR_MAX:
      *out = kp_max_i64(a, b);
      return true;
    default:
      return false;
  }
}

// floor((floor(x/m) + rest) / d) = floor((x + m*rest) / (m*d)): chains of strided layers stay one quotient. True where |p|
// was of that form and is replaced.
static bool unnest(const kp_symbols* symbols, kp_poly* p, int64_t* divisor) {
  const kp_record* found = NULL;
  uint32_t place = 0;
  for (uint32_t i = 0; i < p->count; ++i) {
    const kp_term* term = &p->terms[i];
    const kp_record* record = term->degree == 1 && term->coefficient == 1
                                  ? record_of(symbols, expr_of(term->atoms[0]))
                                  : NULL;
    if (!record || record->op != KP_EXPR_DIV || !kp_is_number(record->b)) continue;
    if (found) return false;
    found = record;
    place = i;
  }
  int64_t product;
  if (!found || !kp_mul_i64(*divisor, found->b, &product)) return false;
  kp_poly rest = *p, inner, sum;
  memmove(rest.terms + place, rest.terms + place + 1, (--rest.count - place) * sizeof *rest.terms);
  to_poly(symbols, found->a, &inner);
  if (!kp_poly_add(&inner, &rest, found->b, &sum)) return false;
  *p = sum;
  *divisor = product;
  return true;
}

// floor(a / divisor), divisor > 0: whole multiples leave the quotient, then common factors.
static bool divide_by_number(kp_symbols* symbols, kp_poly* a, int64_t divisor, kp_expr* out) {
  kp_poly quotient, rest, result;
  for (int i = 0; i < 8 && unnest(symbols, a, &divisor); ++i) continue;
  kp_poly_split(a, divisor, &quotient, &rest);
  int64_t number;
  if (kp_poly_is_number(&rest, &number)) return from_poly(symbols, &quotient, out);
  const int64_t common = kp_poly_gcd(&rest, divisor);
  if (common > 1) {  // the constant's rest is lost in the floor
    kp_poly scaled, unused;
    kp_poly_split(&rest, common, &scaled, &unused);
    rest = scaled;
    divisor /= common;
  }
  if (divisor == 1)
    return kp_poly_add(&quotient, &rest, 1, &result) && from_poly(symbols, &result, out);
  kp_expr dividend, atom;
  kp_poly fraction;
  if (!from_poly(symbols, &rest, &dividend)) return false;
  if (!make_atom(symbols, KP_EXPR_DIV, dividend, divisor, &atom)) return false;
  kp_poly_atom(&fraction, index_of(atom));
  return kp_poly_add(&quotient, &fraction, 1, &result) && from_poly(symbols, &result, out);
}

static bool divide(kp_symbols* symbols, kp_expr_op op, kp_expr ea, kp_expr eb, kp_expr* out) {
  kp_poly a, b, quotient, rest, sum;
  if (eb == 0) return false;
  to_poly(symbols, ea, &a);
  to_poly(symbols, eb, &b);
  if (a.count == 0) return (*out = 0, true);
  if (!kp_poly_cancel(&a, &b)) return false;
  int64_t number;
  if (kp_poly_is_number(&b, &number)) {
    if (op == KP_EXPR_CEILDIV) {  // ceil(a/n) = floor((a + n-1) / n)
      kp_poly more;
      kp_poly_number(&more, number - 1);
      if (!kp_poly_add(&a, &more, 1, &sum)) return false;
      a = sum;
    }
    return divide_by_number(symbols, &a, number, out);
  }
  if (!kp_poly_divide(&a, &b, &quotient, &rest)) quotient.count = 0, rest = a;
  if (rest.count == 0) return from_poly(symbols, &quotient, out);
  kp_expr dividend, divisor, atom;
  kp_poly fraction;
  if (!from_poly(symbols, &rest, &dividend) || !from_poly(symbols, &b, &divisor)) return false;
  if (!make_atom(symbols, op, dividend, divisor, &atom)) return false;
  kp_poly_atom(&fraction, index_of(atom));
  return kp_poly_add(&quotient, &fraction, 1, &sum) && from_poly(symbols, &sum, out);
}

static bool modulo(kp_symbols* symbols, kp_expr ea, kp_expr eb, kp_expr* out) {
  kp_poly a, b, quotient, rest;
  if (eb == 0) return false;
  to_poly(symbols, ea, &a);
  to_poly(symbols, eb, &b);
  if (kp_is_number(eb) && eb > 0) {
    kp_poly_split(&a, eb, &quotient, &rest);
  } else if (!kp_poly_divide(&a, &b, &quotient, &rest)) {
    rest = a;
  }
  kp_expr left;
  if (!from_poly(symbols, &rest, &left)) return false;
  if (kp_is_number(left) && kp_is_number(eb)) return kp_expr_fold(KP_EXPR_MOD, left, eb, out);
  if (left == 0) return (*out = 0, true);
  return make_atom(symbols, KP_EXPR_MOD, left, eb, out);
}

static bool contains(const kp_symbols* symbols, kp_expr_op op, kp_expr whole, kp_expr part) {
  const kp_record* record = record_of(symbols, whole);
  return record && record->op == op && (record->a == part || record->b == part);
}

static bool extreme(kp_symbols* symbols, kp_expr_op op, kp_expr a, kp_expr b, kp_expr* out) {
  kp_poly left, right, difference;
  to_poly(symbols, a, &left);
  to_poly(symbols, b, &right);
  if (kp_poly_add(&right, &left, -1, &difference) && poly_nonnegative(symbols, &difference)) {
    return (*out = op == KP_EXPR_MIN ? a : b, true);
  }
  if (kp_poly_add(&left, &right, -1, &difference) && poly_nonnegative(symbols, &difference)) {
    return (*out = op == KP_EXPR_MIN ? b : a, true);
  }
  if (contains(symbols, op, a, b)) return (*out = a, true);
  if (contains(symbols, op, b, a)) return (*out = b, true);
  return make_atom(symbols, op, a, b, out);
}

static bool normalise(kp_symbols* symbols, kp_expr_op op, kp_expr a, kp_expr b, kp_expr* out) {
  kp_poly left, right, result;
  switch (op) {
    case KP_EXPR_ADD:
    case KP_EXPR_SUB:
      to_poly(symbols, a, &left);
      to_poly(symbols, b, &right);
      return kp_poly_add(&left, &right, op == KP_EXPR_ADD ? 1 : -1, &result) &&
             from_poly(symbols, &result, out);
    case KP_EXPR_MUL:
      to_poly(symbols, a, &left);
      to_poly(symbols, b, &right);
      return kp_poly_mul(&left, &right, &result) && from_poly(symbols, &result, out);
    case KP_EXPR_DIV:
    case KP_EXPR_CEILDIV:
      return divide(symbols, op, a, b, out);
    case KP_EXPR_MOD:
      return modulo(symbols, a, b, out);
    case KP_EXPR_MIN:
    case KP_EXPR_MAX:
      return extreme(symbols, op, a, b, out);
    default:
      return false;
  }
}

kp_expr kp_expr_make(kp_symbols* symbols, kp_expr_op op, kp_expr a, kp_expr b) {
  kp_expr result;
  const bool numbers = kp_is_number(a) && kp_is_number(b);
  if (numbers && kp_expr_fold(op, a, b, &result) && kp_is_number(result)) return result;
  const bool commutes =
      op == KP_EXPR_ADD || op == KP_EXPR_MUL || op == KP_EXPR_MIN || op == KP_EXPR_MAX;
  if (commutes && a > b) {
    const kp_expr swap = a;
    a = b;
    b = swap;
  }
  if (memo_get(symbols, op, a, b, &result)) return result;
  if (numbers || !normalise(symbols, op, a, b, &result)) {
    const bool nonnegative =
        op != KP_EXPR_SUB && op > KP_EXPR_FRESH && atom_nonnegative(symbols, op, a, b);
    result = make_fresh(symbols, nonnegative);
  }
  memo_put(symbols, op, a, b, result);
  return result;
}

kp_expr kp_expr_product(kp_symbols* symbols, const kp_expr* dims, int32_t count) {
  kp_expr product = 1;
  for (int32_t i = 0; i < count; ++i)
    if (dims[i] == 0) return 0;
  for (int32_t i = 0; i < count; ++i)
    product = kp_expr_make(symbols, KP_EXPR_MUL, product, dims[i]);
  return product;
}

// --- text and values ---------------------------------------------------------------------------------------------------
static void describe_term(const kp_symbols* symbols, const kp_term* term, bool first,
                          kp_strbuf* buf) {
  const bool minus = term->coefficient < 0;
  const uint64_t size = minus ? 0 - (uint64_t)term->coefficient : (uint64_t)term->coefficient;
  if (minus || !first) kp_strbuf_puts(buf, minus ? "-" : "+");
  if (size != 1 || term->degree == 0) kp_strbuf_printf(buf, "%" PRIu64, size);
  for (uint32_t k = 0; k < term->degree; ++k) {
    if (k > 0 || size != 1) kp_strbuf_puts(buf, "*");
    kp_expr_describe(symbols, expr_of(term->atoms[k]), buf);
  }
}

static void describe_poly(const kp_symbols* symbols, const kp_record* record, kp_strbuf* buf) {
  if (record->count > 1) kp_strbuf_puts(buf, "(");
  for (uint32_t i = 0; i < record->count; ++i)
    describe_term(symbols, &record->terms[i], i == 0, buf);
  if (record->count > 1) kp_strbuf_puts(buf, ")");
}

// Recursion is as deep as the expression, which KP_EXPR_MAX_SIZE bounds.
void kp_expr_describe(const kp_symbols* symbols, kp_expr e, kp_strbuf* buf) {
  static const struct {
    const char *before, *between;
  } forms[] = {[KP_EXPR_DIV] = {"floor(", "/"},
               [KP_EXPR_CEILDIV] = {"ceil(", "/"},
               [KP_EXPR_MOD] = {"mod(", ", "},
               [KP_EXPR_MIN] = {"min(", ", "},
               [KP_EXPR_MAX] = {"max(", ", "}};
  const kp_record* record = record_of(symbols, e);
  if (kp_is_number(e)) {
    kp_strbuf_printf(buf, "%" PRId64, e);
  } else if (!record) {
    kp_strbuf_puts(buf, "?");
  } else if (record->op == KP_EXPR_NAMED) {
    kp_strbuf_puts(buf, record->name);
  } else if (record->op == KP_EXPR_POLY) {
    describe_poly(symbols, record, buf);
  } else {
    kp_strbuf_puts(buf, forms[record->op].before);
    kp_expr_describe(symbols, record->a, buf);
    kp_strbuf_puts(buf, forms[record->op].between);
    kp_expr_describe(symbols, record->b, buf);
    kp_strbuf_puts(buf, ")");
  }
}

typedef struct kp_evaluation {
  const kp_symbols* symbols;
  bool (*lookup)(void* user, kp_expr symbol, int64_t* out);
  void* user;
} kp_evaluation;

static bool evaluate(const kp_evaluation* ev, kp_expr e, int64_t* out);

static bool evaluate_poly(const kp_evaluation* ev, const kp_record* record, int64_t* out) {
  int64_t sum = 0;
  for (uint32_t i = 0; i < record->count; ++i) {
    int64_t product = record->terms[i].coefficient, value;
    for (uint32_t k = 0; k < record->terms[i].degree; ++k) {
      if (!evaluate(ev, expr_of(record->terms[i].atoms[k]), &value)) return false;
      if (!kp_mul_i64(product, value, &product)) return false;
    }
    if (!kp_add_i64(sum, product, &sum)) return false;
  }
  *out = sum;
  return true;
}

static bool evaluate(const kp_evaluation* ev, kp_expr e, int64_t* out) {
  if (kp_is_number(e)) return (*out = e, true);
  const kp_record* record = record_of(ev->symbols, e);
  if (!record || record->op == KP_EXPR_NAMED) return ev->lookup(ev->user, e, out);
  if (record->op == KP_EXPR_POLY) return evaluate_poly(ev, record, out);
  int64_t a, b;
  if (!evaluate(ev, record->a, &a) || !evaluate(ev, record->b, &b)) return false;
  return kp_expr_fold((kp_expr_op)record->op, a, b, out);
}

bool kp_expr_eval(const kp_symbols* symbols, kp_expr e,
                  bool (*lookup)(void* user, kp_expr symbol, int64_t* out), void* user,
                  int64_t* out) {
  const kp_evaluation ev = {symbols, lookup, user};
  return evaluate(&ev, e, out);
}
