// Backend cases as test/py/export_cases.py writes them: folders with model.onnx, test_data_set_N/input_I.pb and output_I.pb, and optionally
// `tolerance`, a file of two numbers: relative and absolute.
#ifndef KP_TEST_SUPPORT_BACKEND_CASE_H_
#define KP_TEST_SUPPORT_BACKEND_CASE_H_

#include "base/status.h"
#include "kapell/kapell.h"

typedef struct kp_case_tolerance {
  double relative, absolute;
} kp_case_tolerance;

bool kp_case_exists(const char* path);

// The value in a .pb file; the model says of which |kind| it is.
kp_status* kp_case_read_value(const char* path, kapell_kind kind, kapell_value** out_value);

// What the case allows; the onnx package's own numbers where it says nothing.
kp_case_tolerance kp_case_read_tolerance(const char* folder);

// An error that says what differs, or NULL.
kp_status* kp_case_compare(const kapell_value* got, const kapell_value* want, kp_case_tolerance t);

// Prints "bad FOLDER: what" on one line.
void kp_case_say_bad(const char* folder, const char* what);

#endif  // KP_TEST_SUPPORT_BACKEND_CASE_H_
