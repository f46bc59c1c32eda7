// The configuration file: defaults of kapell_options from JSON (docs/environment.md).
#ifndef KP_API_CONFIG_H_
#define KP_API_CONFIG_H_

#include "base/arena.h"
#include "base/status.h"
#include "kapell/kapell.h"

// Fills what |options| leaves at its default from the file that KAPELL_CONFIG names, else from ~/.config/kapell/kapell.json where it
// exists. Texts lie in |arena|. Errors: NOT_FOUND or IO for the file; INVALID_ARGUMENT naming file, line, key and what is valid.
KP_MUST_USE kp_status* kp_config_apply(kapell_options* options, kp_arena* arena);

#endif  // KP_API_CONFIG_H_
