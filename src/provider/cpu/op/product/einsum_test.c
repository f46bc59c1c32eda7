// Einsum by hand: what is refused, and that the equation is quoted. Numbers: test/py/draws/einsum.py.
#include "provider/cpu/op/op_test.h"

#define PAIR(a, b, equation) \
  "in x float" a " in y float" b " z = Einsum(x, y) equation=\"" equation "\" out z float"
#define ONE(a, equation) "in x float" a " z = Einsum(x) equation=\"" equation "\" out z float"

static void test_numbers(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {.model = PAIR("[2,3]", "[3]", " ij , j -> i "),
       .inputs = {"float[2,3] 1 2 3 4 5 6", "float[3] 1 0 2"},
       .outputs = {"float[2] 7 16"}},
      {.model = PAIR("[2,0]", "[0,2]", "ij,jk"),
       .inputs = {"float[2,0]", "float[0,2]"},
       .outputs = {"float[2,2] 0 0 0 0"}},
      {.model = ONE("[3,3]", "ii"),
       .inputs = {"float[3,3] 1 2 3 4 5 6 7 8 9"},
       .outputs = {"float[] 15"}},
      {.model = PAIR("[1,2]", "[3,1]", "ij,ij->ij"),
       .inputs = {"float[1,2] 1 2", "float[3,1] 1 2 3"},
       .outputs = {"float[3,2] 1 2 2 4 3 6"}},
  };
  KP_OP_TEST_ALL(cases);
}

static void test_errors(void** state) {
  (void)state;
  static const kp_op_case cases[] = {
      {.model = ONE("[N,M]", "ij->ii"),
       .inputs = {"float[2,2] fill 1"},
       .error = "equation 'ij->ii': its result names a label twice"},
      {.model = ONE("", "ijk->k"),
       .inputs = {"float[2,2] fill 1"},
       .error = "reading the equation 'ijk->k'"},
      {.model = ONE("", "i.j->k"),
       .inputs = {"float[2,2] fill 1"},
       .error = "reading the equation 'i.j->k'"},
  };
  KP_OP_TEST_ALL(cases);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
