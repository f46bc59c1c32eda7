// Between registry.c and dynamic.c: the providers of registered libraries beside those that are built in or only known.
#ifndef KP_PROVIDER_DYNAMIC_H_
#define KP_PROVIDER_DYNAMIC_H_

#include "provider/provider.h"

// --- dynamic.c: types that came by kp_provider_add
const char* kp_dynamic_canonical(kp_str name);        // of one that is there; NULL: none
const char* kp_dynamic_short(const char* canonical);  // NULL: not there
const char* kp_dynamic_name(
    size_t index);  // of those without a row in known.inl; NULL past the end
const kp_provider_type* kp_dynamic_find(const char* canonical);  // retained; NULL: not there

// --- registry.c: the tables
const char* kp_provider_own(kp_str name);  // canonical name of one that is built in or known
bool kp_provider_is_builtin(const char* canonical);
bool kp_provider_has_row(const char* canonical);

#endif  // KP_PROVIDER_DYNAMIC_H_
