// The slots of OrtCompileApi, in order (slots.h says what the columns are and how to use them).
#define TABLE OrtCompileApi
#define PREFIX ort_compile_
#include "ort/slots_begin.inl"
// clang-format off
NOTHING(0, ReleaseModelCompilationOptions, "22", (OrtModelCompilationOptions* object), DROPIN, WORKS, "")
STATUS(1, CreateModelCompilationOptionsFromSessionOptions, "22", (const OrtEnv* env, const OrtSessionOptions* options, OrtModelCompilationOptions** out), DROPIN, WORKS, "")
STATUS(2, ModelCompilationOptions_SetInputModelPath, "22", (OrtModelCompilationOptions* options, const char* path), DROPIN, WORKS, "")
STATUS(3, ModelCompilationOptions_SetInputModelFromBuffer, "22", (OrtModelCompilationOptions* options, const void* data, size_t size), DROPIN, WORKS, "")
STATUS(4, ModelCompilationOptions_SetOutputModelPath, "22", (OrtModelCompilationOptions* options, const char* path), DROPIN, WORKS, "")
STATUS(5, ModelCompilationOptions_SetOutputModelExternalInitializersFile, "22", (OrtModelCompilationOptions* options, const char* external_initializers_file_path, size_t external_initializers_size_threshold), DROPIN, WORKS, "")
STATUS(6, ModelCompilationOptions_SetOutputModelBuffer, "22", (OrtModelCompilationOptions* options, OrtAllocator* allocator, void** output_model_buffer_ptr, size_t* output_model_buffer_size_ptr), DROPIN, WORKS, "")
STATUS(7, ModelCompilationOptions_SetEpContextEmbedMode, "22", (OrtModelCompilationOptions* options, bool embed_ep_context_in_model), DROPIN, PARTLY, "kept; no provider here makes EPContext nodes")
STATUS(8, CompileModel, "22", (const OrtEnv* env, const OrtModelCompilationOptions* options), DROPIN, PARTLY, "no provider here has a compiled form: the model is opened, and written as it is")
STATUS(9, ModelCompilationOptions_SetFlags, "23", (OrtModelCompilationOptions* options, uint32_t flags), DROPIN, WORKS, "")
STATUS(10, ModelCompilationOptions_SetEpContextBinaryInformation, "23", (OrtModelCompilationOptions* options, const char* output_directory, const char* model_name), DROPIN, PARTLY, "no provider here makes EPContext nodes")
STATUS(11, ModelCompilationOptions_SetGraphOptimizationLevel, "23", (OrtModelCompilationOptions* options, GraphOptimizationLevel level), DROPIN, WORKS, "")
STATUS(12, ModelCompilationOptions_SetOutputModelWriteFunc, "23", (OrtModelCompilationOptions* options, OrtWriteBufferFunc write_func, void* state), DROPIN, WORKS, "")
STATUS(13, ModelCompilationOptions_SetOutputModelGetInitializerLocationFunc, "23", (OrtModelCompilationOptions* options, OrtGetInitializerLocationFunc get_initializer_location_func, void* state), DROPIN, WORKS, "")
STATUS(14, ModelCompilationOptions_SetInputModel, "25-28", (void), DROPIN, NO, "its signature is not published where this project looks")
STATUS(15, ModelCompilationOptions_SetWeightlessEnabled, "29", (void), DROPIN, NO, "its signature is not published where this project looks")
STATUS(16, ModelCompilationOptions_SetEpContextDataWriteFunc, "31", (void), DROPIN, NO, "its signature is not published where this project looks")
STATUS(17, ModelCompilationOptions_SetOutputModelExternalInitializersBuffer, "31", (void), DROPIN, NO, "its signature is not published where this project looks")
STATUS(18, ModelCompilationOptions_SetOutputModelExternalInitializersAlignment, "31", (void), DROPIN, NO, "its signature is not published where this project looks")
STATUS(19, ModelCompilationOptions_SetWeightlessMode, "32", (void), DROPIN, NO, "its signature is not published where this project looks")
// clang-format on
#include "ort/slots_end.inl"
