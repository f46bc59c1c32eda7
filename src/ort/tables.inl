// The tables, made from the lists of slots. The includer defines KP_ORT_PICK_<owner>_<state>(name) for ORT and DROPIN, and for
// WORKS, PARTLY and NO: the function that stands in that slot.
#define SLOT(index, name, since, type, params, owner, state, note) .name = KP_ORT_PICK_##owner##_##state(name),
static const OrtApi api_table = {
#include "ort/api_slots.inl"
};
static const OrtEpApi ep_api_table = {
#include "ort/ep_api_slots.inl"
};
static const OrtModelEditorApi model_editor_api_table = {
#include "ort/model_editor_api_slots.inl"
};
static const OrtCompileApi compile_api_table = {
#include "ort/compile_api_slots.inl"
};
static const OrtInteropApi interop_api_table = {
#include "ort/interop_api_slots.inl"
};
static const OrtModelPackageApi model_package_api_table = {
#include "ort/model_package_api_slots.inl"
};
#undef SLOT

static const kp_ort_tables all_tables = {
    .api = &api_table,
    .ep = &ep_api_table,
    .model_editor = &model_editor_api_table,
    .compile = &compile_api_table,
    .interop = &interop_api_table,
    .model_package = &model_package_api_table,
};
