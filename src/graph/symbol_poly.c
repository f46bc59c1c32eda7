// Bounded polynomial arithmetic for symbol.c.
#include "graph/symbol_poly.h"

#include <string.h>

#include "base/size.h"

void kp_poly_number(kp_poly* poly, int64_t value) {
  poly->count = value != 0;
  poly->terms[0] = (kp_term){.coefficient = value};
}

void kp_poly_atom(kp_poly* poly, uint32_t atom) {
  poly->count = 1;
  poly->terms[0] = (kp_term){.coefficient = 1, .degree = 1, .atoms = {atom}};
}

bool kp_poly_is_number(const kp_poly* poly, int64_t* out) {
  if (poly->count > 1 || (poly->count == 1 && poly->terms[0].degree > 0)) return false;
  *out = poly->count ? poly->terms[0].coefficient : 0;
  return true;
}

int64_t kp_poly_constant(const kp_poly* poly) {
  const kp_term* last = poly->count ? &poly->terms[poly->count - 1] : NULL;
  return last && last->degree == 0 ? last->coefficient : 0;
}

// Graded lexicographic: a monomial order, which long division needs. > 0 where |a| stands before |b|.
static int monomial_compare(const kp_term* a, const kp_term* b) {
  if (a->degree != b->degree) return a->degree > b->degree ? 1 : -1;
  for (uint32_t i = 0; i < a->degree; ++i)
    if (a->atoms[i] != b->atoms[i]) return a->atoms[i] < b->atoms[i] ? 1 : -1;
  return 0;
}

static bool push(kp_poly* poly, const kp_term* term, int64_t coefficient) {
  if (coefficient == 0) return true;
  if (poly->count == KP_POLY_MAX_TERMS) return false;
  kp_term* place = &poly->terms[poly->count++];
  *place = *term;
  place->coefficient = coefficient;
  return true;
}

bool kp_poly_add(const kp_poly* a, const kp_poly* b, int64_t scale, kp_poly* out) {
  out->count = 0;
  uint32_t i = 0, j = 0;
  while (i < a->count || j < b->count) {
    const int order = i == a->count   ? -1
                      : j == b->count ? 1
                                      : monomial_compare(&a->terms[i], &b->terms[j]);
    int64_t coefficient = 0;
    const kp_term* term = order >= 0 ? &a->terms[i] : &b->terms[j];
    if (order <= 0 && !kp_mul_i64(b->terms[j++].coefficient, scale, &coefficient)) return false;
    if (order >= 0 && !kp_add_i64(a->terms[i++].coefficient, coefficient, &coefficient)) {
      return false;
    }
    if (!push(out, term, coefficient)) return false;
  }
  return true;
}

static bool multiply_terms(const kp_term* a, const kp_term* b, kp_term* out) {
  if (a->degree + b->degree > KP_POLY_MAX_DEGREE) return false;
  out->degree = a->degree + b->degree;
  uint32_t i = 0, j = 0;
  for (uint32_t k = 0; k < out->degree; ++k) {
    const bool from_a = j == b->degree || (i < a->degree && a->atoms[i] <= b->atoms[j]);
    out->atoms[k] = from_a ? a->atoms[i++] : b->atoms[j++];
  }
  return kp_mul_i64(a->coefficient, b->coefficient, &out->coefficient);
}

// *out = a * term: multiplication by one monomial keeps the order.
static bool multiply_by_term(const kp_poly* a, const kp_term* term, kp_poly* out) {
  out->count = a->count;
  for (uint32_t i = 0; i < a->count; ++i)
    if (!multiply_terms(&a->terms[i], term, &out->terms[i])) return false;
  return true;
}

bool kp_poly_mul(const kp_poly* a, const kp_poly* b, kp_poly* out) {
  kp_poly sum, part;
  out->count = 0;
  for (uint32_t i = 0; i < b->count; ++i) {
    if (!multiply_by_term(a, &b->terms[i], &part)) return false;
    if (!kp_poly_add(out, &part, 1, &sum)) return false;
    *out = sum;
  }
  return true;
}

