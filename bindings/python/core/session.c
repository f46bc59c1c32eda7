// Session: an open model. Opening is in open.c, runs in run.c, reports in report.c.
#include <stdlib.h>
#include <string.h>

#include "core.h"

PyTypeObject* kpy_session_type;

kpy_open* kpy_open_take(PyObject* session) {
  kpy_open* open = ((kpy_session*)session)->open;
  if (!open) {
    PyErr_SetString(PyExc_RuntimeError, "the session is not open");
    return NULL;
  }
  ++open->uses;
  return open;
}

// Called again, it opens anew; runs in progress end on what they began with.
static int session_init(PyObject* self, PyObject* args, PyObject* keywords) {
  static char* names[] = {"path", "data", "options", NULL};
  PyObject *path, *data, *options, *file = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOO!:Session", names, &path, &data,
                                   &PyDict_Type, &options))
    return -1;
  if (path != Py_None && !PyUnicode_FSConverter(path, &file)) return -1;
  kpy_open* open = kpy_open_new(file ? file : Py_None, data, options);
  Py_XDECREF(file);
  if (!open) return -1;
  kpy_open* before = ((kpy_session*)self)->open;
  ((kpy_session*)self)->open = open;
  kpy_open_release(before);
  return 0;
}

// A function that the session calls may hold the session: the collector has to see through it.
static int session_traverse(PyObject* self, visitproc visit, void* arg) {
  const kpy_open* open = ((kpy_session*)self)->open;
  Py_VISIT(Py_TYPE(self));
  if (open) Py_VISIT(open->keep);
  return 0;
}

static int session_clear(PyObject* self) {
  kpy_open* open = ((kpy_session*)self)->open;
  ((kpy_session*)self)->open = NULL;
  kpy_open_release(open);
  return 0;
}

static void session_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  (void)session_clear(self);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

// --- inputs and outputs ------------------------------------------------------------------------------------------------------------
static PyObject* dim_object(const kapell_type_info* type, int32_t d) {
  if (type->dims[d] >= 0) return PyLong_FromLongLong(type->dims[d]);
  return kpy_str_or_none(type->symbols ? type->symbols[d] : NULL);
}

// Of an optional the shape of what it may have.
static PyObject* shape_of(const kapell_type_info* type) {
  if (type->kind == KAPELL_KIND_OPTIONAL && type->inner) type = type->inner;
  const int is_dense = type->kind == KAPELL_KIND_TENSOR || type->kind == KAPELL_KIND_SPARSE;
  const int32_t rank = is_dense && type->rank > 0 ? type->rank : 0;
  PyObject* shape = PyList_New(rank);
  for (int32_t d = 0; shape && d < rank; ++d) {
    PyObject* dim = dim_object(type, d);
    if (!dim)
      Py_CLEAR(shape);
    else
      PyList_SetItem(shape, d, dim);
  }
  return shape;
}

// [(name, type string, shape)]
static PyObject* describe(const kpy_open* open, PyObject* names, size_t begin, size_t end,
                          const kapell_io_info* (*at)(const kapell_session*, size_t)) {
  PyObject* list = PyList_New(0);
  for (size_t i = begin; list && i < end; ++i) {
    const kapell_type_info* type = at(open->session, i)->type;
    PyObject* row = Py_BuildValue("ONN", PyTuple_GetItem(names, (Py_ssize_t)i),
                                  kpy_type_string(type), shape_of(type));
    if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
    Py_XDECREF(row);
  }
  return list;
}

static PyObject* session_inputs(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  PyObject* list = describe(open, open->input_names, 0, open->required, kapell_session_input);
  kpy_open_release(open);
  return list;
}

static PyObject* session_overridable(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  PyObject* list =
      describe(open, open->input_names, open->required, open->input_count, kapell_session_input);
  kpy_open_release(open);
  return list;
}

static PyObject* session_outputs(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  PyObject* list = describe(open, open->output_names, 0, open->output_count, kapell_session_output);
  kpy_open_release(open);
  return list;
}

static PyObject* session_metadata(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  PyObject* dict = PyDict_New();
  const size_t count = kapell_session_metadata_count(open->session);
  for (size_t i = 0; dict && i < count; ++i) {
    const char *key, *value;
    kapell_session_metadata(open->session, i, &key, &value);
    PyObject* text = kpy_str_or_none(value);
    PyObject* name = kpy_str_or_none(key);
    if (!text || !name || PyDict_SetItem(dict, name, text) < 0) Py_CLEAR(dict);
    Py_XDECREF(name);
    Py_XDECREF(text);
  }
  kpy_open_release(open);
  return dict;
}

static PyMethodDef own_methods[] = {
    {"run", (PyCFunction)(void (*)(void))kpy_session_run, METH_FASTCALL | METH_KEYWORDS,
     "run(output_names, input_feed, run_options=None)\n--\n\nRuns the model; results in the order "
     "of the names (None: all)."},
    {"run_values", (PyCFunction)(void (*)(void))kpy_session_run_values,
     METH_VARARGS | METH_KEYWORDS,
     "run_values(output_names, input_feed, run_options=None)\n--\n\nThe same with Value objects in "
     "and out."},
    {"run_bound", (PyCFunction)(void (*)(void))kpy_session_run_bound, METH_VARARGS | METH_KEYWORDS,
     "run_bound(input_names, inputs, output_names, outputs, run_options=None)\n--\n\nWrites into "
     "the Value objects of "
     "|outputs| that are not None; returns all."},
    {"_inputs", session_inputs, METH_NOARGS, "Inputs as (name, type, shape)."},
    {"_overridable", session_overridable, METH_NOARGS, "Replaceable initializers, likewise."},
    {"_outputs", session_outputs, METH_NOARGS, "Outputs, likewise."},
    {"_metadata", session_metadata, METH_NOARGS, "The model's metadata."},
    {NULL, NULL, 0, NULL}};

// The methods of this file and report.c's in one table, which must outlive the type.
static PyMethodDef* all_methods(void) {
  size_t own = 0, reports = 0;
  while (own_methods[own].ml_name) ++own;
  while (kpy_report_methods[reports].ml_name) ++reports;
  PyMethodDef* all = calloc(own + reports + 1, sizeof *all);
  if (!all) return NULL;
  memcpy(all, own_methods, own * sizeof *all);
  memcpy(all + own, kpy_report_methods, reports * sizeof *all);
  return all;
}

int kpy_session_init(PyObject* module) {
  static PyMethodDef* methods;
  if (!methods) methods = all_methods();
  if (!methods) return -1;
  PyType_Slot slots[] = {{Py_tp_new, (void*)PyType_GenericNew},
                         {Py_tp_init, session_init},
                         {Py_tp_dealloc, session_dealloc},
                         {Py_tp_traverse, session_traverse},
                         {Py_tp_clear, session_clear},
                         {Py_tp_methods, methods},
                         {Py_tp_doc, "A model, placed and compiled, ready to run."},
                         {0, NULL}};
  PyType_Spec spec = {"kapell._core.Session", sizeof(kpy_session), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
  kpy_session_type = (PyTypeObject*)PyType_FromModuleAndSpec(module, &spec, NULL);
  if (!kpy_session_type) return -1;
  return PyModule_AddObjectRef(module, "Session", (PyObject*)kpy_session_type);
}
