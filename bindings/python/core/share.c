// Memory shared with others: DLPack, views of another type, sparse tensors. Written after the specification of DLPack 1.2; both
// capsules are read and written, "dltensor" and the one that carries a version and flags.
//
// Lifetimes: a tensor given away holds a reference on its value, a value taken holds the other library's tensor and calls its deleter
// when the last reference goes. Deleters may be called on any thread, without the interpreter lock; those of Python libraries take it.
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define MOST_DIMS 32

typedef struct dl_device {
  int32_t type, id;
} dl_device;

typedef struct dl_type {
  uint8_t code, bits;
  uint16_t lanes;
} dl_type;

typedef struct dl_tensor {
  void* data;
  dl_device device;
  int32_t ndim;
  dl_type type;
  int64_t* shape;
  int64_t* strides;  // in elements; NULL: dense, row-major
  uint64_t byte_offset;
} dl_tensor;

typedef struct dl_managed {
  dl_tensor tensor;
  void* context;
  void (*deleter)(struct dl_managed* self);
} dl_managed;

typedef struct dl_versioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(struct dl_versioned* self);
  uint64_t flags;
  dl_tensor tensor;
} dl_versioned;

enum { DEVICE_CPU = 1, DEVICE_CUDA_HOST = 3 };
enum {
  FLAG_READ_ONLY = 1,
  FLAG_COPIED = 2,
  FLAG_PADDED = 4
};  // padded: elements of less than a byte take one each

static const char kName[] = "dltensor", kUsed[] = "used_dltensor";
static const char kVersionedName[] = "dltensor_versioned",
                  kVersionedUsed[] = "used_dltensor_versioned";

// --- element types ------------------------------------------------------------------------------------------------------------
static const struct {
  kapell_type type;
  uint8_t code, bits;
} kTypes[] = {
    {KAPELL_INT8, 0, 8},
    {KAPELL_INT16, 0, 16},
    {KAPELL_INT32, 0, 32},
    {KAPELL_INT64, 0, 64},
    {KAPELL_INT4, 0, 4},
    {KAPELL_INT2, 0, 2},
    {KAPELL_UINT8, 1, 8},
    {KAPELL_UINT16, 1, 16},
    {KAPELL_UINT32, 1, 32},
    {KAPELL_UINT64, 1, 64},
    {KAPELL_UINT4, 1, 4},
    {KAPELL_UINT2, 1, 2},
    {KAPELL_FLOAT16, 2, 16},
    {KAPELL_FLOAT, 2, 32},
    {KAPELL_DOUBLE, 2, 64},
    {KAPELL_BFLOAT16, 4, 16},
    {KAPELL_COMPLEX64, 5, 64},
    {KAPELL_COMPLEX128, 5, 128},
    {KAPELL_BOOL, 6, 8},
    {KAPELL_FLOAT8E4M3FN, 10, 8},
    {KAPELL_FLOAT8E4M3FNUZ, 11, 8},
    {KAPELL_FLOAT8E5M2, 12, 8},
    {KAPELL_FLOAT8E5M2FNUZ, 13, 8},
    {KAPELL_FLOAT8E8M0, 14, 8},
    {KAPELL_FLOAT6E2M3, 15, 6},
    {KAPELL_FLOAT6E3M2, 16, 6},
    {KAPELL_FLOAT4E2M1, 17, 4},
};
#define TYPE_COUNT (sizeof kTypes / sizeof *kTypes)

static bool type_to_dl(kapell_type type, dl_type* out) {
  for (size_t i = 0; i < TYPE_COUNT; ++i) {
    if (kTypes[i].type != type) continue;
    *out = (dl_type){.code = kTypes[i].code, .bits = kTypes[i].bits, .lanes = 1};
    return true;
  }
  return false;
}

static kapell_type type_of_dl(const dl_type* type) {
  for (size_t i = 0; i < TYPE_COUNT && type->lanes == 1; ++i)
    if (kTypes[i].code == type->code && kTypes[i].bits == type->bits) return kTypes[i].type;
  return KAPELL_UNDEFINED;
}

// Our 6-bit kinds take a byte each.
static bool is_padded(kapell_type type) {
  return type == KAPELL_FLOAT6E2M3 || type == KAPELL_FLOAT6E3M2;
}

// --- giving a value away ---------------------------------------------------------------------------------------------------------
// One block: the tensor in either form, then shape and strides.
typedef struct export_block {
  union {
    dl_managed plain;
    dl_versioned versioned;
  } as;
  kapell_value* value;
  int64_t numbers[];
} export_block;

static void free_plain(dl_managed* self) {
  export_block* block = self->context;
  kapell_value_release(block->value);
  free(block);
}

static void free_versioned(dl_versioned* self) {
  export_block* block = self->context;
  kapell_value_release(block->value);
  free(block);
}

