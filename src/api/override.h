// What a session is opened with in place of the model's own: initializers, dimensions, files of external data.
#ifndef KP_API_OVERRIDE_H_
#define KP_API_OVERRIDE_H_

#include "kapell/kapell.h"
#include "onnx/model.h"

// Changes |model|, freshly read. Values and texts of |options| must live as long as it. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_override_model(kp_onnx_model* model, const kapell_options* options);

#endif  // KP_API_OVERRIDE_H_
