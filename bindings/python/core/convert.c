// Arrays and tensors. An array whose memory is dense, row-major and of native byte order becomes a tensor in that memory, aligned
// or not; a tensor becomes an array in the tensor's memory. Neighbours: convert_text.c, convert_kinds.c.
#include <stdlib.h>
#include <string.h>

#include "array.h"

static const char capsule_name[] = "kapell_value";

// --- to Kapell ------------------------------------------------------------------------------------------------------------------
// A value may end on any thread, with or without the interpreter lock.
static void release_object(void* user, void* data) {
  (void)data;
  const PyGILState_STATE state = PyGILState_Ensure();
  Py_DECREF((PyObject*)user);
  PyGILState_Release(state);
}

// The array's own, or a copy that is dense and of native byte order; a new reference.
static PyArrayObject* dense(PyArrayObject* array) {
  if (PyArray_IS_C_CONTIGUOUS(array) && PyArray_ISNOTSWAPPED(array)) {
    Py_INCREF((PyObject*)array);
    return array;
  }
  PyArray_Descr* native = PyArray_DescrNewByteorder(PyArray_DESCR(array), NPY_NATIVE);
  if (!native) return NULL;
  return (PyArrayObject*)PyArray_FromArray(array, native,
                                           NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_NOTSWAPPED);
}

static int wrap_packed(PyArrayObject* array, kapell_type type, const int64_t* dims,
                       kapell_value** out) {
  kapell_status* status = kapell_tensor_create(type, dims, PyArray_NDIM(array), out);
  if (status) {
    kpy_raise(status, KPY_ANY);
    return -1;
  }
  kpy_pack(type, PyArray_DATA(array), (size_t)PyArray_SIZE(array), kapell_tensor_data(*out));
  return 0;
}

// Takes |array|, which is dense.
static int wrap_dense(PyArrayObject* array, kapell_type type, kapell_value** out) {
  int64_t dims[NPY_MAXDIMS];
  const int rank = PyArray_NDIM(array);
  for (int d = 0; d < rank; ++d) dims[d] = PyArray_DIM(array, d);
  if (kpy_type_is_packed(type)) {
    const int result = wrap_packed(array, type, dims, out);
    Py_DECREF(array);
    return result;
  }
  kapell_status* status =
      kapell_tensor_wrap(type, dims, rank, PyArray_DATA(array), (size_t)PyArray_NBYTES(array),
                         release_object, array, out);
  if (!status) return 0;
  Py_DECREF(array);
  kpy_raise(status, KPY_ANY);
  return -1;
}

static int from_array(PyArrayObject* array, const char* name, kapell_value** out) {
  const kapell_type type = kpy_type_of_descr(PyArray_DESCR(array));
  if (type == KAPELL_STRING) return kpy_value_from_texts(array, out);
  if (type == KAPELL_UNDEFINED) {
    kpy_raise_as("InvalidArgument", "%s%s%sarrays of %R have no ONNX element type",
                 name ? "input '" : "", name ? name : "", name ? "': " : "",
                 (PyObject*)PyArray_DESCR(array));
    return -1;
  }
  PyArrayObject* plain = dense(array);
  return plain ? wrap_dense(plain, type, out) : -1;
}

// numpy's type for lists and numbers where a tensor of |want| is expected. NULL without an exception: numpy's own choice.
static PyArray_Descr* wanted_descr(const kapell_type_info* want) {
  if (!want || want->kind != KAPELL_KIND_TENSOR || want->element == KAPELL_UNDEFINED) return NULL;
  return kpy_descr_of_type(want->element);
}

// What is neither array nor Value: numpy makes an array of it. Objects that know their own type keep it, so that a wrong one is an error.
static int from_other(PyObject* object, const kapell_type_info* want, const char* name,
                      kapell_value** out) {
  const int is_plain = PyList_Check(object) || PyTuple_Check(object) || PyLong_Check(object) ||
                       PyFloat_Check(object) || PyUnicode_Check(object) || PyBytes_Check(object);
  PyArray_Descr* descr = is_plain && !PyArray_IsScalar(object, Generic) ? wanted_descr(want) : NULL;
  if (PyErr_Occurred()) return -1;
  PyObject* array = PyArray_FromAny(object, descr, 0, 0, 0, NULL);
  if (!array) return -1;
  int result = -1;
  if (!is_plain && PyArray_TYPE((PyArrayObject*)array) == NPY_OBJECT)
    PyErr_Format(PyExc_RuntimeError, "%s%s%sunable to handle an object of type %R",
                 name ? "input '" : "", name ? name : "", name ? "': " : "",
                 (PyObject*)Py_TYPE(object));
  else
    result = from_array((PyArrayObject*)array, name, out);
  Py_DECREF(array);
  return result;
}

static int from_none(kapell_value** out) {
  kapell_status* status = kapell_optional_create(NULL, out);
  if (status) kpy_raise(status, KPY_ANY);
  return *out ? 0 : -1;
}

// What is inside of an optional that is expected, else |want| itself.
static const kapell_type_info* present(const kapell_type_info* want) {
  return want && want->kind == KAPELL_KIND_OPTIONAL ? want->inner : want;
}

