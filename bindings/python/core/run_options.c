// Cancel, with which one thread ends what others do, and RunOptions.
#include "core.h"

typedef struct cancel_object {
  PyObject_HEAD kpy_cancel cancel;
} cancel_object;

typedef struct options_object {
  PyObject_HEAD kpy_cancel cancel;  // first in both objects
  uint64_t timeout_ns;
  int threads;
  PyObject* inputs;  // dict, or NULL
} options_object;

static PyTypeObject *cancel_type, *options_type;

static void set(kpy_cancel* cancel, int on) {
  cancel->set = on;
  if (on)
    kapell_cancel_request(cancel->token);
  else
    kapell_cancel_reset(cancel->token);
}

static PyObject* object_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  (void)args, (void)keywords;
  PyObject* self = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
  if (!self) return NULL;
  kapell_status* status = kapell_cancel_create(&((cancel_object*)self)->cancel.token);
  if (!status) return self;
  Py_DECREF(self);
  return kpy_raise(status, KPY_ANY);
}

static void object_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  kapell_cancel_release(((cancel_object*)self)->cancel.token);
  ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

static void options_dealloc(PyObject* self) {
  Py_CLEAR(((options_object*)self)->inputs);
  object_dealloc(self);
}

PyObject* kpy_run_options_inputs(PyObject* object) {
  return object == Py_None || !PyObject_TypeCheck(object, options_type)
             ? NULL
             : ((options_object*)object)->inputs;
}

kpy_cancel* kpy_cancel_of(PyObject* object) {
  if (PyObject_TypeCheck(object, cancel_type) || PyObject_TypeCheck(object, options_type))
    return &((cancel_object*)object)->cancel;
  PyErr_Format(PyExc_TypeError, "cancel must be a kapell.Cancel, not %R",
               (PyObject*)Py_TYPE(object));
  return NULL;
}

int kpy_run_options_read(PyObject* object, kapell_run_options* out) {
  *out = (kapell_run_options)KAPELL_RUN_OPTIONS_INIT;
  if (object == Py_None) return 0;
  if (!PyObject_TypeCheck(object, options_type)) {
    PyErr_Format(PyExc_TypeError, "run_options must be a kapell.RunOptions or None, not %R",
                 (PyObject*)Py_TYPE(object));
    return -1;
  }
  const options_object* options = (const options_object*)object;
  out->cancel = options->cancel.token;
  out->timeout_ns = options->timeout_ns;
  out->threads = options->threads;
  return 0;
}

// --- Cancel ----------------------------------------------------------------------------------------------------------------------
static PyObject* cancel_request(PyObject* self, PyObject* unused) {
  (void)unused;
  set(&((cancel_object*)self)->cancel, 1);
  Py_RETURN_NONE;
}

static PyObject* cancel_reset(PyObject* self, PyObject* unused) {
  (void)unused;
  set(&((cancel_object*)self)->cancel, 0);
  Py_RETURN_NONE;
}

static PyObject* get_requested(PyObject* self, void* unused) {
  (void)unused;
  return PyBool_FromLong(((cancel_object*)self)->cancel.set);
}

static PyMethodDef cancel_methods[] = {
    {"request", cancel_request, METH_NOARGS,
     "request()\n--\n\nEnds what was started with this object; from any thread."},
    {"reset", cancel_reset, METH_NOARGS, "reset()\n--\n\nLets it be used again."},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef cancel_fields[] = {
    {"requested", get_requested, NULL, "Whether request() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot cancel_slots[] = {
    {Py_tp_new, object_new},
    {Py_tp_dealloc, object_dealloc},
    {Py_tp_methods, cancel_methods},
    {Py_tp_getset, cancel_fields},
    {Py_tp_doc, "Lets one thread end what others do: opening a session (its option `cancel`)."},
    {0, NULL}};
static PyType_Spec cancel_spec = {"kapell.Cancel", sizeof(cancel_object), 0, Py_TPFLAGS_DEFAULT,
                                  cancel_slots};

// --- RunOptions -------------------------------------------------------------------------------------------------------------------
static int need_value(PyObject* value) {
  if (value) return 0;
  PyErr_SetString(PyExc_AttributeError, "options cannot be deleted");
  return -1;
}

static int set_terminate(PyObject* self, PyObject* value, void* unused) {
  (void)unused;
  const int on = need_value(value) < 0 ? -1 : PyObject_IsTrue(value);
  if (on < 0) return -1;
  set(&((options_object*)self)->cancel, on);
  return 0;
}

static PyObject* get_timeout(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromUnsignedLongLong(((options_object*)self)->timeout_ns);
}

static int set_timeout(PyObject* self, PyObject* value, void* unused) {
  (void)unused;
  if (need_value(value) < 0) return -1;
  const unsigned long long number = PyLong_AsUnsignedLongLong(value);
  if (PyErr_Occurred()) return -1;
  ((options_object*)self)->timeout_ns = number;
  return 0;
}

static PyObject* get_threads(PyObject* self, void* unused) {
  (void)unused;
  return PyLong_FromLong(((options_object*)self)->threads);
}

static int set_threads(PyObject* self, PyObject* value, void* unused) {
  (void)unused;
  if (need_value(value) < 0) return -1;
  const long number = PyLong_AsLong(value);
  if (PyErr_Occurred()) return -1;
  if (number < 0 || number > 256) {
    PyErr_Format(PyExc_ValueError, "threads is 0 to 256, not %ld", number);
    return -1;
  }
  ((options_object*)self)->threads = (int)number;
  return 0;
}

static PyObject* get_inputs(PyObject* self, void* unused) {
  (void)unused;
  PyObject* inputs = ((options_object*)self)->inputs;
  if (!inputs) return kpy_str_or_none(NULL);
  Py_INCREF(inputs);
  return inputs;
}

static int set_inputs(PyObject* self, PyObject* value, void* unused) {
  (void)unused;
  if (need_value(value) < 0) return -1;
  if (value != Py_None && !PyDict_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "inputs is a dict or None");
    return -1;
  }
  PyObject* before = ((options_object*)self)->inputs;
  if (value != Py_None) Py_INCREF(value);
  ((options_object*)self)->inputs = value == Py_None ? NULL : value;
  Py_XDECREF(before);
  return 0;
}

static PyGetSetDef options_fields[] = {
    {"inputs", get_inputs, set_inputs,
     "Inputs of the run that its feed leaves out, as a dict; None: none.", NULL},
    {"terminate", get_requested, set_terminate,
     "True ends the runs that use this object, within milliseconds, from any thread.", NULL},
    {"timeout_ns", get_timeout, set_timeout, "Longest run; 0: the session's limit.", NULL},
    {"threads", get_threads, set_threads, "Threads of the run; 0: the session's.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot options_slots[] = {{Py_tp_new, object_new},
                                      {Py_tp_dealloc, options_dealloc},
                                      {Py_tp_getset, options_fields},
                                      {Py_tp_doc, "Options of one run."},
                                      {0, NULL}};
static PyType_Spec options_spec = {"kapell._core.RunOptions", sizeof(options_object), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, options_slots};

int kpy_run_options_init(PyObject* module) {
  cancel_type = (PyTypeObject*)PyType_FromModuleAndSpec(module, &cancel_spec, NULL);
  options_type = (PyTypeObject*)PyType_FromModuleAndSpec(module, &options_spec, NULL);
  if (!cancel_type || !options_type) return -1;
  if (PyModule_AddObjectRef(module, "Cancel", (PyObject*)cancel_type) < 0) return -1;
  return PyModule_AddObjectRef(module, "RunOptions", (PyObject*)options_type);
}