// A capsule that nobody took still owns its tensor.
static void free_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kName)) {
    dl_managed* managed = PyCapsule_GetPointer(capsule, kName);
    if (managed->deleter) managed->deleter(managed);
  } else if (PyCapsule_IsValid(capsule, kVersionedName)) {
    dl_versioned* managed = PyCapsule_GetPointer(capsule, kVersionedName);
    if (managed->deleter) managed->deleter(managed);
  }
}

static void fill_tensor(dl_tensor* tensor, export_block* block, dl_type type) {
  const int32_t rank = kapell_tensor_rank(block->value);
  int64_t* strides = block->numbers + rank;
  int64_t stride = 1;
  for (int32_t i = rank; i-- > 0;) {
    block->numbers[i] = kapell_tensor_dims(block->value)[i];
    strides[i] = stride;
    if (block->numbers[i] > 1) stride *= block->numbers[i];
  }
  *tensor = (dl_tensor){.data = kapell_tensor_data(block->value),
                        .device = {DEVICE_CPU, 0},
                        .ndim = rank,
                        .type = type,
                        .shape = block->numbers,
                        .strides = strides};
}

// dlpack_export(value, versioned, read_only, copied) -> capsule
static PyObject* export_value(PyObject* self, PyObject* args) {
  (void)self;
  PyObject* object;
  int versioned, read_only, copied;
  dl_type type;
  if (!PyArg_ParseTuple(args, "Oppp", &object, &versioned, &read_only, &copied)) return NULL;
  kapell_value* value = kpy_value_of(object);
  if (!value || kapell_value_kind(value) != KAPELL_KIND_TENSOR ||
      !type_to_dl(kapell_value_type(value), &type)) {
    PyErr_SetString(PyExc_BufferError, "DLPack has dense tensors of numbers; this value is none");
    return NULL;
  }
  if (is_padded(kapell_value_type(value)) && !versioned) {
    PyErr_SetString(PyExc_BufferError,
                    "6-bit floats need a consumer of DLPack 1.0 or newer (max_version)");
    return NULL;
  }
  const size_t rank = (size_t)kapell_tensor_rank(value);
  export_block* block = calloc(1, sizeof *block + 2 * rank * sizeof(int64_t));
  if (!block) return PyErr_NoMemory();
  block->value = kapell_value_retain(value);
  PyObject* capsule;
  if (versioned) {
    const uint64_t flags = (read_only ? FLAG_READ_ONLY : 0) | (copied ? FLAG_COPIED : 0) |
                           (is_padded(kapell_value_type(value)) ? FLAG_PADDED : 0);
    block->as.versioned =
        (dl_versioned){.major = 1, .context = block, .deleter = free_versioned, .flags = flags};
    fill_tensor(&block->as.versioned.tensor, block, type);
    capsule = PyCapsule_New(&block->as.versioned, kVersionedName, free_capsule);
  } else {
    block->as.plain = (dl_managed){.context = block, .deleter = free_plain};
    fill_tensor(&block->as.plain.tensor, block, type);
    capsule = PyCapsule_New(&block->as.plain, kName, free_capsule);
  }
  if (!capsule) {
    kapell_value_release(block->value);
    free(block);
  }
  return capsule;
}

// --- taking a tensor ---------------------------------------------------------------------------------------------------------------
static void release_plain(void* user, void* data) {
  (void)data;
  dl_managed* managed = user;
  if (managed->deleter) managed->deleter(managed);
}

static void release_versioned(void* user, void* data) {
  (void)data;
  dl_versioned* managed = user;
  if (managed->deleter) managed->deleter(managed);
}

// Dense and row-major; dimensions of one element may have any stride, and without elements nothing matters.
static bool is_dense(const dl_tensor* tensor) {
  int64_t stride = 1;
  for (int32_t i = 0; i < tensor->ndim; ++i)
    if (tensor->shape[i] == 0) return true;
  for (int32_t i = tensor->ndim; tensor->strides && i-- > 0;) {
    if (tensor->shape[i] == 1) continue;
    if (tensor->strides[i] != stride || tensor->shape[i] < 0 ||
        stride > INT64_MAX / tensor->shape[i])
      return false;
    stride *= tensor->shape[i];
  }
  return true;
}

