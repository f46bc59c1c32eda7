// A library of providers for tests: runs Add of float tensors of one shape on the CPU, one node a group, and misbehaves on demand. The name that
// it is registered under says how (the part before the first '-'), and is what its provider is called: "plain-x" is a provider that works,
// "zerofactories-x" offers none. The table |faults| has all of them.
#include <stdlib.h>
#include <string.h>

#include "ort/abi.h"

#define EXPORT __attribute__((visibility("default")))

typedef enum fault {
  PLAIN,
  FAIL_FACTORIES,  // CreateEpFactories answers an error
  ZERO_FACTORIES,  // no factory, and no error
  MANY_FACTORIES,  // says that it made more than there was room for
  NULL_FACTORY,    // says that it made one, and did not
  OLD,             // states API 22, with members beyond it that must not be called
  NO_GET_NAME,     // lacks a function that every factory has
  NULL_NAME,       // has no name
  UNSET_MEMBERS,   // version and the members that it does not have are as memory was
  FAIL_DEVICES,    // GetSupportedDevices answers an error
  FOREIGN_DEVICE,  // a device that the host did not make
  MANY_DEVICES,    // says that it has more than there was room for
  NO_DEVICES,
  GPU_ONLY,
  WITH_MEMORY,    // has an allocator and a data transfer
  BAD_ALLOCATOR,  // whose allocator lacks its functions
  FAIL_EP,        // CreateEp answers an error
  FAIL_COMPILE,
  FAIL_COMPUTE,
  VIRTUAL  // with a device that it makes itself, where the host allows that
} fault;

static const struct {
  const char* name;
  fault fault;
} faults[] = {{"failfactories", FAIL_FACTORIES},
              {"zerofactories", ZERO_FACTORIES},
              {"manyfactories", MANY_FACTORIES},
              {"nullfactory", NULL_FACTORY},
              {"old", OLD},
              {"nogetname", NO_GET_NAME},
              {"nullname", NULL_NAME},
              {"unsetmembers", UNSET_MEMBERS},
              {"faildevices", FAIL_DEVICES},
              {"foreigndevice", FOREIGN_DEVICE},
              {"manydevices", MANY_DEVICES},
              {"nodevices", NO_DEVICES},
              {"gpuonly", GPU_ONLY},
              {"withmemory", WITH_MEMORY},
              {"badallocator", BAD_ALLOCATOR},
              {"failep", FAIL_EP},
              {"failcompile", FAIL_COMPILE},
              {"failcompute", FAIL_COMPUTE},
              {"virtual", VIRTUAL}};

typedef struct adder_factory {
  OrtEpFactory table;  // first
  fault fault;
  char name[128];
  OrtMemoryInfo* memory;
  OrtHardwareDevice* device;  // VIRTUAL
} adder_factory;

typedef struct adder_ep {
  OrtEp table;  // first
  adder_factory* factory;
} adder_ep;

static const OrtApi* api;

static OrtStatus* fail(const char* words) { return api->CreateStatus(ORT_FAIL, words); }

// --- allocator and data transfer -----------------------------------------------------------------------------------------------------
typedef struct adder_allocator {
  OrtAllocator table;
  const OrtMemoryInfo* info;
} adder_allocator;

static void* allocate(OrtAllocator* self, size_t size) {
  return (void)self, malloc(size ? size : 1);
}
static void release_memory(OrtAllocator* self, void* memory) { (void)self, free(memory); }
static const OrtMemoryInfo* info_of(const OrtAllocator* self) {
  return ((const adder_allocator*)(const void*)self)->info;
}

static OrtStatus* create_allocator(OrtEpFactory* self, const OrtMemoryInfo* info,
                                   const OrtKeyValuePairs* options, OrtAllocator** out) {
  adder_allocator* made = calloc(1, sizeof(*made));
  (void)options;
  if (!made) return fail("no memory");
  made->info = info;
  made->table.version = 24;
  if (((adder_factory*)(void*)self)->fault != BAD_ALLOCATOR) {
    made->table.Alloc = allocate;
    made->table.Free = release_memory;
    made->table.Info = info_of;
  }
  *out = &made->table;
  return NULL;
}

static void release_allocator(OrtEpFactory* self, OrtAllocator* allocator) {
  (void)self, free(allocator);
}

static bool can_copy(const OrtDataTransferImpl* self, const OrtMemoryDevice* from,
                     const OrtMemoryDevice* to) {
  return (void)self, (void)from, (void)to, true;
}
static OrtStatus* copy_tensors(OrtDataTransferImpl* self, const OrtValue** from, OrtValue** to,
                               OrtSyncStream** streams, size_t count) {
  (void)self, (void)streams;
  for (size_t i = 0; i < count; ++i) {
    const void* source;
    void* target;
    size_t size;
    OrtStatus* status = api->GetTensorData(from[i], &source);
    if (!status) status = api->GetTensorMutableData(to[i], &target);
    if (!status) status = api->GetTensorSizeInBytes(from[i], &size);
    if (status) return status;
    memcpy(target, source, size);
  }
  return NULL;
}
static void release_transfer(OrtDataTransferImpl* self) { free(self); }

