// numpy's C API, and what the extension knows of its types. Only files that touch arrays include it.
#ifndef KPY_ARRAY_H_
#define KPY_ARRAY_H_

#include "core.h"

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_1_23_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL kpy_numpy
#ifndef KPY_IMPORTS_NUMPY  // module.c alone holds the table of functions
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

// numpy's type for |type|, a new reference; objects for strings. NotImplemented for a type that needs ml_dtypes where that is not
// installed.
PyArray_Descr* kpy_descr_of_type(kapell_type type);
// KAPELL_UNDEFINED for what ONNX has no type for. KAPELL_STRING for numpy's several kinds of texts, and for objects.
kapell_type kpy_type_of_descr(PyArray_Descr* descr);
// Elements of 4 and 2 bits take one byte each in numpy.
int kpy_type_is_packed(kapell_type type);
void kpy_pack(kapell_type type, const unsigned char* elements, size_t count, unsigned char* packed);
void kpy_unpack(kapell_type type, const unsigned char* packed, size_t count,
                unsigned char* elements);

// convert_text.c: a tensor of the array's texts (bytes as they are), and back.
int kpy_value_from_texts(PyArrayObject* array, kapell_value** out_value);
PyObject* kpy_array_of_texts(const kapell_value* value);
// convert_kinds.c: lists, dicts.
int kpy_value_from_list(PyObject* list, const kapell_type_info* want, const char* name,
                        kapell_value** out_value);
int kpy_value_from_dict(PyObject* dict, const kapell_type_info* want, const char* name,
                        kapell_value** out_value);
PyObject* kpy_list_of_sequence(kapell_value* value);
PyObject* kpy_dict_of_map(kapell_value* value);

#endif  // KPY_ARRAY_H_
