// The slots of OrtModelEditorApi, in order (slots.h says what the columns are and how to use them).
#define TABLE OrtModelEditorApi
#define PREFIX ort_editor_
#include "ort/slots_begin.inl"
// clang-format off
STATUS(0, CreateTensorTypeInfo, "22", (const OrtTensorTypeAndShapeInfo* info, OrtTypeInfo** type), ORT, WORKS, "")
STATUS(1, CreateSparseTensorTypeInfo, "22", (const OrtTensorTypeAndShapeInfo* info, OrtTypeInfo** type), ORT, WORKS, "")
STATUS(2, CreateMapTypeInfo, "22", (ONNXTensorElementDataType map_key_type, const OrtTypeInfo* map_value_type, OrtTypeInfo** type), ORT, WORKS, "")
STATUS(3, CreateSequenceTypeInfo, "22", (const OrtTypeInfo* sequence_type, OrtTypeInfo** type), ORT, WORKS, "")
STATUS(4, CreateOptionalTypeInfo, "22", (const OrtTypeInfo* contained_type, OrtTypeInfo** type), ORT, WORKS, "")
STATUS(5, CreateValueInfo, "22", (const char* name, const OrtTypeInfo* type, OrtValueInfo** value), ORT, WORKS, "")
STATUS(6, CreateNode, "22", (const char* op, const char* domain, const char* name, const char* const* input_names, size_t input_count, const char* const* output_names, size_t output_count, OrtOpAttr** attributes, size_t attribute_count, OrtNode** node), ORT, WORKS, "")
STATUS(7, CreateGraph, "22", (OrtGraph** graph), ORT, WORKS, "")
STATUS(8, SetGraphInputs, "22", (OrtGraph* graph, OrtValueInfo** inputs, size_t count), ORT, WORKS, "")
STATUS(9, SetGraphOutputs, "22", (OrtGraph* graph, OrtValueInfo** outputs, size_t count), ORT, WORKS, "")
STATUS(10, AddInitializerToGraph, "22", (OrtGraph* graph, const char* name, OrtValue* tensor, bool data_is_external), ORT, WORKS, "")
STATUS(11, AddNodeToGraph, "22", (OrtGraph* graph, OrtNode* node), ORT, WORKS, "")
STATUS(12, CreateModel, "22", (const char* const* domains, const int* versions, size_t count, OrtModel** model), ORT, WORKS, "")
STATUS(13, AddGraphToModel, "22", (OrtModel* model, OrtGraph* graph), ORT, WORKS, "")
STATUS(14, CreateSessionFromModel, "22", (const OrtEnv* env, const OrtModel* model, const OrtSessionOptions* options, OrtSession** out), DROPIN, WORKS, "")
STATUS(15, CreateModelEditorSession, "22", (const OrtEnv* env, const char* path, const OrtSessionOptions* options, OrtSession** out), DROPIN, WORKS, "")
STATUS(16, CreateModelEditorSessionFromArray, "22", (const OrtEnv* env, const void* data, size_t size, const OrtSessionOptions* options, OrtSession** out), DROPIN, WORKS, "")
STATUS(17, SessionGetOpsetForDomain, "22", (const OrtSession* session, const char* domain, int* version), DROPIN, WORKS, "")
STATUS(18, ApplyModelToModelEditorSession, "22", (OrtSession* session, OrtModel* model), DROPIN, WORKS, "")
STATUS(19, FinalizeModelEditorSession, "22", (OrtSession* session, const OrtSessionOptions* options, OrtPrepackedWeightsContainer* prepacked), DROPIN, WORKS, "")
// clang-format on
#include "ort/slots_end.inl"