int kpy_value_from_object(PyObject* object, const kapell_type_info* want, const char* name,
                          kapell_value** out_value) {
  *out_value = NULL;
  if (PyArray_Check(object)) return from_array((PyArrayObject*)object, name, out_value);
  kapell_value* own = kpy_value_of(object);
  if (own) {
    *out_value = kapell_value_retain(own);
    return 0;
  }
  if (object == Py_None) return from_none(out_value);
  want = present(want);
  const int is_list = PyList_Check(object) || PyTuple_Check(object);
  if (is_list && want && want->kind == KAPELL_KIND_SEQUENCE)
    return kpy_value_from_list(object, want, name, out_value);
  if (PyDict_Check(object)) return kpy_value_from_dict(object, want, name, out_value);
  return from_other(object, want, name, out_value);
}

// --- to Python --------------------------------------------------------------------------------------------------------------------
static void release_capsule(PyObject* capsule) {
  kapell_value_release(PyCapsule_GetPointer(capsule, capsule_name));
}

static int read_shape(const kapell_value* value, npy_intp* dims) {
  const int rank = kapell_tensor_rank(value);
  const int64_t* of_value = kapell_tensor_dims(value);
  for (int d = 0; d < rank; ++d) dims[d] = (npy_intp)of_value[d];
  return rank;
}

static PyObject* unpacked(kapell_value* value, PyArray_Descr* descr) {
  npy_intp dims[NPY_MAXDIMS];
  const int rank = read_shape(value, dims);
  PyObject* array = PyArray_NewFromDescr(&PyArray_Type, descr, rank, dims, NULL, NULL, 0, NULL);
  if (array)
    kpy_unpack(kapell_value_type(value), kapell_tensor_const_data(value),
               kapell_tensor_count(value), PyArray_DATA((PyArrayObject*)array));
  kapell_value_release(value);
  return array;
}

// The array lies in the tensor's memory and keeps it alive by a capsule.
static PyObject* lent(kapell_value* value, PyArray_Descr* descr) {
  npy_intp dims[NPY_MAXDIMS];
  const int rank = read_shape(value, dims);
  PyObject* owner = PyCapsule_New(value, capsule_name, release_capsule);
  if (!owner) {
    Py_DECREF(descr);
    kapell_value_release(value);
    return NULL;
  }
  PyObject* array = PyArray_NewFromDescr(&PyArray_Type, descr, rank, dims, NULL,
                                         kapell_tensor_data(value), NPY_ARRAY_CARRAY, NULL);
  if (!array) {
    Py_DECREF(owner);
    return NULL;
  }
  if (PyArray_SetBaseObject((PyArrayObject*)array, owner) < 0) Py_CLEAR(array);
  return array;
}

// Of small tensors a copy is cheaper than a capsule.
static PyObject* copied(kapell_value* value, PyArray_Descr* descr) {
  npy_intp dims[NPY_MAXDIMS];
  const int rank = read_shape(value, dims);
  PyObject* array = PyArray_NewFromDescr(&PyArray_Type, descr, rank, dims, NULL, NULL, 0, NULL);
  const size_t size = kapell_tensor_byte_count(value);
  if (array && size)
    memcpy(PyArray_DATA((PyArrayObject*)array), kapell_tensor_const_data(value), size);
  kapell_value_release(value);
  return array;
}

// Tensors of up to |small| bytes are copied.
static PyObject* array_of_tensor(kapell_value* value, size_t small) {
  const kapell_type type = kapell_value_type(value);
  if (type == KAPELL_STRING) {
    PyObject* array = kpy_array_of_texts(value);
    kapell_value_release(value);
    return array;
  }
  PyArray_Descr* descr = kpy_descr_of_type(type);
  if (!descr) {
    kapell_value_release(value);
    return NULL;
  }
  if (kpy_type_is_packed(type)) return unpacked(value, descr);
  return kapell_tensor_byte_count(value) <= small ? copied(value, descr) : lent(value, descr);
}

PyObject* kpy_view_of_value(kapell_value* value) {
  return kapell_value_kind(value) == KAPELL_KIND_TENSOR && kapell_value_type(value) != KAPELL_STRING
             ? array_of_tensor(value, 0)
             : kpy_object_from_value(value);
}

PyObject* kpy_object_from_value(kapell_value* value) {
  enum { SMALL = 256 };
  const kapell_kind kind = kapell_value_kind(value);
  if (kind == KAPELL_KIND_TENSOR) return array_of_tensor(value, SMALL);
  if (kind == KAPELL_KIND_SPARSE) return kpy_value_wrap(value);
  PyObject* object = NULL;
  if (kind == KAPELL_KIND_SEQUENCE) {
    object = kpy_list_of_sequence(value);
  } else if (kind == KAPELL_KIND_MAP) {
    object = kpy_dict_of_map(value);
  } else {
    kapell_value* item = kind == KAPELL_KIND_OPTIONAL ? kapell_value_item(value, 0) : NULL;  // lent
    object = item ? kpy_object_from_value(kapell_value_retain(item)) : kpy_str_or_none(NULL);
  }
  kapell_value_release(value);
  return object;
}
