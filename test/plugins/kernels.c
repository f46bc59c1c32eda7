// A provider library for tests that runs by kernels, on float32: Relu, Neg, Add, Conv (in both orders of channels), Transpose, Reshape (its shape
// on the host, its result in its input's memory) and Shape (its result on the host). Registered under NAME it offers "NAME", in host
// memory, whose Conv shares its packed filters, and "NAMEDevice", in memory that nobody else can use.
//
// Options (session entries "ep.<name in lower case>.<key>"):
//   layout=nhwc     prefers channels last      convert=yes|no   its own word on which operators; default: the host's
//   without=Add,Neg leaves these operators     second=no        takes nothing in channels-last order when asked again
//   greedy=1        takes what is shown as its own, kernel or not
//   fail=STEP       registry, make, nothing (the function gives no kernel), pack, compute, silent (an output is not made), add (the same
//                   kernel twice)
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

// What happened so far, for tests to look at.
typedef struct kernels_counters {
  atomic_int factories, providers, kernels, packed, allocators, transfers, blocks;  // alive
  atomic_int looks, shares, aliases, last_convs, first_convs, transposes, starts, ends;
} kernels_counters;
__attribute__((visibility("default"))) kernels_counters kernels_count;
#define DEVICE_COUNT kernels_count
#include "device.h"

#define NHWC "com.ms.internal.nhwc"
#define MOST_DIMS 8

// --- providers -------------------------------------------------------------------------------------------------------------------
typedef struct factory {
  OrtEpFactory table;
  char name[64];
  bool on_device;
  OrtMemoryInfo* info;  // of the device's memory
  OrtKernelRegistry* registry;
} factory;

typedef struct provider {
  OrtEp table;
  factory* from;
  char layout[8], convert[8], second[8], greedy[8], without[64], fail[32];
} provider;

static const char* own_name(const OrtEp* self) {
  return ((const provider*)(const void*)self)->from->name;
}
static bool fails(const provider* p, const char* step) { return strcmp(p->fail, step) == 0; }

static OrtStatus* read_options(provider* p, const OrtSessionOptions* options) {
  const char* name = p->from->name;
  TRY(read_option(options, name, "layout", p->layout, sizeof p->layout));
  TRY(read_option(options, name, "convert", p->convert, sizeof p->convert));
  TRY(read_option(options, name, "second", p->second, sizeof p->second));
  TRY(read_option(options, name, "greedy", p->greedy, sizeof p->greedy));
  TRY(read_option(options, name, "without", p->without, sizeof p->without));
  return read_option(options, name, "fail", p->fail, sizeof p->fail);
}

// --- tensors -----------------------------------------------------------------------------------------------------------------------
typedef struct tensor {
  void* data;  // where this library can reach it
  int64_t dims[MOST_DIMS];
  size_t rank, count;
} tensor;

static OrtStatus* look(const OrtValue* value, tensor* out) {
  OrtTensorTypeAndShapeInfo* info;
  *out = (tensor){0};
  TRY(api->GetTensorTypeAndShape(value, &info));
  OrtStatus* status = api->GetDimensionsCount(info, &out->rank);
  if (!status && out->rank > MOST_DIMS) status = fail("too many dimensions");
  if (!status) status = api->GetDimensions(info, out->dims, out->rank);
  if (!status) status = api->GetTensorShapeElementCount(info, &out->count);
  api->ReleaseTensorTypeAndShapeInfo(info);
  return status ? status : reach(value, &out->data);
}

// |data| NULL: there is no such input.
static OrtStatus* input(const OrtKernelContext* context, size_t index, tensor* out) {
  const OrtValue* value;
  *out = (tensor){0};
  TRY(api->KernelContext_GetInput(context, index, &value));
  return value ? look(value, out) : NULL;
}

static OrtStatus* output(OrtKernelContext* context, const int64_t* dims, size_t rank, tensor* out) {
  OrtValue* value;
  TRY(api->KernelContext_GetOutput(context, 0, dims, rank, &value));
  return value ? look(value, out) : fail("an output that every node has was not given");
}

// --- kernels -----------------------------------------------------------------------------------------------------------------------
typedef struct kernel {
  OrtKernelImpl table;
  const provider* from;
  char op[16];
  bool channels_last;
  int64_t list[MOST_DIMS];  // pads, or perm
  size_t list_count;
  float* packed;  // Conv: filters, channels last; of |packed_by|
  OrtAllocator* packed_by;
  bool shared;
  int64_t filter[4];
} kernel;