// -1 with an exception for a tensor that a value cannot be.
static int check_tensor(const dl_tensor* tensor, uint64_t flags, kapell_type* out_type) {
  *out_type = type_of_dl(&tensor->type);
  if (tensor->device.type != DEVICE_CPU && tensor->device.type != DEVICE_CUDA_HOST) {
    PyErr_Format(PyExc_BufferError,
                 "the tensor lies on the DLPack device (%d, %d), not in the CPU's memory: copy it "
                 "there first",
                 (int)tensor->device.type, (int)tensor->device.id);
  } else if (*out_type == KAPELL_UNDEFINED) {
    PyErr_Format(PyExc_BufferError,
                 "no element type of ONNX is DLPack's type of code %d, %d bits, %d lanes",
                 (int)tensor->type.code, (int)tensor->type.bits, (int)tensor->type.lanes);
  } else if (tensor->ndim < 0 || tensor->ndim > MOST_DIMS || (tensor->ndim && !tensor->shape)) {
    PyErr_Format(PyExc_BufferError, "the tensor has %d dimensions; at most %d can be",
                 (int)tensor->ndim, MOST_DIMS);
  } else if (!is_dense(tensor)) {
    PyErr_SetString(
        PyExc_BufferError,
        "the tensor is not contiguous in row-major order: make a contiguous copy of it first");
  } else if (tensor->type.bits < 8 && is_padded(*out_type) != ((flags & FLAG_PADDED) != 0)) {
    PyErr_Format(PyExc_BufferError, "elements of %d bits are %s here, unlike in the tensor",
                 (int)tensor->type.bits, is_padded(*out_type) ? "one a byte" : "packed");
  } else {
    return 0;
  }
  return -1;
}

// The bytes of a tensor; SIZE_MAX where that overflows, which kapell_tensor_wrap then refuses.
static size_t tensor_bytes(const dl_tensor* tensor, kapell_type type) {
  size_t count = 1;
  for (int32_t i = 0; i < tensor->ndim; ++i) {
    if (tensor->shape[i] == 0) return 0;
    if (tensor->shape[i] < 0 || count > SIZE_MAX / (size_t)tensor->shape[i]) return SIZE_MAX;
    count *= (size_t)tensor->shape[i];
  }
  return kapell_type_bytes(type, count);
}

static PyObject* take(PyObject* capsule, const dl_tensor* tensor, uint64_t flags, void* managed,
                      void (*release)(void* user, void* data), const char* used) {
  kapell_type type;
  kapell_value* value = NULL;
  if (check_tensor(tensor, flags, &type) != 0) return NULL;
  char* data = tensor->data ? (char*)tensor->data + tensor->byte_offset : NULL;
  kapell_status* status = kapell_tensor_wrap(type, tensor->shape, tensor->ndim, data,
                                             tensor_bytes(tensor, type), release, managed, &value);
  if (status) return kpy_raise(status, KPY_ANY);
  // From here on the value owns the tensor, and the capsule no more.
  if (PyCapsule_SetName(capsule, used) != 0 || PyCapsule_SetDestructor(capsule, NULL) != 0)
    PyErr_Clear();
  PyObject* object = kpy_value_wrap(value);
  return object ? Py_BuildValue("Ni", object, (flags & FLAG_READ_ONLY) != 0) : NULL;
}

// dlpack_import(capsule) -> (Value, read_only)
static PyObject* import_capsule(PyObject* self, PyObject* capsule) {
  (void)self;
  if (PyCapsule_IsValid(capsule, kVersionedName)) {
    dl_versioned* managed = PyCapsule_GetPointer(capsule, kVersionedName);
    if (managed->major != 1) {
      PyErr_Format(PyExc_BufferError, "the tensor is in DLPack's version %d.%d; 1.x is read here",
                   (int)managed->major, (int)managed->minor);
      return NULL;
    }
    return take(capsule, &managed->tensor, managed->flags, managed, release_versioned,
                kVersionedUsed);
  }
  if (PyCapsule_IsValid(capsule, kName)) {
    dl_managed* managed = PyCapsule_GetPointer(capsule, kName);
    return take(capsule, &managed->tensor, 0, managed, release_plain, kUsed);
  }
  if (PyCapsule_IsValid(capsule, kUsed) || PyCapsule_IsValid(capsule, kVersionedUsed)) {
    PyErr_SetString(PyExc_BufferError,
                    "the DLPack capsule was taken before: a capsule can be taken once");
    return NULL;
  }
  PyErr_Format(PyExc_TypeError,
               "from_dlpack expects an object with __dlpack__ or a DLPack capsule, not %R",
               capsule);
  return NULL;
}

// --- other views of a value's memory -------------------------------------------------------------------------------------------------
static void release_parent(void* user, void* data) {
  (void)data;
  kapell_value_release(user);
}

// An int64 for each element of |sequence|; the count, or -1.
static Py_ssize_t read_dims(PyObject* sequence, int64_t* dims) {
  const Py_ssize_t rank = PySequence_Size(sequence);
  if (rank > MOST_DIMS) {
    PyErr_Format(PyExc_ValueError, "a shape of %zd dimensions; at most %d can be", rank, MOST_DIMS);
    return -1;
  }
  for (Py_ssize_t i = 0; i < rank; ++i) {
    PyObject* item = PySequence_GetItem(sequence, i);
    PyObject* number = item ? PyNumber_Index(item) : NULL;
    dims[i] = number ? PyLong_AsLongLong(number) : -1;
    Py_XDECREF(item);
    Py_XDECREF(number);
    if (PyErr_Occurred()) return -1;
  }
  return rank;
}