static OrtStatus* create_transfer(OrtEpFactory* self, OrtDataTransferImpl** out) {
  *out = NULL;
  if (((adder_factory*)(void*)self)->fault != WITH_MEMORY) return NULL;
  OrtDataTransferImpl* made = calloc(1, sizeof(*made));
  if (!made) return fail("no memory");
  *made = (OrtDataTransferImpl){.ort_version_supported = 24,
                                .Release = release_transfer,
                                .CanCopy = can_copy,
                                .CopyTensors = copy_tensors};
  *out = made;
  return NULL;
}

// --- the provider in a session -------------------------------------------------------------------------------------------------------
static const char* ep_name(const OrtEp* self) {
  return ((const adder_ep*)(const void*)self)->factory->name;
}

static OrtStatus* get_capability(OrtEp* self, const OrtGraph* graph,
                                 OrtEpGraphSupportInfo* support) {
  size_t count = 0;
  (void)self;
  OrtStatus* status = api->Graph_GetNumNodes(graph, &count);
  const OrtNode** nodes = calloc(count + 1, sizeof(*nodes));
  if (!status && nodes) status = api->Graph_GetNodes(graph, nodes, count);
  for (size_t i = 0; i < count && nodes && !status; ++i) {
    const char* op = NULL;
    status = api->Node_GetOperatorType(nodes[i], &op);
    const OrtNodeFusionOptions options = {.ort_version_supported = 24};
    if (!status && strcmp(op, "Add") == 0)
      status = api->GetEpApi()->EpGraphSupportInfo_AddNodesToFuse(support, &nodes[i], 1, &options);
  }
  free(nodes);
  return status;
}

static OrtStatus* create_state(OrtNodeComputeInfo* self, OrtNodeComputeContext* context,
                               void** state) {
  (void)self, (void)context;
  *state = NULL;
  return NULL;
}

static OrtStatus* add(OrtKernelContext* context) {
  const OrtValue *a, *b;
  OrtValue* y;
  OrtTensorTypeAndShapeInfo* info;
  size_t rank, count = 0, size_a, size_b;
  int64_t dims[8];
  const void *from_a, *from_b;
  void* to;
  OrtStatus* status = api->KernelContext_GetInput(context, 0, &a);
  if (!status) status = api->KernelContext_GetInput(context, 1, &b);
  if (!status) status = api->GetTensorSizeInBytes(a, &size_a);
  if (!status) status = api->GetTensorSizeInBytes(b, &size_b);
  if (!status && size_a != size_b) status = fail("sums of one shape alone");
  if (!status) status = api->GetTensorTypeAndShape(a, &info);
  if (status) return status;
  status = api->GetDimensionsCount(info, &rank);
  if (!status && rank > 8) status = fail("more than 8 dimensions");
  if (!status) status = api->GetDimensions(info, dims, rank);
  if (!status) status = api->GetTensorShapeElementCount(info, &count);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (!status) status = api->KernelContext_GetOutput(context, 0, dims, rank, &y);
  if (!status) status = api->GetTensorData(a, &from_a);
  if (!status) status = api->GetTensorData(b, &from_b);
  if (!status) status = api->GetTensorMutableData(y, &to);
  for (size_t i = 0; i < count && !status; ++i)
    ((float*)to)[i] = ((const float*)from_a)[i] + ((const float*)from_b)[i];
  return status;
}

static OrtStatus* compute(OrtNodeComputeInfo* self, void* state, OrtKernelContext* context) {
  (void)self, (void)state;
  return add(context);
}
static OrtStatus* compute_nothing(OrtNodeComputeInfo* self, void* state,
                                  OrtKernelContext* context) {
  (void)self, (void)state, (void)context;
  return fail("the device went away");
}
static void release_state(OrtNodeComputeInfo* self, void* state) { (void)self, (void)state; }

static OrtStatus* compile(OrtEp* self, const OrtGraph** graphs, const OrtNode** fused, size_t count,
                          OrtNodeComputeInfo** out, OrtNode** context_nodes) {
  const fault wanted = ((adder_ep*)(void*)self)->factory->fault;
  (void)graphs, (void)fused, (void)context_nodes;
  if (wanted == FAIL_COMPILE) return fail("the compiler has a bad day");
  for (size_t i = 0; i < count; ++i) {
    out[i] = calloc(1, sizeof(**out));
    if (!out[i]) return fail("no memory");
    *out[i] = (OrtNodeComputeInfo){.ort_version_supported = 24,
                                   .CreateState = create_state,
                                   .Compute = wanted == FAIL_COMPUTE ? compute_nothing : compute,
                                   .ReleaseState = release_state};
  }
  return NULL;
}