static bool is_op(const kernel* k, const char* op) { return strcmp(k->op, op) == 0; }

static void* reach_packed(const kernel* k, const void* p) {
  return k->from->from->on_device ? mangle((void*)(uintptr_t)p) : (void*)(uintptr_t)p;
}

static OrtStatus* run_unary(const kernel* k, OrtKernelContext* context) {
  tensor x, y;
  TRY(input(context, 0, &x));
  TRY(output(context, x.dims, x.rank, &y));
  for (size_t i = 0; i < x.count; ++i) {
    const float v = ((const float*)x.data)[i];
    ((float*)y.data)[i] = is_op(k, "Neg") ? -v : v > 0 ? v : 0;
  }
  return NULL;
}

// Equal shapes, or the second a single number.
static OrtStatus* run_add(OrtKernelContext* context) {
  tensor a, b, y;
  TRY(input(context, 0, &a));
  TRY(input(context, 1, &b));
  if (b.count != a.count && b.count != 1) return fail("Add of different shapes");
  TRY(output(context, a.dims, a.rank, &y));
  for (size_t i = 0; i < a.count; ++i)
    ((float*)y.data)[i] = ((const float*)a.data)[i] + ((const float*)b.data)[b.count == 1 ? 0 : i];
  return NULL;
}

static OrtStatus* run_reshape(OrtKernelContext* context) {
  tensor x, shape, y;
  int64_t dims[MOST_DIMS], known = 1;
  TRY(input(context, 0, &x));
  TRY(input(context, 1, &shape));
  for (size_t d = 0; d < shape.count; ++d) {
    dims[d] = ((const int64_t*)shape.data)[d];
    if (dims[d] == 0) dims[d] = x.dims[d];
    if (dims[d] > 0) known *= dims[d];
  }
  for (size_t d = 0; d < shape.count; ++d)
    if (dims[d] < 0) dims[d] = (int64_t)x.count / known;
  TRY(output(context, dims, shape.count, &y));
  if (y.data == x.data)
    ++kernels_count.aliases;
  else
    memcpy(y.data, x.data, x.count * sizeof(float));
  return NULL;
}

static OrtStatus* run_shape(OrtKernelContext* context) {
  tensor x, y;
  TRY(input(context, 0, &x));
  TRY(output(context, &(int64_t){(int64_t)x.rank}, 1, &y));
  memcpy(y.data, x.dims, x.rank * sizeof *x.dims);
  return NULL;
}

static OrtStatus* run_transpose(const kernel* k, OrtKernelContext* context) {
  tensor x, y;
  int64_t dims[MOST_DIMS], steps[MOST_DIMS], step = 1;
  TRY(input(context, 0, &x));
  if (k->list_count != x.rank) return fail("Transpose without its permutation");
  for (size_t d = x.rank; d-- > 0; step *= x.dims[d]) steps[d] = step;
  for (size_t d = 0; d < x.rank; ++d) dims[d] = x.dims[k->list[d]];
  TRY(output(context, dims, x.rank, &y));
  for (size_t i = 0; i < y.count; ++i) {
    size_t rest = i;
    int64_t at = 0;
    for (size_t d = y.rank; d-- > 0; rest /= (size_t)y.dims[d])
      at += (int64_t)(rest % (size_t)y.dims[d]) * steps[k->list[d]];
    ((float*)y.data)[i] = ((const float*)x.data)[at];
  }
  ++kernels_count.transposes;
  return NULL;
}

// --- Conv: strides and dilations of 1, one group ------------------------------------------------------------------------------------
typedef struct image {
  int64_t channels, height, width;
  bool last;
} image;

static size_t pixel(const image* i, int64_t c, int64_t y, int64_t x) {
  return (size_t)(i->last ? (y * i->width + x) * i->channels + c
                          : (c * i->height + y) * i->width + x);
}

static image image_of(const tensor* t, bool last) {
  return last ? (image){t->dims[3], t->dims[1], t->dims[2], true}
              : (image){t->dims[1], t->dims[2], t->dims[3], false};
}

