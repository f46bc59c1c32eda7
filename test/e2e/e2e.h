// For end-to-end tests: sessions on models written as text, and what the build under test allows to be measured.
#ifndef KP_TEST_E2E_E2E_H_
#define KP_TEST_E2E_E2E_H_

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "kapell/kapell.h"
#include "support/model_text.h"
#include "support/slowed.h"

#define E2E_MS 1000000u  // nanoseconds
#define E2E_DIGITS KAPELL_SOURCE_DIR "/examples/digits/digits.onnx"

// Ends the test with the status' text, if there is one.
static inline void e2e_ok(kapell_status* status) {
  if (!status) return;
  fprintf(stderr, "%s\n", kapell_status_text(status));
  kapell_status_free(status);
  fail();
}

// The status must have this code and its text hold each of the words (NULL ends them). Frees it.
static inline void e2e_error(kapell_status* status, kapell_code code, ...) {
  if (kapell_status_code(status) != code) {
    fprintf(stderr, "expected %s, got: %s\n", kapell_code_name(code),
            status ? kapell_status_text(status) : "success");
    kapell_status_free(status);
    fail();
  }
  va_list words;
  va_start(words, code);
  for (const char* word = va_arg(words, const char*); word; word = va_arg(words, const char*)) {
    if (strstr(kapell_status_text(status), word)) continue;
    fprintf(stderr, "no '%s' in: %s\n", word, kapell_status_text(status));
    fail();
  }
  va_end(words);
  kapell_status_free(status);
}

// A session on |text| (model_text.h), opset 17.
static inline kapell_session* e2e_open(const char* text, const kapell_options* options) {
  size_t byte_count;
  char* bytes = kp_test_model(text, 17, &byte_count);
  kapell_session* session = NULL;
  e2e_ok(kapell_session_open(bytes, byte_count, options, &session));
  free(bytes);
  return session;
}

// Runs with all inputs and outputs in order.
static inline kapell_status* e2e_run(kapell_session* session, kapell_value* const* inputs,
                                     kapell_value** outputs) {
  return kapell_session_run(session, NULL, NULL, inputs, kapell_session_input_count(session), NULL,
                            outputs, kapell_session_output_count(session));
}

// f32 tensors of one shape whose elements differ by no more than |limit|.
static inline void e2e_close(const kapell_value* got, const kapell_value* want, double limit) {
  assert_int_equal(kapell_tensor_rank(got), kapell_tensor_rank(want));
  for (int32_t d = 0; d < kapell_tensor_rank(want); ++d)
    assert_int_equal(kapell_tensor_dims(got)[d], kapell_tensor_dims(want)[d]);
  for (size_t i = 0; i < kapell_tensor_count(want); ++i) {
    const double a = kapell_tensor_get_double(got, i), b = kapell_tensor_get_double(want, i);
    if (fabs(a - b) <= limit) continue;
    fprintf(stderr, "element %zu: %.9g, expected %.9g\n", i, a, b);
    fail();
  }
}

#endif  // KP_TEST_E2E_E2E_H_
