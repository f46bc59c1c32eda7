// Providers of hosted libraries: one OrtEp a session, and what it claims.
#include "provider/plugin/plugin.h"

static kp_status* create(const kp_provider_args* args, kp_provider** out_provider) {
  *out_provider = NULL;
  return KP_ERROR(UNSUPPORTED, "%s comes from the library '%s', which is loaded and not run yet",
                  args->type->short_name,
                  kp_plugin_library_path(kp_plugin_type_of(args->type)->library));
}

static void destroy(kp_provider* provider) {
  kp_plugin_library_release(kp_plugin_type_of(provider->type)->library);
}

const kp_provider_type kp_plugin_base = {.create = create, .destroy = destroy};