static float dot(const float* x, const image* from, const float* w, const int64_t* filter,
                 int64_t top, int64_t left) {
  float sum = 0;
  for (int64_t i = 0; i < filter[2]; ++i)
    for (int64_t j = 0; j < filter[3]; ++j)
      for (int64_t c = 0; c < filter[1]; ++c) {
        const int64_t y = top + i, z = left + j;
        if (y < 0 || y >= from->height || z < 0 || z >= from->width) continue;
        sum += x[pixel(from, c, y, z)] * w[(i * filter[3] + j) * filter[1] + c];
      }
  return sum;
}

static OrtStatus* run_conv(const kernel* k, OrtKernelContext* context) {
  tensor x, w, b, y;
  TRY(input(context, 0, &x));
  TRY(input(context, 1, &w));
  TRY(input(context, 2, &b));
  if (w.data || !k->packed) return fail("Conv computes with packed filters alone");
  if (x.rank != 4) return fail("Conv of two dimensions alone");
  const float* packed = reach_packed(k, k->packed);
  const int64_t* pads = k->list;
  const image from = image_of(&x, k->channels_last);
  image to = {k->filter[0], from.height + pads[0] + pads[2] - k->filter[2] + 1,
              from.width + pads[1] + pads[3] - k->filter[3] + 1, k->channels_last};
  const int64_t first[] = {x.dims[0], to.channels, to.height, to.width};
  const int64_t last[] = {x.dims[0], to.height, to.width, to.channels};
  TRY(output(context, k->channels_last ? last : first, 4, &y));
  const size_t in_size = (size_t)(from.channels * from.height * from.width);
  const size_t out_size = (size_t)(to.channels * to.height * to.width);
  const size_t filter_size = (size_t)(k->filter[1] * k->filter[2] * k->filter[3]);
  for (int64_t n = 0; n < x.dims[0]; ++n)
    for (int64_t c = 0; c < to.channels; ++c)
      for (int64_t i = 0; i < to.height; ++i)
        for (int64_t j = 0; j < to.width; ++j)
          ((float*)y.data)[(size_t)n * out_size + pixel(&to, c, i, j)] =
              (b.data ? ((const float*)b.data)[c] : 0) +
              dot((const float*)x.data + (size_t)n * in_size, &from,
                  packed + (size_t)c * filter_size, k->filter, i - pads[0], j - pads[1]);
  ++*(k->channels_last ? &kernels_count.last_convs : &kernels_count.first_convs);
  return NULL;
}

static OrtStatus* compute(OrtKernelImpl* self, OrtKernelContext* context) {
  const kernel* k = (const kernel*)(void*)self;
  if (fails(k->from, "compute")) return fail("it was told to fail when it computes");
  if (fails(k->from, "silent")) return NULL;
  if (is_op(k, "Relu") || is_op(k, "Neg")) return run_unary(k, context);
  if (is_op(k, "Add")) return run_add(context);
  if (is_op(k, "Reshape")) return run_reshape(context);
  if (is_op(k, "Shape")) return run_shape(context);
  return is_op(k, "Transpose") ? run_transpose(k, context) : run_conv(k, context);
}

// --- packed filters ---------------------------------------------------------------------------------------------------------------
static void pack_filters(const tensor* w, float* to) {
  const int64_t channels = w->dims[1], area = w->dims[2] * w->dims[3];
  for (int64_t o = 0; o < w->dims[0]; ++o)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < area; ++p)
        to[(o * area + p) * channels + c] = ((const float*)w->data)[(o * channels + c) * area + p];
}

static OrtStatus* pack(OrtKernelImpl* self, const OrtValue* value, int index,
                       OrtAllocator* allocator, OrtSharedPrePackedWeightCache* cache,
                       bool* is_packed) {
  kernel* k = (kernel*)(void*)self;
  tensor w;
  *is_packed = false;
  if (fails(k->from, "pack")) return fail("it was told to fail when it packs");
  if (!is_op(k, "Conv") || index != 1) return NULL;
  TRY(look(value, &w));
  if (w.rank != 4) return fail("filters of two dimensions alone");
  size_t size = w.count * sizeof(float);
  void* buffer = allocator->Alloc(allocator, size);
  if (!buffer) return fail("no memory");
  memcpy(k->filter, w.dims, sizeof k->filter);
  pack_filters(&w, reach_packed(k, buffer));
  *is_packed = true;
  if (cache) {
    k->shared = true;
    return ep_api->SharedPrePackedWeightCache_StoreWeightData(cache, &buffer, &size, 1);
  }
  k->packed = buffer;
  k->packed_by = allocator;
  ++kernels_count.packed;
  return NULL;
}