static void release_infos(OrtEp* self, OrtNodeComputeInfo** infos, size_t count) {
  (void)self;
  for (size_t i = 0; i < count; ++i) free(infos[i]);
}

// --- the factory ---------------------------------------------------------------------------------------------------------------------
static const char* factory_name(const OrtEpFactory* self) {
  return ((const adder_factory*)(const void*)self)->name;
}
static const char* no_name(const OrtEpFactory* self) { return (void)self, NULL; }
static const char* vendor(const OrtEpFactory* self) { return (void)self, "Kapell's tests"; }
static const char* version(const OrtEpFactory* self) { return (void)self, "1.2.3"; }

static OrtStatus* make_device(adder_factory* f, const OrtHardwareDevice* hardware,
                              OrtEpDevice** out) {
  const OrtEpApi* ep = api->GetEpApi();
  OrtKeyValuePairs *metadata = NULL, *options = NULL;
  api->CreateKeyValuePairs(&metadata);
  api->AddKeyValuePair(metadata, "speed", "fast");
  api->CreateKeyValuePairs(&options);
  api->AddKeyValuePair(options, "from_device", "yes");
  OrtStatus* status = ep->CreateEpDevice(&f->table, hardware, metadata, options, out);
  api->ReleaseKeyValuePairs(metadata);
  api->ReleaseKeyValuePairs(options);
  if (!status && (f->fault == WITH_MEMORY || f->fault == BAD_ALLOCATOR))
    status = ep->EpDevice_AddAllocatorInfo(*out, f->memory);
  return status;
}

static bool virtual_allowed(void) {
  OrtKeyValuePairs* entries = NULL;
  OrtStatus* status = api->GetEpApi()->GetEnvConfigEntries(&entries);
  const char* text = status ? NULL : api->GetKeyValue(entries, "allow_virtual_devices");
  const bool allowed = text && strcmp(text, "1") == 0;
  api->ReleaseStatus(status);
  api->ReleaseKeyValuePairs(entries);
  return allowed;
}

static OrtStatus* get_devices(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                              size_t count, OrtEpDevice** out, size_t most, size_t* out_count) {
  adder_factory* f = (adder_factory*)(void*)self;
  const OrtHardwareDeviceType wanted =
      f->fault == GPU_ONLY ? OrtHardwareDeviceType_GPU : OrtHardwareDeviceType_CPU;
  *out_count = 0;
  if (f->fault == FAIL_DEVICES) return fail("the driver is asleep");
  if (f->fault == NO_DEVICES) return NULL;
  if (f->fault == MANY_DEVICES) return *out_count = most + 1, NULL;
  if (f->fault == FOREIGN_DEVICE) {
    static char something[512];
    out[(*out_count)++] = (OrtEpDevice*)(void*)something;
    return NULL;
  }
  for (size_t i = 0; i < count && *out_count < most; ++i) {
    if (api->HardwareDevice_Type(devices[i]) != wanted) continue;
    OrtStatus* status = make_device(f, devices[i], &out[*out_count]);
    if (status) return status;
    ++*out_count;
  }
  if (f->fault != VIRTUAL || !virtual_allowed()) return NULL;
  OrtStatus* status = api->GetEpApi()->CreateHardwareDevice(OrtHardwareDeviceType_NPU, 0x1234, 1,
                                                            "Imaginary", NULL, &f->device);
  if (!status) status = make_device(f, f->device, &out[*out_count]);
  if (!status) ++*out_count;
  return status;
}

static OrtStatus* configure(OrtEp* self, const char* const* keys, const char* const* values,
                            size_t count) {
  (void)self;
  for (size_t i = 0; i < count; ++i)
    if (strcmp(keys[i], "ep.dynamic.speed") != 0 || strcmp(values[i], "fast") != 0)
      return fail("no such speed");
  return NULL;
}

static OrtStatus* tell_incompatibility(OrtEpFactory* self, const OrtHardwareDevice* device,
                                       OrtDeviceEpIncompatibilityDetails* details) {
  (void)self;
  if (api->HardwareDevice_Type(device) == OrtHardwareDeviceType_CPU) return NULL;
  return api->GetEpApi()->DeviceEpIncompatibilityDetails_SetDetails(
      details, OrtDeviceEpIncompatibility_DEVICE_INCOMPATIBLE, 7, "sums are for processors");
}

static OrtStatus* validate(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                           size_t count, const char* info, OrtCompiledModelCompatibility* out) {
  (void)self, (void)devices, (void)count;
  *out = strcmp(info, "mine") == 0 ? OrtCompiledModelCompatibility_EP_SUPPORTED_OPTIMAL
                                   : OrtCompiledModelCompatibility_EP_UNSUPPORTED;
  return NULL;
}