// reinterpret(value, type, shape) -> Value of another type or shape over the same memory, of which it may take less
static PyObject* reinterpret(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *object, *shape;
  int type;
  int64_t dims[MOST_DIMS];
  if (!PyArg_ParseTuple(args, "OiO", &object, &type, &shape)) return NULL;
  kapell_value* value = kpy_value_of(object);
  if (!value || kapell_value_kind(value) != KAPELL_KIND_TENSOR ||
      kapell_value_type(value) == KAPELL_STRING || type <= KAPELL_UNDEFINED ||
      type >= KAPELL_TYPE_COUNT || type == KAPELL_STRING) {
    PyErr_SetString(PyExc_TypeError,
                    "only tensors of numbers can be seen as another type of numbers");
    return NULL;
  }
  const Py_ssize_t rank = read_dims(shape, dims);
  if (rank < 0) return NULL;
  const dl_tensor asked = {.ndim = (int32_t)rank, .shape = dims};
  const size_t needed = tensor_bytes(&asked, (kapell_type)type);
  if (needed > kapell_tensor_byte_count(value)) {
    PyErr_Format(PyExc_ValueError, "%zu bytes of memory; the type %s in this shape takes %zu",
                 kapell_tensor_byte_count(value), kapell_type_name((kapell_type)type), needed);
    return NULL;
  }
  kapell_value* view = NULL;
  kapell_status* status =
      kapell_tensor_wrap((kapell_type)type, dims, (int32_t)rank, kapell_tensor_data(value), needed,
                         release_parent, kapell_value_retain(value), &view);
  if (status) {
    kapell_value_release(value);
    return kpy_raise(status, KPY_ANY);
  }
  return kpy_value_wrap(view);
}

// sparse(values, indices, shape) -> Value
static PyObject* make_sparse(PyObject* self, PyObject* args) {
  (void)self;
  PyObject *values, *indices, *shape;
  int64_t dims[MOST_DIMS];
  if (!PyArg_ParseTuple(args, "OOO", &values, &indices, &shape)) return NULL;
  const Py_ssize_t rank = read_dims(shape, dims);
  if (rank < 0) return NULL;
  if (!kpy_value_of(values) || !kpy_value_of(indices)) {
    PyErr_SetString(PyExc_TypeError, "values and indices have to be of the type Value");
    return NULL;
  }
  kapell_value* value = NULL;
  kapell_status* status = kapell_sparse_create(kpy_value_of(values), kpy_value_of(indices), dims,
                                               (int32_t)rank, &value);
  return status ? kpy_raise(status, KPY_ANY) : kpy_value_wrap(value);
}

// type_bytes(type, count) -> bytes of |count| elements
static PyObject* type_bytes(PyObject* self, PyObject* args) {
  (void)self;
  int type;
  Py_ssize_t count;
  if (!PyArg_ParseTuple(args, "in", &type, &count)) return NULL;
  if (type <= KAPELL_UNDEFINED || type >= KAPELL_TYPE_COUNT || type == KAPELL_STRING)
    return PyErr_Format(PyExc_RuntimeError,
                        "tensor type %d is not supported: it is no type of numbers", type);
  const size_t bytes = count < 0 ? SIZE_MAX : kapell_type_bytes((kapell_type)type, (size_t)count);
  if (bytes > PY_SSIZE_T_MAX)
    return PyErr_Format(PyExc_ValueError, "%zd elements of %s are more than memory has", count,
                        kapell_type_name((kapell_type)type));
  return PyLong_FromSize_t(bytes);
}

PyMethodDef kpy_share_methods[] = {
    {"dlpack_export", export_value, METH_VARARGS,
     "dlpack_export(value, versioned, read_only, copied)\n--\n\nA DLPack capsule over a tensor's "
     "memory."},
    {"dlpack_import", import_capsule, METH_O,
     "dlpack_import(capsule)\n--\n\n(Value, read_only) over the capsule's memory, which it takes."},
    {"reinterpret", reinterpret, METH_VARARGS,
     "reinterpret(value, type, shape)\n--\n\nA Value of another type or shape in the same memory."},
    {"sparse", make_sparse, METH_VARARGS,
     "sparse(values, indices, shape)\n--\n\nA Value that is a sparse tensor in the form of "
     "coordinates."},
    {"type_bytes", type_bytes, METH_VARARGS,
     "type_bytes(type, count)\n--\n\nBytes of that many elements of a type."},
    {NULL, NULL, 0, NULL}};