static OrtStatus* take_shared(OrtKernelImpl* self, const void* const* buffers, const size_t* sizes,
                              size_t count, int index) {
  kernel* k = (kernel*)(void*)self;
  if (!k->shared || count != 1 || index != 1 || !sizes[0])
    return fail("shared weights that nobody packed");
  k->packed = (float*)(uintptr_t)buffers[0];
  ++kernels_count.shares;
  return NULL;
}

// --- making kernels ---------------------------------------------------------------------------------------------------------------
static void release_kernel(OrtKernelImpl* self) {
  kernel* k = (kernel*)(void*)self;
  if (k->packed_by) {
    k->packed_by->Free(k->packed_by, k->packed);
    --kernels_count.packed;
  }
  --kernels_count.kernels;
  free(k);
}

// An attribute that is not there is an error to pass over.
static OrtStatus* read_list(const OrtKernelInfo* info, const char* name, kernel* k) {
  size_t count = 0;
  OrtStatus* status = api->KernelInfoGetAttributeArray_int64(info, name, NULL, &count);
  if (status) {
    api->ReleaseStatus(status);
    return NULL;
  }
  if (count > MOST_DIMS) return fail("a list that is too long");
  k->list_count = count;
  return api->KernelInfoGetAttributeArray_int64(info, name, k->list, &count);
}

static OrtStatus* fill_kernel(kernel* k, const OrtKernelInfo* info) {
  const OrtEp* ep;
  size_t size = sizeof k->op;
  char domain[64];
  TRY(ep_api->KernelInfo_GetEp(info, &ep));
  k->from = (const provider*)(const void*)ep;
  TRY(api->KernelInfo_GetOperatorType(info, k->op, &size));
  size = sizeof domain;
  TRY(api->KernelInfo_GetOperatorDomain(info, domain, &size));
  k->channels_last = strcmp(domain, NHWC) == 0;
  TRY(read_list(info, is_op(k, "Transpose") ? "perm" : "pads", k));
  return fails(k->from, "make") ? fail("it was told to fail when it makes a kernel") : NULL;
}

static OrtStatus* make_kernel(void* state, const OrtKernelInfo* info, OrtKernelImpl** out) {
  if (state != &kernels_count) return fail("the state of the kernel's function is another");
  kernel* k = calloc(1, sizeof *k);
  if (!k) return fail("no memory");
  k->table = (OrtKernelImpl){.ort_version_supported = 24,
                             .Compute = compute,
                             .Release = release_kernel,
                             .PrePackWeight = pack,
                             .SetSharedPrePackedWeight = take_shared};
  OrtStatus* status = fill_kernel(k, info);
  if (status || fails(k->from, "nothing")) {
    free(k);
    return status;
  }
  ++kernels_count.kernels;
  *out = &k->table;
  return NULL;
}

// --- the registry ------------------------------------------------------------------------------------------------------------------
typedef struct kernel_row {
  const char *domain, *op;
  int since, until;
  bool reshapes, tells_shape;
} kernel_row;

static const kernel_row rows[] = {
    {"", "Relu", 6, 13, false, false},    {"", "Relu", 14, INT_MAX, false, false},
    {"", "Neg", 6, 12, false, false},     {"", "Neg", 13, INT_MAX, false, false},
    {"", "Add", 7, 13, false, false},     {"", "Add", 14, INT_MAX, false, false},
    {"", "Conv", 1, 10, false, false},    {"", "Conv", 11, 21, false, false},
    {NHWC, "Conv", 11, 21, false, false}, {"", "Transpose", 1, 20, false, false},
    {"", "Reshape", 5, 18, true, false},  {"", "Shape", 1, 18, false, true},
};

static OrtStatus* fill_builder(OrtKernelDefBuilder* builder, const kernel_row* row,
                               const char* name) {
  const OrtDataType* type;
  const int zero = 0;
  TRY(ep_api->GetTensorDataType(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &type));
  TRY(ep_api->KernelDefBuilder_SetOperatorType(builder, row->op));
  TRY(ep_api->KernelDefBuilder_SetDomain(builder, row->domain));
  TRY(ep_api->KernelDefBuilder_SetSinceVersion(builder, row->since, row->until));
  TRY(ep_api->KernelDefBuilder_SetExecutionProvider(builder, name));
  TRY(ep_api->KernelDefBuilder_AddTypeConstraint(builder, "T", &type, 1));
  if (row->tells_shape)
    TRY(ep_api->KernelDefBuilder_SetOutputMemType(builder, 0, OrtMemTypeCPUOutput));
  if (!row->reshapes) return NULL;
  TRY(ep_api->KernelDefBuilder_SetInputMemType(builder, 1, OrtMemTypeCPUInput));
  return ep_api->KernelDefBuilder_AddInputOutputAliases(builder, &zero, &zero, 1);
}

