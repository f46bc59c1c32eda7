// Tests of symbolic integers: the normal form, its bounds, text and evaluation.
#include "graph/symbol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

static kp_expr op(kp_symbols* s, kp_expr_op o, kp_expr a, kp_expr b) {
  return kp_expr_make(s, o, a, b);
}
static kp_expr add(kp_symbols* s, kp_expr a, kp_expr b) { return op(s, KP_EXPR_ADD, a, b); }
static kp_expr sub(kp_symbols* s, kp_expr a, kp_expr b) { return op(s, KP_EXPR_SUB, a, b); }
static kp_expr mul(kp_symbols* s, kp_expr a, kp_expr b) { return op(s, KP_EXPR_MUL, a, b); }
static kp_expr quo(kp_symbols* s, kp_expr a, kp_expr b) { return op(s, KP_EXPR_DIV, a, b); }

static void assert_text(kp_symbols* s, kp_expr e, const char* text) {
  kp_strbuf buf = {0};
  kp_expr_describe(s, e, &buf);
  assert_string_equal(buf.data, text);
  kp_strbuf_free(&buf);
}

static void numbers_are_computed(void** state) {
  (void)state;
  kp_symbols s = {0};
  assert_int_equal(add(&s, 2, 3), 5);
  assert_int_equal(quo(&s, -7, 2), -4);
  assert_int_equal(op(&s, KP_EXPR_CEILDIV, 7, 2), 4);
  assert_int_equal(op(&s, KP_EXPR_MOD, -7, 3), 2);
  assert_int_equal(op(&s, KP_EXPR_MOD, 7, -3), -2);
  assert_int_equal(op(&s, KP_EXPR_MIN, 7, -3), -3);
  assert_true(kp_is_symbol(mul(&s, INT64_MAX, 2)));
  assert_true(kp_is_symbol(sub(&s, KP_SYMBOL_LIMIT, 1)));
  assert_true(kp_is_symbol(quo(&s, 1, 0)));
  assert_int_equal(mul(&s, INT64_MAX, 2), mul(&s, 2, INT64_MAX));  // the same unknown both times
  kp_symbols_free(&s);
}

static void equal_expressions_are_equal_numbers(void** state) {
  (void)state;
  kp_symbols s = {0};
  const kp_expr n = kp_symbol_named(&s, "N"), c = kp_symbol_named(&s, "C"), f = kp_symbol_fresh(&s);
  const char other[] = "N";  // names are interned by the caller, so another address is another name
  assert_int_equal(kp_symbol_named(&s, "N"), n);
  assert_true(kp_symbol_named(&s, other) != n);
  assert_int_equal(add(&s, n, c), add(&s, c, n));
  assert_int_equal(quo(&s, mul(&s, n, 4), 4), n);
  assert_int_equal(sub(&s, add(&s, n, c), c), n);
  assert_int_equal(sub(&s, f, f), 0);
  assert_int_equal(mul(&s, n, 0), 0);
  assert_int_equal(mul(&s, add(&s, n, 1), add(&s, n, -1)), sub(&s, mul(&s, n, n), 1));
  const kp_expr dims[] = {n, 0, c};
  assert_int_equal(kp_expr_product(&s, dims, 3), 0);
  assert_int_equal(kp_expr_product(&s, dims, 1), n);
  kp_symbols_free(&s);
}

static void quotients_have_a_normal_form(void** state) {
  (void)state;
  kp_symbols s = {0};
  const kp_expr n = kp_symbol_named(&s, "N"), b = kp_symbol_named(&s, "B"),
                p = kp_symbol_named(&s, "P");
  // Reshape's -1: (B*N*768) / (B*12*64) = N, and with a sum: (B*(N+P)*64) / (B*(N+P)) = 64.
  assert_int_equal(quo(&s, mul(&s, mul(&s, b, n), 768), mul(&s, b, 12 * 64)), n);
  const kp_expr total = mul(&s, b, add(&s, n, p));
  assert_int_equal(quo(&s, mul(&s, total, 64), total), 64);
  assert_int_equal(quo(&s, add(&s, mul(&s, n, 4), 7), 4), add(&s, n, 1));
  assert_int_equal(quo(&s, n, n), 1);
  // ceil(N/2) = floor((N-1)/2) + 1, and chains of strides are one quotient.
  const kp_expr half = op(&s, KP_EXPR_CEILDIV, n, 2);
  assert_int_equal(half, add(&s, quo(&s, sub(&s, n, 1), 2), 1));
  assert_int_equal(op(&s, KP_EXPR_CEILDIV, half, 2), op(&s, KP_EXPR_CEILDIV, n, 4));
  assert_int_equal(quo(&s, quo(&s, n, 3), 5), quo(&s, n, 15));
  assert_int_equal(quo(&s, mul(&s, n, 6), 4), quo(&s, mul(&s, n, 3), 2));
  assert_int_equal(op(&s, KP_EXPR_MOD, add(&s, mul(&s, n, 8), 3), 4), 3);
  assert_int_equal(op(&s, KP_EXPR_MOD, mul(&s, n, b), n), 0);
  kp_symbols_free(&s);
}