static OrtStatus* create_ep(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                            const OrtKeyValuePairs* const* metadata, size_t count,
                            const OrtSessionOptions* options, const OrtLogger* logger,
                            OrtEp** out) {
  adder_factory* f = (adder_factory*)(void*)self;
  (void)devices, (void)metadata, (void)options;
  *out = NULL;
  if (f->fault == FAIL_EP) return fail("out of licences");
  if (count != 1) return fail("one device is wanted");
  OrtStatus* status = api->Logger_LogMessage(logger, ORT_LOGGING_LEVEL_INFO, "making a provider",
                                             __FILE__, __LINE__, __func__);
  adder_ep* ep = status ? NULL : calloc(1, sizeof(*ep));
  if (!ep) return status ? status : fail("no memory");
  ep->factory = f;
  ep->table = (OrtEp){.ort_version_supported = 24,
                      .GetName = ep_name,
                      .GetCapability = get_capability,
                      .Compile = compile,
                      .ReleaseNodeComputeInfos = release_infos,
                      .SetDynamicOptions = configure};
  *out = &ep->table;
  return NULL;
}

static void release_ep(OrtEpFactory* self, OrtEp* ep) { (void)self, free(ep); }

static void never(void) { abort(); }

static void fill(adder_factory* f) {
  OrtEpFactory* t = &f->table;
  t->ort_version_supported = 24;
  t->GetName = f->fault == NO_GET_NAME ? NULL : f->fault == NULL_NAME ? no_name : factory_name;
  t->GetVendor = vendor;
  t->GetSupportedDevices = get_devices;
  t->CreateEp = create_ep;
  t->ReleaseEp = release_ep;
  t->GetVersion = version;
  t->CreateAllocator = create_allocator;
  t->ReleaseAllocator = release_allocator;
  t->CreateDataTransfer = create_transfer;
  t->GetHardwareDeviceIncompatibilityDetails = tell_incompatibility;
  t->ValidateCompiledModelCompatibilityInfo = validate;
  if (f->fault == OLD) {
    t->ort_version_supported = 22;
    memcpy(&t->GetVersion, &(void (*)(void)){never}, sizeof(void*));
    memcpy(&t->CreateDataTransfer, &(void (*)(void)){never}, sizeof(void*));
  }
  if (f->fault == UNSET_MEMBERS) {
    static char data[] = "not code";
    t->ort_version_supported = 0xdeadbeef;
    void* const garbage[] = {data, f, (void*)(uintptr_t)0x123456789abcdef0};
    memcpy(&t->CreateDataTransfer, &garbage[0], sizeof(void*));
    memcpy(&t->IsStreamAware, &garbage[1], sizeof(void*));
    memcpy(&t->GetNumCustomOpDomains, &garbage[2], sizeof(void*));
  }
}

EXPORT OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base,
                                    const OrtLogger* logger, OrtEpFactory** out, size_t most,
                                    size_t* out_count);
EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* factory);

OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base, const OrtLogger* logger,
                             OrtEpFactory** out, size_t most, size_t* out_count) {
  OrtLoggingLevel level;
  fault wanted = PLAIN;
  api = base->GetApi(24);
  *out_count = 0;
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; ++i)
    if (strncmp(name, faults[i].name, strlen(faults[i].name)) == 0) wanted = faults[i].fault;
  OrtStatus* status = api->Logger_GetLoggingSeverityLevel(logger, &level);
  if (status) return status;
  if (wanted == FAIL_FACTORIES) return fail("the library is out of order");
  if (wanted == ZERO_FACTORIES) return NULL;
  if (wanted == MANY_FACTORIES) return *out_count = most + 5, NULL;
  if (wanted == NULL_FACTORY) return out[0] = NULL, *out_count = 1, NULL;
  adder_factory* f = calloc(1, sizeof(*f));
  if (!f) return fail("no memory");
  f->fault = wanted;
  strncpy(f->name, name, sizeof f->name - 1);
  fill(f);
  status = api->CreateMemoryInfo_V2("AdderMemory", OrtMemoryInfoDeviceType_GPU, 0x1234, 0,
                                    OrtDeviceMemoryType_DEFAULT, 0, OrtDeviceAllocator, &f->memory);
  if (status) return free(f), status;
  out[0] = &f->table;
  *out_count = 1;
  return NULL;
}

OrtStatus* ReleaseEpFactory(OrtEpFactory* factory) {
  adder_factory* f = (adder_factory*)(void*)factory;
  api->ReleaseMemoryInfo(f->memory);
  api->GetEpApi()->ReleaseHardwareDevice(f->device);
  free(f);
  return NULL;
}
