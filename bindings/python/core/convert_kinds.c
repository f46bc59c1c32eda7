// Lists and sequences, dicts and maps.
#include <stdlib.h>

#include "array.h"

// --- lists -------------------------------------------------------------------------------------------------------------------------
static void release_all(kapell_value** values, Py_ssize_t count) {
  for (Py_ssize_t i = 0; i < count; ++i) kapell_value_release(values[i]);
  free(values);
}

int kpy_value_from_list(PyObject* list, const kapell_type_info* want, const char* name,
                        kapell_value** out_value) {
  const Py_ssize_t count = PySequence_Size(list);
  if (count < 0) return -1;
  kapell_value** items = calloc((size_t)count + 1, sizeof *items);
  if (!items) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PySequence_GetItem(list, i);
    const int made =
        item ? kpy_value_from_object(item, want ? want->inner : NULL, name, &items[i]) : -1;
    Py_XDECREF(item);
    if (made < 0) {
      release_all(items, i);
      return -1;
    }
  }
  kapell_status* status = kapell_sequence_create(items, (size_t)count, out_value);
  release_all(items, count);
  if (!status) return 0;
  kpy_raise(status, KPY_ANY);
  return -1;
}

PyObject* kpy_list_of_sequence(kapell_value* value) {
  const size_t count = kapell_value_item_count(value);
  PyObject* list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list && i < count; ++i) {
    PyObject* item = kpy_object_from_value(kapell_value_retain(kapell_value_item(value, i)));
    if (!item)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)i, item);
  }
  return list;
}

// --- dicts -------------------------------------------------------------------------------------------------------------------------
// |list| (taken) as a tensor of |element|, or of what numpy chooses.
static int tensor_of_list(PyObject* list, kapell_type element, const char* name,
                          kapell_value** out) {
  const kapell_type_info want = {.kind = KAPELL_KIND_TENSOR, .element = element, .rank = 1};
  const int result = list ? kpy_value_from_object(list, &want, name, out) : -1;
  Py_XDECREF(list);
  return result;
}

int kpy_value_from_dict(PyObject* dict, const kapell_type_info* want, const char* name,
                        kapell_value** out_value) {
  const kapell_type_info* inner = want && want->kind == KAPELL_KIND_MAP ? want->inner : NULL;
  kapell_value *keys = NULL, *values = NULL;
  int result =
      tensor_of_list(PyDict_Keys(dict), inner ? want->element : KAPELL_UNDEFINED, name, &keys);
  if (result == 0 && inner && inner->kind == KAPELL_KIND_SEQUENCE) {
    PyObject* list = PyDict_Values(dict);
    result = list ? kpy_value_from_list(list, inner, name, &values) : -1;
    Py_XDECREF(list);
  } else if (result == 0) {
    result = tensor_of_list(PyDict_Values(dict), inner ? inner->element : KAPELL_UNDEFINED, name,
                            &values);
  }
  kapell_status* status = result == 0 ? kapell_map_create(keys, values, out_value) : NULL;
  kapell_value_release(keys);
  kapell_value_release(values);
  if (!status) return result;
  kpy_raise(status, KPY_ANY);
  return -1;
}

// Keys or values of a map as a list of Python's own objects.
static PyObject* plain_list(kapell_value* item) {
  PyObject* object = kpy_object_from_value(kapell_value_retain(item));
  if (!object || !PyArray_Check(object)) return object;
  PyObject* list = PyArray_ToList((PyArrayObject*)object);
  Py_DECREF(object);
  return list;
}

PyObject* kpy_dict_of_map(kapell_value* value) {
  PyObject* keys = plain_list(kapell_value_item(value, 0));
  PyObject* values = keys ? plain_list(kapell_value_item(value, 1)) : NULL;
  PyObject* dict = values ? PyDict_New() : NULL;
  const Py_ssize_t count = dict ? PyList_Size(keys) : 0;
  for (Py_ssize_t i = 0; dict && i < count && i < PyList_Size(values); ++i)
    if (PyDict_SetItem(dict, PyList_GetItem(keys, i), PyList_GetItem(values, i)) < 0)
      Py_CLEAR(dict);
  Py_XDECREF(keys);
  Py_XDECREF(values);
  return dict;
}
