// Value: a handle on one kapell_value. OrtValue is a class of Python's that derives from it.
#include <limits.h>

#include "array.h"

typedef struct value_object {
  PyObject_HEAD kapell_value* value;  // NULL only while it is made
} value_object;

PyTypeObject* kpy_value_type;

static kapell_value* of(PyObject* self) { return ((value_object*)self)->value; }

// A new object of |type| with |value| (taken).
static PyObject* make(PyTypeObject* type, kapell_value* value) {
  const allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  PyObject* self = allocate(type, 0);
  if (self)
    ((value_object*)self)->value = value;
  else
    kapell_value_release(value);
  return self;
}

PyObject* kpy_value_wrap(kapell_value* value) { return make(kpy_value_type, value); }

kapell_value* kpy_value_of(PyObject* object) {
  return PyObject_TypeCheck(object, kpy_value_type) ? of(object) : NULL;
}

static void value_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  kapell_value_release(of(self));
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

// --- making ------------------------------------------------------------------------------------------------------------------
static PyObject* from_object(PyObject* class, PyObject* args, PyObject* keywords) {
  static char* names[] = {"object", "type", NULL};
  PyObject *object, *type = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:from_object", names, &object, &type))
    return NULL;
  kapell_type_info want = {.kind = KAPELL_KIND_TENSOR, .rank = -1};
  if (type != Py_None) want.element = (kapell_type)PyLong_AsLong(type);
  if (PyErr_Occurred()) return NULL;
  kapell_value* value;
  if (kpy_value_from_object(object, type != Py_None ? &want : NULL, NULL, &value) < 0) return NULL;
  return make((PyTypeObject*)class, value);
}

static int read_dims(PyObject* shape, int64_t* dims) {
  const Py_ssize_t rank = PySequence_Size(shape);
  if (rank < 0) return -1;
  if (rank > NPY_MAXDIMS) {
    PyErr_Format(PyExc_ValueError, "a shape of %zd dimensions", rank);
    return -1;
  }
  for (Py_ssize_t d = 0; d < rank; ++d) {
    PyObject* item = PySequence_GetItem(shape, d);
    dims[d] = item ? PyLong_AsLongLong(item) : -1;
    Py_XDECREF(item);
    if (PyErr_Occurred()) return -1;
  }
  return (int)rank;
}

static PyObject* empty(PyObject* class, PyObject* args) {
  PyObject* shape;
  int type;
  int64_t dims[NPY_MAXDIMS];
  kapell_value* value;
  if (!PyArg_ParseTuple(args, "Oi:empty", &shape, &type)) return NULL;
  const int rank = read_dims(shape, dims);
  if (rank < 0) return NULL;
  kapell_status* status = kapell_tensor_create((kapell_type)type, dims, rank, &value);
  return status ? kpy_raise(status, KPY_ANY) : make((PyTypeObject*)class, value);
}

static void release_owner(void* user, void* data) {
  (void)data;
  const PyGILState_STATE state = PyGILState_Ensure();
  Py_XDECREF((PyObject*)user);
  PyGILState_Release(state);
}

static PyObject* wrap(PyObject* class, PyObject* args) {
  PyObject *address, *shape, *owner = Py_None;
  Py_ssize_t size;
  int type;
  int64_t dims[NPY_MAXDIMS];
  kapell_value* value;
  if (!PyArg_ParseTuple(args, "OnOi|O:wrap", &address, &size, &shape, &type, &owner)) return NULL;
  void* data = PyLong_AsVoidPtr(address);
  const int rank = PyErr_Occurred() ? -1 : read_dims(shape, dims);
  if (rank < 0 || size < 0) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a negative size");
    return NULL;
  }
  Py_INCREF(owner);
  kapell_status* status = kapell_tensor_wrap((kapell_type)type, dims, rank, data, (size_t)size,
                                             release_owner, owner, &value);
  if (!status) return make((PyTypeObject*)class, value);
  Py_DECREF(owner);
  return kpy_raise(status, KPY_ANY);
}

// --- what it tells ---------------------------------------------------------------------------------------------------------------
static int is_tensor(PyObject* self) { return kapell_value_kind(of(self)) == KAPELL_KIND_TENSOR; }

static PyObject* numpy(PyObject* self, PyObject* unused) {
  (void)unused;
  if (kapell_value_kind(of(self)) == KAPELL_KIND_SPARSE)
    return kpy_raise_as("Fail", "a sparse tensor is no array; its values and indices are (items)");
  return kpy_view_of_value(kapell_value_retain(of(self)));
}

static PyObject* items(PyObject* self, PyObject* unused) {
  (void)unused;
  const size_t count = kapell_value_item_count(of(self));
  PyObject* list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list && i < count; ++i) {
    PyObject* item = kpy_value_wrap(kapell_value_retain(kapell_value_item(of(self), i)));
    if (!item)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, item);
  }
  return list;
}