static OrtStatus* add_row(OrtKernelRegistry* registry, const kernel_row* row, const char* name) {
  OrtKernelDefBuilder* builder = NULL;
  OrtKernelDef* def = NULL;
  OrtStatus* status = ep_api->CreateKernelDefBuilder(&builder);
  if (!status) status = fill_builder(builder, row, name);
  if (!status) status = ep_api->KernelDefBuilder_Build(builder, &def);
  if (!status)
    status = ep_api->KernelRegistry_AddKernel(registry, def, make_kernel, &kernels_count);
  ep_api->ReleaseKernelDef(def);
  ep_api->ReleaseKernelDefBuilder(builder);
  return status;
}

static OrtStatus* get_registry(OrtEp* self, const OrtKernelRegistry** out) {
  const provider* p = (const provider*)(void*)self;
  *out = p->from->registry;
  if (fails(p, "add")) return add_row(p->from->registry, &rows[0], p->from->name);
  return fails(p, "registry") ? fail("it was told to fail when it is asked for kernels") : NULL;
}

// --- what it would run -----------------------------------------------------------------------------------------------------------
static OrtStatus* choose(const provider* p, OrtEpGraphSupportInfo* support, const OrtNode* node) {
  const OrtKernelDef* def;
  const char *op, *domain, *owner;
  TRY(api->Node_GetEpName(node, &owner));
  if (p->greedy[0] && owner && strcmp(owner, p->from->name) == 0)
    return ep_api->EpGraphSupportInfo_AddSingleNode(support, node);
  TRY(ep_api->EpGraphSupportInfo_LookUpKernel(support, node, &def));
  TRY(api->Node_GetOperatorType(node, &op));
  TRY(api->Node_GetDomain(node, &domain));
  if (!def || strstr(p->without, op) || (p->second[0] && strcmp(domain, NHWC) == 0)) return NULL;
  if (strcmp(ep_api->KernelDef_GetOperatorType(def), op) != 0)
    return fail("a kernel of another operator");
  return ep_api->EpGraphSupportInfo_AddSingleNode(support, node);
}

static OrtStatus* get_capability(OrtEp* self, const OrtGraph* graph,
                                 OrtEpGraphSupportInfo* support) {
  size_t count;
  ++kernels_count.looks;
  TRY(api->Graph_GetNumNodes(graph, &count));
  const OrtNode** nodes = calloc(count + 1, sizeof *nodes);
  if (!nodes) return fail("no memory");
  OrtStatus* status = api->Graph_GetNodes(graph, nodes, count);
  for (size_t i = 0; !status && i < count; ++i)
    status = choose((const provider*)(void*)self, support, nodes[i]);
  free(nodes);
  return status;
}

static OrtStatus* get_layout(OrtEp* self, OrtEpDataLayout* out) {
  const bool last = strcmp(((const provider*)(void*)self)->layout, "nhwc") == 0;
  *out = last ? OrtEpDataLayout_NHWC : OrtEpDataLayout_NCHW;
  return NULL;
}

static OrtStatus* should_convert(OrtEp* self, const char* domain, const char* op,
                                 OrtEpDataLayout target, int* out) {
  const provider* p = (const provider*)(void*)self;
  const bool conv = !domain[0] && strcmp(op, "Conv") == 0 && target == OrtEpDataLayout_NHWC;
  *out = !p->convert[0] ? -1 : strcmp(p->convert, "yes") == 0 && conv;
  return NULL;
}

static OrtStatus* run_start(OrtEp* self, const OrtRunOptions* options) {
  (void)self, (void)options;
  ++kernels_count.starts;
  return NULL;
}
static OrtStatus* run_end(OrtEp* self, const OrtRunOptions* options, bool sync) {
  (void)self, (void)options, (void)sync;
  ++kernels_count.ends;
  return NULL;
}

