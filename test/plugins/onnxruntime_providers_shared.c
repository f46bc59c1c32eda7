// As the library of this name in ONNX Runtime's packages: keeps the host of its bridge for those who ask.
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))
EXPORT void Provider_SetHost(void* host);
EXPORT void* Provider_GetHost(void);

static void* kept;

void Provider_SetHost(void* host) { kept = host; }
void* Provider_GetHost(void) { return kept; }
