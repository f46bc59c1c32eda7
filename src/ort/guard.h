// Calls of clients' functions that may throw: custom operators are mostly C++, and those before OrtCustomOp version 16 have no other way to
// say that they failed. An exception becomes a status with the text of its what().
#ifndef KP_ORT_GUARD_H_
#define KP_ORT_GUARD_H_

#include "ort/object.h"

// What |fn| answers, or RUNTIME_EXCEPTION.
OrtStatus* kp_ort_guard(OrtStatus* (*fn)(void* arg), void* arg);

#endif  // KP_ORT_GUARD_H_