// --- factories -------------------------------------------------------------------------------------------------------------------
static const char* factory_name(const OrtEpFactory* self) {
  return ((const factory*)(const void*)self)->name;
}
static const char* factory_vendor(const OrtEpFactory* self) {
  (void)self;
  return "Kapell's tests";
}

static OrtStatus* get_devices(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                              size_t count, OrtEpDevice** out, size_t most, size_t* out_count) {
  const factory* f = (const factory*)(void*)self;
  *out_count = 0;
  if (count == 0 || most == 0) return NULL;
  TRY(ep_api->CreateEpDevice(self, devices[0], NULL, NULL, &out[0]));
  *out_count = 1;
  return f->on_device ? ep_api->EpDevice_AddAllocatorInfo(out[0], f->info) : NULL;
}

static OrtStatus* create_ep(OrtEpFactory* self, const OrtHardwareDevice* const* devices,
                            const OrtKeyValuePairs* const* metadata, size_t count,
                            const OrtSessionOptions* options, const OrtLogger* logger,
                            OrtEp** out) {
  (void)devices, (void)metadata, (void)count, (void)logger;
  provider* p = calloc(1, sizeof *p);
  if (!p) return fail("no memory");
  p->from = (factory*)(void*)self;
  p->table = (OrtEp){.ort_version_supported = 24,
                     .GetName = own_name,
                     .GetCapability = get_capability,
                     .GetPreferredDataLayout = get_layout,
                     .ShouldConvertDataLayoutForOp = should_convert,
                     .OnRunStart = run_start,
                     .OnRunEnd = run_end,
                     .GetKernelRegistry = get_registry};
  OrtStatus* status = read_options(p, options);
  if (status) {
    free(p);
    return status;
  }
  ++kernels_count.providers;
  *out = &p->table;
  return NULL;
}

static void release_ep(OrtEpFactory* self, OrtEp* ep) {
  (void)self;
  --kernels_count.providers;
  free(ep);
}

static OrtStatus* fill_factory(factory* f) {
  if (f->on_device)
    TRY(api->CreateMemoryInfo_V2("KernelMemory", OrtMemoryInfoDeviceType_GPU, 0x1234, 0,
                                 OrtDeviceMemoryType_DEFAULT, 64, OrtDeviceAllocator, &f->info));
  TRY(ep_api->CreateKernelRegistry(&f->registry));
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
    TRY(add_row(f->registry, &rows[i], f->name));
  return NULL;
}

static OrtStatus* make_factory(const char* name, bool on_device, OrtEpFactory** out) {
  factory* f = calloc(1, sizeof *f);
  if (!f) return fail("no memory");
  snprintf(f->name, sizeof f->name, "%s%s", name, on_device ? "Device" : "");
  f->on_device = on_device;
  f->table = (OrtEpFactory){.ort_version_supported = 24,
                            .GetName = factory_name,
                            .GetVendor = factory_vendor,
                            .GetSupportedDevices = get_devices,
                            .CreateEp = create_ep,
                            .ReleaseEp = release_ep};
  if (on_device) {
    f->table.CreateAllocator = create_allocator;
    f->table.ReleaseAllocator = release_allocator;
    f->table.CreateDataTransfer = create_transfer;
  }
  ++kernels_count.factories;
  *out = &f->table;
  return fill_factory(f);
}

EXPORT OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base,
                                    const OrtLogger* logger, OrtEpFactory** factories, size_t most,
                                    size_t* count);
EXPORT OrtStatus* ReleaseEpFactory(OrtEpFactory* self);

OrtStatus* CreateEpFactories(const char* name, const OrtApiBase* base, const OrtLogger* logger,
                             OrtEpFactory** factories, size_t most, size_t* count) {
  (void)logger;
  api = base->GetApi(24);
  ep_api = api->GetEpApi();
  *count = 0;
  if (most < 2) return fail("it offers two providers");
  TRY(make_factory(name, false, &factories[0]));
  TRY(make_factory(name, true, &factories[1]));
  *count = 2;
  return NULL;
}

OrtStatus* ReleaseEpFactory(OrtEpFactory* self) {
  factory* f = (factory*)(void*)self;
  ep_api->ReleaseKernelRegistry(f->registry);
  api->ReleaseMemoryInfo(f->info);
  --kernels_count.factories;
  free(f);
  return NULL;
}
