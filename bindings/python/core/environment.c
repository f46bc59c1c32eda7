// What concerns no session: the log, providers, facts of the build.
//
// The log goes through |on_message| on the thread that logs, mostly without the interpreter lock. While a session is opened, warnings of
// that thread are kept and become Python warnings; all else goes to the program's function, or to standard error.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static _Thread_local kpy_capture* capturing;
static PyObject*
    log_function;  // of the program, or NULL; read and written under the interpreter lock
static volatile int has_log_function;
static PyObject* warning_class;

static void keep(kpy_capture* capture, const char* message) {
  const size_t size = strlen(message) + 1;
  if (capture->room - capture->length < size) {
    const size_t room = 2 * (capture->length + size);
    char* grown = realloc(capture->text, room);
    if (!grown) return;
    capture->text = grown;
    capture->room = room;
  }
  memcpy(capture->text + capture->length, message, size);
  capture->length += size;
}

static void call_log_function(kapell_log_level level, const char* message) {
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject *type, *error, *trace;
  PyErr_Fetch(&type, &error, &trace);
  PyObject* function = log_function;
  Py_XINCREF(function);
  PyObject* result = function ? PyObject_CallFunction(function, "is", (int)level, message) : NULL;
  if (function && !result) PyErr_WriteUnraisable(function);
  Py_XDECREF(result);
  Py_XDECREF(function);
  PyErr_Restore(type, error, trace);
  PyGILState_Release(state);
}

static void on_message(void* user, kapell_log_level level, const char* message) {
  static const char* const words[] = {"trace", "debug", "info", "warning", "error"};
  (void)user;
  if (capturing && level == KAPELL_LOG_WARNING)
    keep(capturing, message);
  else if (has_log_function)
    call_log_function(level, message);
  else if (level >= 0 && level < KAPELL_LOG_OFF)
    fprintf(stderr, "kapell %s: %s\n", words[level], message);
}

void kpy_capture_begin(kpy_capture* capture) {
  *capture = (kpy_capture){.outer = capturing};
  capturing = capture;
}

int kpy_capture_end(kpy_capture* capture, long warn_at) {
  int result = 0;
  capturing = capture->outer;
  for (size_t at = 0; warn_at > 0 && at < capture->length && result == 0;) {
    const char* text = capture->text + at;
    result = PyErr_WarnEx(warning_class, text, (Py_ssize_t)warn_at);
    at += strlen(text) + 1;
  }
  free(capture->text);
  return result;
}

// --- functions ---------------------------------------------------------------------------------------------------------------------
static PyObject* log_set_level(PyObject* module, PyObject* level) {
  (void)module;
  const long number = PyLong_AsLong(level);
  if (PyErr_Occurred()) return NULL;
  if (number < KAPELL_LOG_TRACE || number > KAPELL_LOG_OFF)
    return PyErr_Format(PyExc_ValueError, "a level of the log is 0 to 5, not %ld", number);
  kapell_log_set_level((kapell_log_level)number);
  Py_RETURN_NONE;
}

static PyObject* log_set_function(PyObject* module, PyObject* function) {
  (void)module;
  PyObject* before = log_function;
  log_function = NULL;
  if (function != Py_None) {
    Py_INCREF(function);
    log_function = function;
  }
  has_log_function = log_function != NULL;
  Py_XDECREF(before);
  Py_RETURN_NONE;
}

static int set_item(PyObject* dict, const char* key, PyObject* value) {
  const int result = value ? PyDict_SetItemString(dict, key, value) : -1;
  Py_XDECREF(value);
  return result;
}

static PyObject* describe_provider(const kapell_provider_info* info) {
  PyObject* dict = PyDict_New();
  if (dict && (set_item(dict, "name", kpy_str_or_none(info->name)) < 0 ||
               set_item(dict, "short_name", kpy_str_or_none(info->short_name)) < 0 ||
               set_item(dict, "built_in", PyBool_FromLong(info->built_in)) < 0 ||
               set_item(dict, "available", PyBool_FromLong(info->available)) < 0 ||
               set_item(dict, "version", kpy_str_or_none(info->version)) < 0 ||
               set_item(dict, "devices", kpy_str_or_none(info->devices)) < 0 ||
               set_item(dict, "reason", kpy_str_or_none(info->reason)) < 0 ||
               set_item(dict, "fix", kpy_str_or_none(info->fix)) < 0))
    Py_CLEAR(dict);
  return dict;
}

static int append(PyObject* list, PyObject* item) {
  const int result = item ? PyList_Append(list, item) : -1;
  Py_XDECREF(item);
  return result;
}