// *out = a / b where that is a term with an integer coefficient.
static bool divide_terms(const kp_term* a, const kp_term* b, kp_term* out) {
  if (a->degree < b->degree || (a->coefficient == INT64_MIN && b->coefficient == -1)) return false;
  if (a->coefficient % b->coefficient != 0) return false;
  *out = (kp_term){.coefficient = a->coefficient / b->coefficient};
  uint32_t j = 0;
  for (uint32_t i = 0; i < a->degree; ++i) {
    if (j < b->degree && a->atoms[i] == b->atoms[j]) {
      ++j;
    } else {
      out->atoms[out->degree++] = a->atoms[i];
    }
  }
  return j == b->degree;
}

bool kp_poly_divide(const kp_poly* a, const kp_poly* b, kp_poly* quotient, kp_poly* remainder) {
  kp_poly rest = *a, product, next;
  quotient->count = remainder->count = 0;
  // Each round takes the leading term away; the bound only stops long rows of them.
  for (int round = 0; rest.count > 0; ++round) {
    kp_term factor;
    if (round == 4 * KP_POLY_MAX_TERMS) return false;
    const kp_term lead = rest.terms[0];
    if (!divide_terms(&lead, &b->terms[0], &factor)) {
      if (!push(remainder, &lead, lead.coefficient)) return false;
      memmove(rest.terms, rest.terms + 1, --rest.count * sizeof *rest.terms);
      continue;
    }
    if (!push(quotient, &factor, factor.coefficient)) return false;
    if (!multiply_by_term(b, &factor, &product)) return false;
    if (!kp_poly_add(&rest, &product, -1, &next)) return false;
    rest = next;
  }
  return true;
}

void kp_poly_split(const kp_poly* a, int64_t divisor, kp_poly* quotient, kp_poly* remainder) {
  quotient->count = remainder->count = 0;
  for (uint32_t i = 0; i < a->count; ++i) {
    int64_t q = a->terms[i].coefficient / divisor, r = a->terms[i].coefficient % divisor;
    if (r < 0) r += divisor, q -= 1;
    (void)push(quotient, &a->terms[i], q);  // at most as many terms as |a| has
    (void)push(remainder, &a->terms[i], r);
  }
}

static int64_t gcd_of(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a < 0 ? -a : a;
}

int64_t kp_poly_gcd(const kp_poly* poly, int64_t seed) {
  for (uint32_t i = 0; i < poly->count; ++i)
    if (poly->terms[i].degree > 0) seed = gcd_of(seed, poly->terms[i].coefficient);
  return seed;
}

// Keeps in |common| the atoms that |term| has too.
static void intersect_atoms(kp_term* common, const kp_term* term) {
  uint32_t kept = 0, j = 0;
  for (uint32_t i = 0; i < common->degree; ++i) {
    while (j < term->degree && term->atoms[j] < common->atoms[i]) ++j;
    if (j == term->degree) break;
    if (term->atoms[j] == common->atoms[i]) common->atoms[kept++] = term->atoms[j++];
  }
  common->degree = kept;
}

bool kp_poly_cancel(kp_poly* a, kp_poly* b) {
  if (a->count == 0 || b->count == 0) return false;
  kp_term common = a->terms[0];
  kp_poly* const both[2] = {a, b};
  for (int side = 0; side < 2; ++side) {
    for (uint32_t i = 0; i < both[side]->count; ++i) {
      intersect_atoms(&common, &both[side]->terms[i]);
      if (both[side]->terms[i].coefficient == INT64_MIN) return false;
      common.coefficient = gcd_of(common.coefficient, both[side]->terms[i].coefficient);
    }
  }
  if (b->terms[0].coefficient < 0) common.coefficient = -common.coefficient;
  for (int side = 0; side < 2; ++side) {
    for (uint32_t i = 0; i < both[side]->count; ++i) {
      const kp_term term = both[side]->terms[i];
      (void)divide_terms(&term, &common, &both[side]->terms[i]);  // exact by construction
    }
  }
  return true;
}
