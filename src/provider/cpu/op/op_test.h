// For the tests of operators: a small model (support/model_text.h) through the CPU provider, as a partition and node by node.
#ifndef KP_PROVIDER_CPU_OP_OP_TEST_H_
#define KP_PROVIDER_CPU_OP_OP_TEST_H_

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka.h needs those above.
#include <cmocka.h>

#include "base/value.h"
#include "provider/host.h"
#include "support/model_text.h"
#include "support/provider_rig.h"

typedef struct kp_op_case {
  const char* model;
  const char* inputs[5];   // values as text, NULL-terminated
  const char* outputs[3];  // wanted; NULL-terminated
  const char* error;       // instead: words that the error has to contain
} kp_op_case;

static inline double kp_op_test_number(const kapell_value* value, size_t index) {
  switch (value->type) {
    case KAPELL_FLOAT:
      return ((const float*)value->data)[index];
    case KAPELL_DOUBLE:
      return ((const double*)value->data)[index];
    case KAPELL_INT64:
      return (double)((const int64_t*)value->data)[index];
    case KAPELL_INT32:
      return (double)((const int32_t*)value->data)[index];
    case KAPELL_UINT8:
    case KAPELL_BOOL:
      return ((const uint8_t*)value->data)[index];
    case KAPELL_INT8:
      return ((const int8_t*)value->data)[index];
    default:
      fail_msg("no numbers of type %d here", (int)value->type);
      return 0;
  }
}

static inline void kp_op_test_compare(const kapell_value* got, const char* text) {
  kapell_value* wanted = kp_test_value(text);
  assert_non_null(got);
  assert_int_equal(got->type, wanted->type);
  assert_int_equal(got->rank, wanted->rank);
  for (int32_t d = 0; d < got->rank; ++d) assert_int_equal(got->dims[d], wanted->dims[d]);
  if (got->type == KAPELL_STRING) assert_true(kp_value_equal(got, wanted));
  for (size_t i = 0; got->type != KAPELL_STRING && i < kp_value_count(got); ++i) {
    const double a = kp_op_test_number(got, i), b = kp_op_test_number(wanted, i);
    if (!(fabs(a - b) <= 1e-5 * (1 + fabs(b))) && !(a != a && b != b) && a != b)
      fail_msg("element %zu is %g, not %g", i, a, b);
  }
  kp_value_release(wanted);
}

// Runs |c| twice on one special; checks outputs or error.
static inline void kp_op_test_run(const kp_op_case* c) {
  kp_rig rig;
  kapell_value* inputs[5] = {NULL};
  for (size_t i = 0; i < 4 && c->inputs[i]; ++i) inputs[i] = kp_test_value(c->inputs[i]);
  kp_status* status = kp_rig_open(&rig, &kp_provider_cpu, "", c->model);
  if (!status) status = kp_rig_claim(&rig, NULL);
  if (!status && !kp_rig_claimed_all(&rig)) fail_msg("not claimed: %s", c->model);
  if (!status) status = kp_rig_compile(&rig, NULL);
  kp_rig_run run = {.inputs = inputs, .width = 2};
  for (int again = 0; again < 2 && !status; ++again) {
    status = kp_rig_run_once(&rig, &run);
    for (size_t o = 0; !status && c->outputs[o]; ++o)
      kp_op_test_compare(run.outputs[o], c->outputs[o]);
  }
  if (c->error) {
    assert_non_null(status);
    if (!strstr(kp_status_text(status), c->error))
      fail_msg("'%s' does not say '%s'", kp_status_text(status), c->error);
  } else if (status) {
    fail_msg("%s: %s", c->model, kp_status_text(status));
  }
  kp_status_free(status);
  kp_rig_run_free(&run);
  kp_rig_close(&rig);
  for (size_t i = 0; i < 5; ++i) kp_value_release(inputs[i]);
}

#define KP_OP_TEST_ALL(cases)                                                          \
  for (size_t kp_case_ = 0; kp_case_ < sizeof(cases) / sizeof((cases)[0]); ++kp_case_) \
  kp_op_test_run(&(cases)[kp_case_])

#endif  // KP_PROVIDER_CPU_OP_OP_TEST_H_
