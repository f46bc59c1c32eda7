// Kapell's statuses as Python's exceptions: KapellError, and under it the classes that onnxruntime has.
#include <string.h>

#include "core.h"

static PyObject* error_class;    // KapellError
static PyObject* error_classes;  // dict: name -> class

static const char* const class_names[] = {"Fail",
                                          "InvalidArgument",
                                          "NoSuchFile",
                                          "NoModel",
                                          "EngineError",
                                          "EPFail",
                                          "InvalidProtobuf",
                                          "ModelLoaded",
                                          "NotImplemented",
                                          "InvalidGraph",
                                          "NotFound",
                                          "DeviceReset",
                                          "ModelLoadCanceled",
                                          "RuntimeException",
                                          "ModelRequiresCompilation"};

// A message that does not read is told with the byte where reading ended.
static int is_unreadable(kapell_status* status) {
  return !kapell_status_op(status) && strncmp(kapell_status_message(status), "byte ", 5) == 0;
}

static const char* class_of(kapell_status* status, kpy_phase phase) {
  switch (kapell_status_code(status)) {
    case KAPELL_INVALID_ARGUMENT:
    case KAPELL_INVALID_INPUT:
    case KAPELL_BAD_PROVIDER_LIST:
      return "InvalidArgument";
    case KAPELL_RUN_FAILED:
      return kapell_status_op(status) ? "InvalidArgument" : "Fail";
    case KAPELL_NOT_FOUND:
      return "NoSuchFile";
    case KAPELL_NOT_A_MODEL:
      return "InvalidProtobuf";
    case KAPELL_INVALID_MODEL:
      return is_unreadable(status) ? "InvalidProtobuf" : "InvalidGraph";
    case KAPELL_UNSUPPORTED_MODEL:
      return kapell_status_op(status) ? "InvalidGraph" : "Fail";
    case KAPELL_UNSUPPORTED:
      return "NotImplemented";
    case KAPELL_PROVIDER_UNAVAILABLE:
    case KAPELL_PROVIDER_UNUSED:
    case KAPELL_PROVIDER_FAILED:
      return "EPFail";
    case KAPELL_CANCELLED:
      return phase == KPY_OPENING ? "ModelLoadCanceled" : "Fail";
    case KAPELL_INTERNAL:
    case KAPELL_OUT_OF_MEMORY:
      return "RuntimeException";
    default:
      return "Fail";
  }
}

static int set_text(PyObject* error, const char* name, const char* text) {
  PyObject* value = kpy_str_or_none(text);
  const int result = value ? PyObject_SetAttrString(error, name, value) : -1;
  Py_XDECREF(value);
  return result;
}

static int describe(PyObject* error, kapell_status* status) {
  PyObject* code = PyLong_FromLong(kapell_status_code(status));
  const int failed = !code || PyObject_SetAttrString(error, "code", code) < 0;
  Py_XDECREF(code);
  if (failed) return -1;
  if (set_text(error, "code_name", kapell_code_name(kapell_status_code(status))) < 0) return -1;
  if (set_text(error, "message", kapell_status_message(status)) < 0) return -1;
  if (set_text(error, "hint", kapell_status_hint(status)) < 0) return -1;
  if (set_text(error, "node", kapell_status_node(status)) < 0) return -1;
  if (set_text(error, "op", kapell_status_op(status)) < 0) return -1;
  return set_text(error, "value", kapell_status_value(status));
}

PyObject* kpy_raise(kapell_status* status, kpy_phase phase) {
  PyObject* class = PyDict_GetItemString(error_classes, class_of(status, phase));
  const char* text = kapell_status_text(status);
  PyObject* shown = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
  PyObject* error = class && shown ? PyObject_CallFunctionObjArgs(class, shown, NULL) : NULL;
  if (error && describe(error, status) == 0) PyErr_SetObject(class, error);
  Py_XDECREF(error);
  Py_XDECREF(shown);
  kapell_status_free(status);
  return NULL;
}

PyObject* kpy_raise_as(const char* name, const char* format, ...) {
  va_list args;
  va_start(args, format);
  PyErr_FormatV(PyDict_GetItemString(error_classes, name), format, args);
  va_end(args);
  return NULL;
}

PyObject* kpy_str_or_none(const char* text) {
  if (text) return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
  Py_RETURN_NONE;
}

PyObject* kpy_text_object(char* text) {
  PyObject* object = kpy_str_or_none(text);
  kapell_free_text(text);
  return object;
}

static int add_class(PyObject* module, const char* name, PyObject* base, PyObject** out_class) {
  static const char doc[] =
      "What Kapell says when it fails; str() is the whole chain. code (of KAPELL-Ennnn), "
      "code_name, message, hint, node, "
      "op and value are None where not known.";
  char full[64];
  PyOS_snprintf(full, sizeof full, "kapell.%s", name);
  PyObject* class = PyErr_NewExceptionWithDoc(full, doc, base, NULL);
  if (!class) return -1;
  static const char* const fields[] = {"code", "code_name", "message", "hint",
                                       "node", "op",        "value"};
  for (size_t i = 0; !base && i < sizeof fields / sizeof *fields; ++i)
    if (PyObject_SetAttrString(class, fields[i], Py_None) < 0) return -1;
  if (PyDict_SetItemString(error_classes, name, class) < 0) return -1;
  if (PyModule_AddObjectRef(module, name, class) < 0) return -1;
  if (out_class)
    *out_class = class;
  else
    Py_DECREF(class);
  return 0;
}

int kpy_status_init(PyObject* module) {
  error_classes = PyDict_New();
  if (!error_classes || add_class(module, "KapellError", NULL, &error_class) < 0) return -1;
  for (size_t i = 0; i < sizeof class_names / sizeof *class_names; ++i)
    if (add_class(module, class_names[i], error_class, NULL) < 0) return -1;
  return 0;
}
