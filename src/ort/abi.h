// ONNX Runtime's C ABI, part 3: the tables of functions, made from the lists of slots, which are the one place that knows them.
// The tables only grow: every version of the API is the same table, of which an old client sees the beginning.
#ifndef KAPELL_ORT_ABI_H_
#define KAPELL_ORT_ABI_H_

#include "ort/abi_structs.h"

#define SLOT(index, name, since, type, params, owner, state, note) type(*name) params;
struct OrtApi {
#include "ort/api_slots.inl"
};
struct OrtEpApi {
#include "ort/ep_api_slots.inl"
};
struct OrtModelEditorApi {
#include "ort/model_editor_api_slots.inl"
};
struct OrtCompileApi {
#include "ort/compile_api_slots.inl"
};
struct OrtInteropApi {
#include "ort/interop_api_slots.inl"
};
struct OrtModelPackageApi {
#include "ort/model_package_api_slots.inl"
};
#undef SLOT

// Each member lies where its index says, and nothing lies between.
#define SLOT(index, name, since, type, params, owner, state, note) \
  _Static_assert(offsetof(TABLE, name) == (index) * sizeof(void*), #name);
#include "ort/api_slots.inl"
#include "ort/compile_api_slots.inl"
#include "ort/ep_api_slots.inl"
#include "ort/interop_api_slots.inl"
#include "ort/model_editor_api_slots.inl"
#include "ort/model_package_api_slots.inl"
#undef SLOT
_Static_assert(sizeof(OrtApi) == 429 * sizeof(void*), "OrtApi has 429 slots");
_Static_assert(sizeof(OrtEpApi) == 78 * sizeof(void*), "OrtEpApi has 78 slots");
_Static_assert(sizeof(OrtModelEditorApi) == 20 * sizeof(void*), "OrtModelEditorApi has 20 slots");
_Static_assert(sizeof(OrtCompileApi) == 20 * sizeof(void*), "OrtCompileApi has 20 slots");
_Static_assert(sizeof(OrtInteropApi) == 13 * sizeof(void*), "OrtInteropApi has 13 slots");
_Static_assert(sizeof(OrtModelPackageApi) == 16 * sizeof(void*), "OrtModelPackageApi has 16 slots");

#endif  // KAPELL_ORT_ABI_H_