static void minimum_and_maximum_use_signs(void** state) {
  (void)state;
  kp_symbols s = {0};
  const kp_expr n = kp_symbol_named(&s, "N"), p = kp_symbol_named(&s, "P");
  const kp_expr any = kp_symbol_fresh(&s), dim = kp_symbol_fresh_dim(&s);
  assert_int_equal(op(&s, KP_EXPR_MAX, n, 0), n);
  assert_int_equal(op(&s, KP_EXPR_MAX, 0, dim), dim);
  assert_true(op(&s, KP_EXPR_MAX, 0, any) != any);
  assert_int_equal(op(&s, KP_EXPR_MIN, n, add(&s, n, p)), n);
  assert_int_equal(op(&s, KP_EXPR_MIN, n, add(&s, n, -1)), add(&s, n, -1));
  const kp_expr least = op(&s, KP_EXPR_MIN, n, 5);
  assert_int_equal(op(&s, KP_EXPR_MIN, least, 5), least);
  assert_true(kp_expr_nonnegative(&s, op(&s, KP_EXPR_MAX, 0, any)));
  assert_false(kp_expr_nonnegative(&s, any));
  assert_true(kp_expr_nonnegative(&s, least));
  kp_symbols_free(&s);
}

static void text_is_readable(void** state) {
  (void)state;
  kp_symbols s = {0};
  const kp_expr n = kp_symbol_named(&s, "N"), c = kp_symbol_named(&s, "C");
  assert_text(&s, 42, "42");
  assert_text(&s, add(&s, n, 1), "(N+1)");
  assert_text(&s, mul(&s, mul(&s, n, c), 2), "2*N*C");
  assert_text(&s, sub(&s, 3, n), "(-N+3)");
  assert_text(&s, quo(&s, add(&s, n, 1), 2), "floor((N+1)/2)");
  assert_text(&s, op(&s, KP_EXPR_MIN, n, c), "min(N, C)");
  assert_text(&s, kp_symbol_fresh(&s), "?");
  kp_symbols_free(&s);
}

static bool lookup(void* user, kp_expr symbol, int64_t* out) {
  const int64_t* table = user;  // pairs of symbol and value, ended by a number
  for (; kp_is_symbol(table[0]); table += 2)
    if (table[0] == symbol) return (*out = table[1], true);
  return false;
}

// Random expressions evaluate to what the same operations give on numbers, so normalisation keeps values.
static void normalisation_keeps_values(void** state) {
  (void)state;
  srand(1);
  for (int round = 0; round < 3000; ++round) {
    kp_symbols s = {0};
    const int64_t n = rand() % 20 + 1, c = rand() % 20 + 1, f = rand() % 41 - 20;
    kp_expr pool[24] = {kp_symbol_named(&s, "N"),
                        kp_symbol_named(&s, "C"),
                        kp_symbol_fresh(&s),
                        2,
                        3,
                        rand() % 9 - 4};
    int64_t values[24] = {n, c, f, 2, 3, pool[5]};
    const int64_t table[] = {pool[0], n, pool[1], c, pool[2], f, 0};
    for (int i = 6; i < 24; ++i) {
      const kp_expr_op o = (kp_expr_op)(KP_EXPR_ADD + rand() % 8);
      const int a = rand() % i, b = rand() % i;
      const bool divides = o == KP_EXPR_DIV || o == KP_EXPR_CEILDIV || o == KP_EXPR_MOD;
      kp_symbols none = {0};
      values[i] =
          divides && values[b] == 0 ? values[a] : kp_expr_make(&none, o, values[a], values[b]);
      pool[i] = divides && values[b] == 0 ? pool[a] : kp_expr_make(&s, o, pool[a], pool[b]);
      int64_t value;
      if (kp_is_symbol(values[i])) {  // overflow on numbers: nothing to compare
        kp_symbols_free(&none);
        break;
      }
      if (kp_expr_eval(&s, pool[i], lookup, (void*)(uintptr_t)table, &value))
        assert_int_equal(value, values[i]);
      if (kp_expr_nonnegative(&s, pool[i])) assert_true(values[i] >= 0);
    }
    kp_symbols_free(&s);
  }
}

static void hostile_growth_is_bounded(void** state) {
  (void)state;
  kp_symbols s = {0};
  const kp_expr n = kp_symbol_named(&s, "N");
  kp_expr e = n;
  for (int i = 0; i < 100000; ++i) {
    const kp_expr shifted = add(&s, e, i);
    e = op(&s,
           i % 3 == 0   ? KP_EXPR_MOD
           : i % 3 == 1 ? KP_EXPR_MIN
                        : KP_EXPR_MUL,
           mul(&s, e, shifted), add(&s, shifted, n));
    kp_strbuf buf = {0};
    if (i % 1000 == 0) kp_expr_describe(&s, e, &buf);
    assert_true(buf.length < 16384);
    kp_strbuf_free(&buf);
  }
  kp_symbols_free(&s);
}

static void failing_allocations_give_fresh_symbols(void** state) {
  (void)state;
  const int64_t live = kp_alloc_live();
  for (uint64_t nth = 1; nth < 12; ++nth) {
    kp_symbols s = {0};
    kp_alloc_fail_at(nth);
    const kp_expr n = kp_symbol_named(&s, "N");
    kp_expr e = n;
    for (int i = 0; i < 200; ++i) e = add(&s, mul(&s, e, 2), quo(&s, e, i + 2));
    kp_alloc_fail_at(0);
    assert_true(kp_is_symbol(e));
    kp_symbols_free(&s);
    assert_int_equal(kp_alloc_live(), live);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_computed),
      cmocka_unit_test(equal_expressions_are_equal_numbers),
      cmocka_unit_test(quotients_have_a_normal_form),
      cmocka_unit_test(minimum_and_maximum_use_signs),
      cmocka_unit_test(text_is_readable),
      cmocka_unit_test(normalisation_keeps_values),
      cmocka_unit_test(hostile_growth_is_bounded),
      cmocka_unit_test(failing_allocations_give_fresh_symbols),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
