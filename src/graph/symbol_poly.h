// Polynomials over symbols with 64-bit integer coefficients: the normal form behind symbol.c. Nothing else includes this.
//
// A kp_poly lives on the stack and is bounded; every operation returns false where the result does not fit (a coefficient
// overflows, too many terms, too high a degree), and the caller then gives up normalising.
#ifndef KP_GRAPH_SYMBOL_POLY_H_
#define KP_GRAPH_SYMBOL_POLY_H_

#include <stdbool.h>
#include <stdint.h>

#define KP_POLY_MAX_TERMS 24
#define KP_POLY_MAX_DEGREE 8

typedef struct kp_term {
  int64_t coefficient;                 // not 0
  uint32_t degree;                     // number of atoms; 0 is the constant term
  uint32_t atoms[KP_POLY_MAX_DEGREE];  // symbol indices, ascending, repeated for powers
} kp_term;

typedef struct kp_poly {
  uint32_t count;  // 0 is the number 0
  kp_term terms
      [KP_POLY_MAX_TERMS];  // descending in the graded lexicographic order, so the constant is last
} kp_poly;

void kp_poly_number(kp_poly* poly, int64_t value);
void kp_poly_atom(kp_poly* poly, uint32_t atom);
// True and *out where |poly| has no atoms.
bool kp_poly_is_number(const kp_poly* poly, int64_t* out);
int64_t kp_poly_constant(const kp_poly* poly);

// *out = a + scale * b. |out| must be neither a nor b; likewise below.
bool kp_poly_add(const kp_poly* a, const kp_poly* b, int64_t scale, kp_poly* out);
bool kp_poly_mul(const kp_poly* a, const kp_poly* b, kp_poly* out);
// a = quotient * b + remainder by multivariate long division with integer quotients; b is not 0.
bool kp_poly_divide(const kp_poly* a, const kp_poly* b, kp_poly* quotient, kp_poly* remainder);
// Splits each coefficient c into divisor*q + r with 0 <= r < divisor.
void kp_poly_split(const kp_poly* a, int64_t divisor, kp_poly* quotient, kp_poly* remainder);
// Divides a and b by the numbers and atoms that all their terms share; makes b's first coefficient positive.
bool kp_poly_cancel(kp_poly* a, kp_poly* b);
// Greatest common divisor of |seed| and all coefficients except the constant's.
int64_t kp_poly_gcd(const kp_poly* poly, int64_t seed);

#endif  // KP_GRAPH_SYMBOL_POLY_H_