static PyObject* get_kind(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromLong(kapell_value_kind(of(self)));
}

static PyObject* get_element_type(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromLong(kapell_value_type(of(self)));
}

static PyObject* get_shape(PyObject* self, void* unused) {
  (void)unused;
  const kapell_kind kind = kapell_value_kind(of(self));
  const int is_dense = kind == KAPELL_KIND_TENSOR || kind == KAPELL_KIND_SPARSE;
  const int32_t rank = is_dense ? kapell_tensor_rank(of(self)) : 0;
  PyObject* shape = PyTuple_New(rank);
  for (int32_t d = 0; shape && d < rank; ++d) {
    PyObject* dim = PyLong_FromLongLong(kapell_tensor_dims(of(self))[d]);
    if (!dim)
      Py_CLEAR(shape);
    else
      PyTuple_SetItem(shape, d, dim);
  }
  return shape;
}

static PyObject* get_byte_count(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromSize_t(is_tensor(self) ? kapell_tensor_byte_count(of(self)) : 0);
}

static PyObject* get_data_ptr(PyObject* self, void* unused) {
  (void)unused;
  if (!is_tensor(self) || kapell_value_type(of(self)) == KAPELL_STRING)
    return kpy_raise_as("Fail", "only tensors of numbers have an address");
  return PyLong_FromVoidPtr(kapell_tensor_data(of(self)));
}

// The type of what is there, as a kapell_type_info; |inner| has room for the parts.
static kapell_type_info describe(kapell_value* value, kapell_type_info* inner, int room) {
  kapell_type_info info = {.kind = kapell_value_kind(value), .rank = -1};
  if (info.kind == KAPELL_KIND_TENSOR || info.kind == KAPELL_KIND_SPARSE ||
      info.kind == KAPELL_KIND_MAP)
    info.element = kapell_value_type(value);
  const size_t index = info.kind == KAPELL_KIND_MAP ? 1 : 0;
  kapell_value* item = info.kind == KAPELL_KIND_SEQUENCE || info.kind == KAPELL_KIND_OPTIONAL ||
                               info.kind == KAPELL_KIND_MAP
                           ? kapell_value_item(value, index)
                           : NULL;
  if (item && room > 0) {
    *inner = describe(item, inner + 1, room - 1);
    info.inner = inner;
  }
  return info;
}

static PyObject* get_type_string(PyObject* self, void* unused) {
  enum { DEPTH = 8 };
  (void)unused;
  kapell_type_info inner[DEPTH];
  const kapell_type_info info = describe(of(self), inner, DEPTH);
  return kpy_type_string(&info);
}

static PyMethodDef methods[] = {
    {"from_object", (PyCFunction)(void (*)(void))from_object,
     METH_CLASS | METH_VARARGS | METH_KEYWORDS,
     "from_object(object, type=None)\n--\n\nA value of an array (whose memory is used where it can "
     "be), list, dict or None."},
    {"empty", empty, METH_CLASS | METH_VARARGS,
     "empty(shape, type)\n--\n\nA tensor of undefined contents; |type| is ONNX's number."},
    {"wrap", wrap, METH_CLASS | METH_VARARGS,
     "wrap(address, byte_count, shape, type, owner=None)\n--\n\nA tensor in memory of another, "
     "kept alive by |owner|."},
    {"numpy", numpy, METH_NOARGS,
     "numpy()\n--\n\nAn array in the value's memory; a list, a dict or None for other kinds."},
    {"items", items, METH_NOARGS,
     "items()\n--\n\nElements of a sequence; keys and values of a map; what an optional has; "
     "values and indices of a sparse tensor."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef fields[] = {
    {"kind", get_kind, NULL, "0 none, 1 tensor, 2 sparse tensor, 3 sequence, 4 map, 5 optional.",
     NULL},
    {"element_type", get_element_type, NULL, "ONNX's number of the element type.", NULL},
    {"shape", get_shape, NULL, "The shape, a tuple.", NULL},
    {"byte_count", get_byte_count, NULL, "Bytes of a tensor's data.", NULL},
    {"data_ptr", get_data_ptr, NULL, "Address of a tensor's data.", NULL},
    {"type_string", get_type_string, NULL, "\"tensor(float)\".", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot slots[] = {{Py_tp_dealloc, value_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_getset, fields},
                              {Py_tp_doc, "A value of Kapell's: tensor, sequence, map, optional."},
                              {0, NULL}};
static PyType_Spec spec = {
    "kapell._core.Value", sizeof(value_object), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};

int kpy_value_init(PyObject* module) {
  kpy_value_type = (PyTypeObject*)PyType_FromModuleAndSpec(module, &spec, NULL);
  if (!kpy_value_type) return -1;
  return PyModule_AddObjectRef(module, "Value", (PyObject*)kpy_value_type);
}
