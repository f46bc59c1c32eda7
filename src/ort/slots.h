// The functions behind the slots. One list a table, `*_slots.inl`, one line a slot:
//
//   STATUS(index, Name, since, parameters, owner, state, note)           returns OrtStatus*
//   NOTHING(index, Name, since, parameters, owner, state, note)          returns nothing
//   VALUE(index, Name, since, type, parameters, owner, state, note)      returns |type|
//
//   since   the API version in which the slot came
//   owner   ORT: implemented in src/ort/, in both libraries. DROPIN: in src/dropin/, in libonnxruntime.so.1 alone
//   state   WORKS, PARTLY (|note| says how: ignoring an argument is "partly"), NO (|note| says why)
//
// Implementing a slot: write `ort_Name` (`ort_ep_`, `ort_editor_`, `ort_compile_`, `ort_interop_`, `ort_package_` for the other
// tables) with exactly these parameters, change the state, and have docs/onnxruntime-abi.md written anew (tools/lint/generated.py
// --write). A slot in state NO answers ORT_NOT_IMPLEMENTED with its name and the note.
#ifndef KAPELL_ORT_SLOTS_H_
#define KAPELL_ORT_SLOTS_H_

#include "ort/abi.h"

#define KP_ORT_PASTE2(a, b) a##b
#define KP_ORT_PASTE(a, b) KP_ORT_PASTE2(a, b)
/// The function that implements slot |name| of the list that is being included, and the one that says it is not implemented.
#define KP_ORT_REAL(name) KP_ORT_PASTE(PREFIX, name)
#define KP_ORT_NONE(name) KP_ORT_PASTE(KP_ORT_PASTE(kp_none_, PREFIX), name)

#define KP_ORT_DECLARE_WORKS(type, name, params) type KP_ORT_REAL(name) params;
#define KP_ORT_DECLARE_PARTLY(type, name, params) type KP_ORT_REAL(name) params;
#define KP_ORT_DECLARE_NO(type, name, params)

#define SLOT(index, name, since, type, params, owner, state, note) \
  KP_ORT_DECLARE_##state(type, name, params) type KP_ORT_NONE(name) params;
#include "ort/api_slots.inl"
#include "ort/compile_api_slots.inl"
#include "ort/ep_api_slots.inl"
#include "ort/interop_api_slots.inl"
#include "ort/model_editor_api_slots.inl"
#include "ort/model_package_api_slots.inl"
#undef SLOT

/// The tables that GetApi and its sisters answer.
typedef struct {
  const OrtApi* api;
  const OrtEpApi* ep;
  const OrtModelEditorApi* model_editor;
  const OrtCompileApi* compile;
  const OrtInteropApi* interop;
  const OrtModelPackageApi* model_package;
} kp_ort_tables;

/// The tables in force: those of src/ort/ alone, in which slots owned by DROPIN are not implemented, until somebody set others.
const kp_ort_tables* kp_ort_tables_get(void);

/// src/dropin/ registers its full tables, before it hands out the first pointer. |tables| is kept, not copied.
void kp_ort_tables_set(const kp_ort_tables* tables);

/// What OrtGetApiBase answers: the tables in force, granted for API 1 to ORT_API_VERSION.
const OrtApiBase* kp_ort_api_base(void);

#endif  // KAPELL_ORT_SLOTS_H_
