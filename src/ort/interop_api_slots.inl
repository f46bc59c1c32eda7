// The slots of OrtInteropApi, in order (slots.h says what the columns are and how to use them).
#define TABLE OrtInteropApi
#define PREFIX ort_interop_
#include "ort/slots_begin.inl"
// clang-format off
STATUS(0, CreateExternalResourceImporterForDevice, "24", (const OrtEpDevice* device, OrtExternalResourceImporter** importer), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
NOTHING(1, ReleaseExternalResourceImporter, "24", (OrtExternalResourceImporter* object), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(2, CanImportMemory, "24", (const OrtExternalResourceImporter* importer, OrtExternalMemoryHandleType handle_type, bool* supported), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(3, ImportMemory, "24", (OrtExternalResourceImporter* importer, const OrtExternalMemoryDescriptor* desc, OrtExternalMemoryHandle** handle), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
NOTHING(4, ReleaseExternalMemoryHandle, "24", (OrtExternalMemoryHandle* object), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(5, CreateTensorFromMemory, "24", (OrtExternalResourceImporter* importer, const OrtExternalMemoryHandle* mem_handle, const OrtExternalTensorDescriptor* tensor_desc, OrtValue** tensor), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(6, CanImportSemaphore, "24", (const OrtExternalResourceImporter* importer, OrtExternalSemaphoreType type, bool* supported), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(7, ImportSemaphore, "24", (OrtExternalResourceImporter* importer, const OrtExternalSemaphoreDescriptor* desc, OrtExternalSemaphoreHandle** handle), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
NOTHING(8, ReleaseExternalSemaphoreHandle, "24", (OrtExternalSemaphoreHandle* object), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(9, WaitSemaphore, "24", (OrtExternalResourceImporter* importer, OrtExternalSemaphoreHandle* semaphore_handle, OrtSyncStream* stream, uint64_t value), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(10, SignalSemaphore, "24", (OrtExternalResourceImporter* importer, OrtExternalSemaphoreHandle* semaphore_handle, OrtSyncStream* stream, uint64_t value), DROPIN, NO, "memory and fences of Direct3D, which this system does not have")
STATUS(11, InitGraphicsInteropForEpDevice, "25", (void), DROPIN, NO, "its signature is not published where this project looks")
STATUS(12, DeinitGraphicsInteropForEpDevice, "25", (void), DROPIN, NO, "its signature is not published where this project looks")
// clang-format on
#include "ort/slots_end.inl"
