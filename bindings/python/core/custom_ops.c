// CustomOpLibrary: a shared library of custom operators that was made for onnxruntime.
#include "core.h"

typedef struct library_object {
  PyObject_HEAD kapell_custom_op_library* library;
} library_object;

static PyTypeObject* library_type;

static PyObject* library_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  PyObject* path;
  (void)keywords;
  if (!PyArg_ParseTuple(args, "O&:CustomOpLibrary", PyUnicode_FSConverter, &path)) return NULL;
  PyObject* self = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
  const char* text = PyBytes_AsString(path);
  kapell_status* status = NULL;
  if (self && text) status = kapell_custom_op_library_open(text, &((library_object*)self)->library);
  Py_DECREF(path);
  if (!status) return self;
  Py_DECREF(self);
  const int is_missing = kapell_status_code(status) == KAPELL_NOT_FOUND;
  if (!is_missing) return kpy_raise(status, KPY_ANY);
  kpy_raise_as("Fail", "%s", kapell_status_message(status));  // onnxruntime's class for it
  kapell_status_free(status);
  return NULL;
}

static void library_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  kapell_custom_op_library_close(((library_object*)self)->library);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

const kapell_custom_op* const* kpy_library_ops(PyObject* object, size_t* out_count) {
  *out_count = 0;
  if (PyObject_TypeCheck(object, library_type))
    return kapell_custom_op_library_ops(((library_object*)object)->library, out_count);
  PyErr_Format(PyExc_TypeError, "%R is no CustomOpLibrary", object);
  return NULL;
}

static PyObject* get_ops(PyObject* self, void* unused) {
  size_t count;
  const kapell_custom_op* const* ops = kpy_library_ops(self, &count);
  (void)unused;
  PyObject* list = PyList_New(0);
  for (size_t i = 0; list && i < count; ++i) {
    PyObject* row = Py_BuildValue("(zz)", ops[i]->domain, ops[i]->name);
    if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
    Py_XDECREF(row);
  }
  return list;
}

static PyGetSetDef fields[] = {{"ops", get_ops, NULL, "Its operators as (domain, name).", NULL},
                               {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot slots[] = {
    {Py_tp_new, library_new},
    {Py_tp_dealloc, library_dealloc},
    {Py_tp_getset, fields},
    {Py_tp_doc,
     "CustomOpLibrary(path)\n--\n\nCustom operators of a shared library made for onnxruntime."},
    {0, NULL}};
static PyType_Spec spec = {"kapell._core.CustomOpLibrary", sizeof(library_object), 0,
                           Py_TPFLAGS_DEFAULT, slots};

int kpy_custom_ops_init(PyObject* module) {
  library_type = (PyTypeObject*)PyType_FromModuleAndSpec(module, &spec, NULL);
  if (!library_type) return -1;
  return PyModule_AddObjectRef(module, "CustomOpLibrary", (PyObject*)library_type);
}
