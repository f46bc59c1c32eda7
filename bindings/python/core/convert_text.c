// Tensors of texts. Kapell's are UTF-8 and may hold NULs; what is no UTF-8 passes through Python's surrogates unharmed.
#include <string.h>

#include "array.h"

static int set_bytes(kapell_value* value, size_t index, const char* text, Py_ssize_t length) {
  kapell_status* status = kapell_tensor_set_string(value, index, text, (size_t)length);
  if (!status) return 0;
  kpy_raise(status, KPY_ANY);
  return -1;
}

static int set_surrogates(kapell_value* value, size_t index, PyObject* text) {
  PyErr_Clear();
  char* data;
  Py_ssize_t length;
  PyObject* bytes = PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
  int result = bytes && PyBytes_AsStringAndSize(bytes, &data, &length) == 0
                   ? set_bytes(value, index, data, length)
                   : -1;
  Py_XDECREF(bytes);
  return result;
}

static int set_element(kapell_value* value, size_t index, PyObject* element) {
  char* data;
  Py_ssize_t length;
  if (PyUnicode_Check(element)) {
    const char* text = PyUnicode_AsUTF8AndSize(element, &length);
    return text ? set_bytes(value, index, text, length) : set_surrogates(value, index, element);
  }
  if (PyBytes_Check(element)) {
    if (PyBytes_AsStringAndSize(element, &data, &length) < 0) return -1;
    return set_bytes(value, index, data, length);
  }
  // An array of objects that are no texts becomes one of what str() makes of them, as in onnxruntime.
  PyObject* text = PyObject_Str(element);
  const int result = text ? set_element(value, index, text) : -1;
  Py_XDECREF(text);
  return result;
}

// A list of all elements in row-major order.
static PyObject* element_list(PyArrayObject* array) {
  PyObject* flat = PyArray_Ravel(array, NPY_CORDER);
  PyObject* list = flat ? PyArray_ToList((PyArrayObject*)flat) : NULL;
  Py_XDECREF(flat);
  return list;
}

int kpy_value_from_texts(PyArrayObject* array, kapell_value** out_value) {
  int64_t dims[NPY_MAXDIMS];
  const int rank = PyArray_NDIM(array);
  for (int d = 0; d < rank; ++d) dims[d] = PyArray_DIM(array, d);
  PyObject* list = element_list(array);
  if (!list) return -1;
  kapell_status* status = kapell_tensor_create(KAPELL_STRING, dims, rank, out_value);
  if (status) kpy_raise(status, KPY_ANY);
  int result = status ? -1 : 0;
  const Py_ssize_t count = PyList_Size(list);
  for (Py_ssize_t i = 0; i < count && result == 0; ++i)
    result = set_element(*out_value, (size_t)i, PyList_GetItem(list, i));
  Py_DECREF(list);
  if (result < 0 && *out_value) {
    kapell_value_release(*out_value);
    *out_value = NULL;
  }
  return result;
}

PyObject* kpy_array_of_texts(const kapell_value* value) {
  npy_intp dims[NPY_MAXDIMS];
  const int rank = kapell_tensor_rank(value);
  const size_t count = kapell_tensor_count(value);
  for (int d = 0; d < rank; ++d) dims[d] = (npy_intp)kapell_tensor_dims(value)[d];
  PyObject* array = PyArray_SimpleNew(rank, dims, NPY_OBJECT);
  if (!array) return NULL;
  PyObject** elements = PyArray_DATA((PyArrayObject*)array);
  for (size_t i = 0; i < count; ++i) {
    size_t length = 0;
    const char* text = kapell_tensor_string(value, i, &length);
    PyObject* element = PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "surrogateescape");
    if (!element) {
      Py_DECREF(array);
      return NULL;
    }
    PyObject* before = elements[i];  // numpy fills new arrays with None or NULL
    elements[i] = element;
    Py_XDECREF(before);
  }
  return array;
}