static PyObject* providers(PyObject* module, PyObject* unused) {
  (void)module, (void)unused;
  kapell_provider_info* infos = NULL;
  size_t count = 0;
  kapell_status* status;
  Py_BEGIN_ALLOW_THREADS status = kapell_providers(&infos, &count);
  Py_END_ALLOW_THREADS if (status) return kpy_raise(status, KPY_ANY);
  PyObject* list = PyList_New(0);
  for (size_t i = 0; list && i < count; ++i)
    if (append(list, describe_provider(&infos[i])) < 0) Py_CLEAR(list);
  kapell_providers_free(infos);
  return list;
}

static PyObject* describe_option(const kapell_provider_option_info* info) {
  PyObject* dict = PyDict_New();
  PyObject* values = info->values ? PyList_New(0) : kpy_str_or_none(NULL);
  for (size_t i = 0; values && info->values && info->values[i]; ++i)
    if (append(values, kpy_str_or_none(info->values[i])) < 0) Py_CLEAR(values);
  if (!dict || !values || PyDict_SetItemString(dict, "values", values) < 0 ||
      set_item(dict, "key", kpy_str_or_none(info->key)) < 0 ||
      set_item(dict, "kind", kpy_str_or_none(info->kind)) < 0 ||
      set_item(dict, "default", kpy_str_or_none(info->default_value)) < 0 ||
      set_item(dict, "min", PyFloat_FromDouble(info->min)) < 0 ||
      set_item(dict, "max", PyFloat_FromDouble(info->max)) < 0 ||
      set_item(dict, "help", kpy_str_or_none(info->help)) < 0)
    Py_CLEAR(dict);
  Py_XDECREF(values);
  return dict;
}

static PyObject* provider_options(PyObject* module, PyObject* name) {
  (void)module;
  const char* text = PyUnicode_AsUTF8AndSize(name, NULL);
  PyObject* list = text ? PyList_New(0) : NULL;
  kapell_provider_option_info info;
  for (size_t i = 0; list && kapell_provider_option_at(text, i, &info); ++i)
    if (append(list, describe_option(&info)) < 0) Py_CLEAR(list);
  return list;
}

static PyObject* register_library(PyObject* module, PyObject* arguments) {
  const char *name, *path;
  (void)module;
  if (!PyArg_ParseTuple(arguments, "ss:register_library", &name, &path)) return NULL;
  kapell_status* status;
  Py_BEGIN_ALLOW_THREADS status = kapell_provider_library_register(name, path);
  Py_END_ALLOW_THREADS if (status) return kpy_raise(status, KPY_ANY);
  Py_RETURN_NONE;
}

static PyObject* unregister_library(PyObject* module, PyObject* name) {
  (void)module;
  const char* text = PyUnicode_AsUTF8AndSize(name, NULL);
  if (!text) return NULL;
  kapell_status* status;
  Py_BEGIN_ALLOW_THREADS status = kapell_provider_library_unregister(text);
  Py_END_ALLOW_THREADS if (status) return kpy_raise(status, KPY_ANY);
  Py_RETURN_NONE;
}

static PyObject* version(PyObject* module, PyObject* unused) {
  (void)module, (void)unused;
  return PyUnicode_FromString(kapell_version());
}

static PyObject* cpu_features(PyObject* module, PyObject* unused) {
  (void)module, (void)unused;
  return PyUnicode_FromString(kapell_cpu_features());
}

PyMethodDef kpy_environment_methods[] = {
    {"log_set_level", log_set_level, METH_O,
     "log_set_level(level)\n--\n\n0 trace ... 4 error, 5 off."},
    {"log_set_function", log_set_function, METH_O,
     "log_set_function(function)\n--\n\nfunction(level, message) gets the log; None: standard "
     "error."},
    {"providers", providers, METH_NOARGS,
     "providers()\n--\n\nEvery provider known, as dicts; probes each."},
    {"provider_options", provider_options, METH_O,
     "provider_options(name)\n--\n\nThe options of a provider, as dicts."},
    {"register_library", register_library, METH_VARARGS,
     "register_library(name, path)\n--\n\nLoads a library of providers."},
    {"unregister_library", unregister_library, METH_O,
     "unregister_library(name)\n--\n\nEnds that."},
    {"version", version, METH_NOARGS, "version()\n--\n\nThe library's version."},
    {"cpu_features", cpu_features, METH_NOARGS,
     "cpu_features()\n--\n\nProcessor features that kernels are chosen by."},
    {NULL, NULL, 0, NULL}};

int kpy_environment_init(PyObject* module) {
  warning_class = PyErr_NewExceptionWithDoc(
      "kapell.KapellWarning", "Something that Kapell did otherwise than asked, with the reason.",
      PyExc_UserWarning, NULL);
  if (!warning_class || PyModule_AddObjectRef(module, "KapellWarning", warning_class) < 0)
    return -1;
  kapell_log_set_callback(on_message, NULL);
  return PyModule_AddFunctions(module, kpy_environment_methods);
}
