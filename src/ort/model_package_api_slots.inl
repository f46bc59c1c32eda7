// The slots of OrtModelPackageApi, in order (slots.h says what the columns are and how to use them).
#define TABLE OrtModelPackageApi
#define PREFIX ort_package_
#include "ort/slots_begin.inl"
// clang-format off
STATUS(0, CreateModelPackageOptionsFromSessionOptions, "31", (const OrtEnv* env, const OrtSessionOptions* options, OrtModelPackageOptions** out), DROPIN, NO, "packages of models cannot be opened; open the model in them")
NOTHING(1, ReleaseModelPackageOptions, "31", (OrtModelPackageOptions* value), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(2, CreateModelPackageContext, "31", (const char* root, OrtModelPackageContext** out), DROPIN, NO, "packages of models cannot be opened; open the model in them")
NOTHING(3, ReleaseModelPackageContext, "31", (OrtModelPackageContext* value), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(4, ModelPackage_GetSchemaVersion, "31", (const OrtModelPackageContext* context, int64_t* version), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(5, ModelPackage_GetComponentCount, "31", (const OrtModelPackageContext* context, size_t* version), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(6, ModelPackage_GetComponentNames, "31", (const OrtModelPackageContext* context, const char* const** names, size_t* count), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(7, ModelPackage_GetVariantCount, "31", (const OrtModelPackageContext* context, const char* component, size_t* count), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(8, ModelPackage_GetVariantNames, "31", (const OrtModelPackageContext* context, const char* component, const char* const** variant_names, size_t* count), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(9, ModelPackage_GetVariantEpName, "31", (const OrtModelPackageContext* context, const char* component, const char* variant, const char** ep), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(10, ModelPackage_ResolveStringRef, "31", (const OrtModelPackageContext* context, const char* base_dir, const char* input, int must_exist, const char** path), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(11, SelectComponent, "31", (const OrtModelPackageContext* context, const char* component, const OrtModelPackageOptions* options, OrtModelPackageComponentContext** out), DROPIN, NO, "packages of models cannot be opened; open the model in them")
NOTHING(12, ReleaseModelPackageComponentContext, "31", (OrtModelPackageComponentContext* value), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(13, ModelPackageComponent_GetSelectedVariantName, "31", (const OrtModelPackageComponentContext* context, const char** name), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(14, ModelPackageComponent_GetSelectedVariantFolderPath, "31", (const OrtModelPackageComponentContext* context, const char** folder_path), DROPIN, NO, "packages of models cannot be opened; open the model in them")
STATUS(15, CreateSession, "31", (const OrtEnv* env, const OrtModelPackageComponentContext* context, const OrtSessionOptions* options, OrtSession** session), DROPIN, NO, "packages of models cannot be opened; open the model in them")
// clang-format on
#include "ort/slots_end.inl"
