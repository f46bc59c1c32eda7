// Element types: ONNX's words for them, numpy's, and ml_dtypes' for those that numpy lacks.
#include <string.h>

#include "array.h"

typedef struct type_row {
  const char* text;  // in ONNX's type strings
  int number;        // numpy's, -1: none of its own
  const char* name;  // in the package ml_dtypes
} type_row;

static const type_row rows[KAPELL_TYPE_COUNT] = {
    [KAPELL_UNDEFINED] = {"undefined", -1, NULL},
    [KAPELL_FLOAT] = {"float", NPY_FLOAT32, NULL},
    [KAPELL_UINT8] = {"uint8", NPY_UINT8, NULL},
    [KAPELL_INT8] = {"int8", NPY_INT8, NULL},
    [KAPELL_UINT16] = {"uint16", NPY_UINT16, NULL},
    [KAPELL_INT16] = {"int16", NPY_INT16, NULL},
    [KAPELL_INT32] = {"int32", NPY_INT32, NULL},
    [KAPELL_INT64] = {"int64", NPY_INT64, NULL},
    [KAPELL_STRING] = {"string", NPY_OBJECT, NULL},
    [KAPELL_BOOL] = {"bool", NPY_BOOL, NULL},
    [KAPELL_FLOAT16] = {"float16", NPY_FLOAT16, NULL},
    [KAPELL_DOUBLE] = {"double", NPY_FLOAT64, NULL},
    [KAPELL_UINT32] = {"uint32", NPY_UINT32, NULL},
    [KAPELL_UINT64] = {"uint64", NPY_UINT64, NULL},
    [KAPELL_COMPLEX64] = {"complex64", NPY_COMPLEX64, NULL},
    [KAPELL_COMPLEX128] = {"complex128", NPY_COMPLEX128, NULL},
    [KAPELL_BFLOAT16] = {"bfloat16", -1, "bfloat16"},
    [KAPELL_FLOAT8E4M3FN] = {"float8e4m3fn", -1, "float8_e4m3fn"},
    [KAPELL_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", -1, "float8_e4m3fnuz"},
    [KAPELL_FLOAT8E5M2] = {"float8e5m2", -1, "float8_e5m2"},
    [KAPELL_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", -1, "float8_e5m2fnuz"},
    [KAPELL_UINT4] = {"uint4", -1, "uint4"},
    [KAPELL_INT4] = {"int4", -1, "int4"},
    [KAPELL_FLOAT4E2M1] = {"float4e2m1", -1, "float4_e2m1fn"},
    [KAPELL_FLOAT8E8M0] = {"float8e8m0", -1, "float8_e8m0fnu"},
    [KAPELL_UINT2] = {"uint2", -1, "uint2"},
    [KAPELL_INT2] = {"int2", -1, "int2"},
    [KAPELL_FLOAT6E2M3] = {"float6e2m3", -1, "float6_e2m3fn"},
    [KAPELL_FLOAT6E3M2] = {"float6e3m2", -1, "float6_e3m2fn"},
};
static PyArray_Descr* extended[KAPELL_TYPE_COUNT];  // those of ml_dtypes, once asked for
static int extended_are_known;

const char* kpy_type_text(kapell_type type) {
  return (unsigned)type < KAPELL_TYPE_COUNT ? rows[type].text : rows[0].text;
}

// --- ml_dtypes ----------------------------------------------------------------------------------------------------------------
static int load_extended(PyObject* package) {
  for (int t = 0; t < KAPELL_TYPE_COUNT; ++t) {
    if (!rows[t].name || extended[t]) continue;
    PyObject* class = PyObject_GetAttrString(package, rows[t].name);
    PyArray_Descr* descr = NULL;
    if (class) PyArray_DescrConverter(class, &descr);
    Py_XDECREF(class);
    PyErr_Clear();  // an older ml_dtypes lacks some
    extended[t] = descr;
  }
  extended_are_known = 1;
  return 0;
}

// Looks for ml_dtypes; |load| 0: only if the program has imported it. -1 where it is not there.
static int find_extended(int load) {
  if (extended_are_known) return 0;
  PyObject* modules = PyImport_GetModuleDict();
  PyObject* package = PyDict_GetItemString(modules, "ml_dtypes");
  Py_XINCREF(package);
  if (!package && load) package = PyImport_ImportModule("ml_dtypes");
  if (!package) {
    PyErr_Clear();
    return -1;
  }
  const int result = load_extended(package);
  Py_DECREF(package);
  return result;
}

PyArray_Descr* kpy_descr_of_type(kapell_type type) {
  const type_row* row = (unsigned)type < KAPELL_TYPE_COUNT ? &rows[type] : &rows[0];
  if (row->number >= 0) return PyArray_DescrFromType(row->number);
  if (row->name && find_extended(1) == 0 && extended[type]) {
    Py_INCREF((PyObject*)extended[type]);
    return extended[type];
  }
  if (!row->name) {
    kpy_raise_as("InvalidArgument", "there is no element type %d", (int)type);
    return NULL;
  }
  kpy_raise_as("NotImplemented",
               "numpy has no type for %s; the package ml_dtypes has (pip install ml_dtypes)",
               row->text);
  return NULL;
}

static kapell_type type_of_number(int number) {
  switch (number) {
    case NPY_LONGLONG:
      return KAPELL_INT64;  // a type of its own beside NPY_INT64, with the same memory
    case NPY_ULONGLONG:
      return KAPELL_UINT64;
    case NPY_UNICODE:
    case NPY_STRING:
    case NPY_VSTRING:
      return KAPELL_STRING;
    default:
      break;
  }
  for (int t = 0; t < KAPELL_TYPE_COUNT; ++t)
    if (rows[t].number == number) return (kapell_type)t;
  return KAPELL_UNDEFINED;
}

kapell_type kpy_type_of_descr(PyArray_Descr* descr) {
  const int number = descr->type_num;
  if (number == NPY_FLOAT32) return KAPELL_FLOAT;
  if (number == NPY_INT64) return KAPELL_INT64;
  if (number < NPY_USERDEF || number == NPY_VSTRING) return type_of_number(number);
  if (find_extended(0) < 0) return KAPELL_UNDEFINED;
  for (int t = 0; t < KAPELL_TYPE_COUNT; ++t)
    if (extended[t] && extended[t]->type_num == number) return (kapell_type)t;
  return KAPELL_UNDEFINED;
}

// --- elements of less than a byte -------------------------------------------------------------------------------------------
int kpy_type_is_packed(kapell_type type) {
  const size_t bits = kapell_type_bits(type);
  return bits == 4 || bits == 2;
}

void kpy_pack(kapell_type type, const unsigned char* elements, size_t count,
              unsigned char* packed) {
  const size_t bits = kapell_type_bits(type), per = 8 / bits;
  const unsigned mask = (1u << bits) - 1;
  memset(packed, 0, (count + per - 1) / per);
  for (size_t i = 0; i < count; ++i)
    packed[i / per] |= (unsigned char)((elements[i] & mask) << (i % per * bits));
}

// Signed integers fill their byte as ml_dtypes does, the others leave its high bits zero.
void kpy_unpack(kapell_type type, const unsigned char* packed, size_t count,
                unsigned char* elements) {
  const size_t bits = kapell_type_bits(type), per = 8 / bits;
  const unsigned mask = (1u << bits) - 1;
  const unsigned sign = type == KAPELL_INT4 || type == KAPELL_INT2 ? 1u << (bits - 1) : 0;
  for (size_t i = 0; i < count; ++i) {
    const unsigned element = packed[i / per] >> (i % per * bits) & mask;
    elements[i] = (unsigned char)((element ^ sign) - sign);
  }
}

// --- type strings -------------------------------------------------------------------------------------------------------------
static PyObject* wrapped(const char* format, const kapell_type_info* inner) {
  PyObject* inside = inner ? kpy_type_string(inner) : PyUnicode_FromString("");
  PyObject* text = inside ? PyUnicode_FromFormat(format, inside) : NULL;
  Py_XDECREF(inside);
  return text;
}

PyObject* kpy_type_string(const kapell_type_info* info) {
  switch (info->kind) {
    case KAPELL_KIND_TENSOR:
      return PyUnicode_FromFormat("tensor(%s)", kpy_type_text(info->element));
    case KAPELL_KIND_SPARSE:
      return PyUnicode_FromFormat("sparse_tensor(%s)", kpy_type_text(info->element));
    case KAPELL_KIND_SEQUENCE:
      return wrapped("seq(%U)", info->inner);
    case KAPELL_KIND_OPTIONAL:
      return wrapped("optional(%U)", info->inner);
    case KAPELL_KIND_MAP: {
      PyObject* inside = info->inner ? kpy_type_string(info->inner) : PyUnicode_FromString("");
      PyObject* text =
          inside ? PyUnicode_FromFormat("map(%s,%U)", kpy_type_text(info->element), inside) : NULL;
      Py_XDECREF(inside);
      return text;
    }
    default:
      return PyUnicode_FromString("");
  }
}

int kpy_dtype_init(PyObject* module) {
  // Numbers of the types by the word in type strings, for what lies in Python.
  PyObject* numbers = PyDict_New();
  for (int t = 1; numbers && t < KAPELL_TYPE_COUNT; ++t) {
    PyObject* number = PyLong_FromLong(t);
    if (!number || PyDict_SetItemString(numbers, rows[t].text, number) < 0) Py_CLEAR(numbers);
    Py_XDECREF(number);
  }
  const int result = numbers ? PyModule_AddObjectRef(module, "ELEMENT_TYPES", numbers) : -1;
  Py_XDECREF(numbers);
  return result;
}
