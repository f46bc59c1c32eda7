// The functions behind slots that nobody implements, one a slot, made from the lists. (Those of slots that only the drop-in implements are
// in force where the drop-in is absent.) A linker drops those that no table names.
#include "ort/slots.h"

#include <stdio.h>

static OrtStatus* not_implemented(const char* name, const char* why) {
  char text[320];
  snprintf(text, sizeof text, "%s is not implemented by Kapell: %s", name,
           *why ? why : "it needs the library libonnxruntime.so.1");
  return ort_CreateStatus(ORT_NOT_IMPLEMENTED, text);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define STRING2(text) #text
#define STRING(text) STRING2(text)
#define STATUS(index, name, since, params, owner, state, note) \
  OrtStatus* KP_ORT_NONE(name) params { return not_implemented(STRING(TABLE) "." #name, note); }
#define NOTHING(index, name, since, params, owner, state, note) \
  void KP_ORT_NONE(name) params {}
#define VALUE(index, name, since, type, params, owner, state, note) \
  type KP_ORT_NONE(name) params { return (type)0; }
#include "ort/api_slots.inl"
#include "ort/compile_api_slots.inl"
#include "ort/ep_api_slots.inl"
#include "ort/interop_api_slots.inl"
#include "ort/model_editor_api_slots.inl"
#include "ort/model_package_api_slots.inl"
#pragma GCC diagnostic pop
