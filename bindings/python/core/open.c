// Opening a session: a dict of options as kapell_options, the model's file or bytes, progress and cancelling.
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

// --- plain options ----------------------------------------------------------------------------------------------------------
typedef enum field_kind {
  FIELD_BOOL,
  FIELD_INT,
  FIELD_U32,
  FIELD_U64,
  FIELD_DOUBLE,
  FIELD_TEXT
} field_kind;
typedef struct field {
  const char* name;
  field_kind kind;
  size_t offset;
} field;
#define FIELD(name, kind) \
  { #name, kind, offsetof(kapell_options, name) }

static const field fields[] = {
    FIELD(providers, FIELD_TEXT),       FIELD(threads, FIELD_INT),
    FIELD(cpu_mask, FIELD_TEXT),        FIELD(external_folder, FIELD_TEXT),
    FIELD(fold_bytes, FIELD_U64),       FIELD(fold_ns, FIELD_U64),
    FIELD(no_optimize, FIELD_BOOL),     FIELD(on_failure, FIELD_INT),
    FIELD(signature_cache, FIELD_U32),  FIELD(run_timeout_ns, FIELD_U64),
    FIELD(profile_path, FIELD_TEXT),    FIELD(untrusted, FIELD_BOOL),
    FIELD(max_memory, FIELD_U64),       FIELD(max_nodes, FIELD_U64),
    FIELD(max_iterations, FIELD_U64),   FIELD(open_timeout_ns, FIELD_U64),
    FIELD(allow_libraries, FIELD_BOOL), FIELD(keep_values, FIELD_BOOL),
    FIELD(profile, FIELD_BOOL),         FIELD(shadow_every, FIELD_U32),
    FIELD(shadow_atol, FIELD_DOUBLE),   FIELD(shadow_rtol, FIELD_DOUBLE),
    FIELD(provider_path, FIELD_TEXT),   FIELD(flush_denormals, FIELD_BOOL),
    FIELD(no_spin, FIELD_BOOL),         FIELD(optimized_path, FIELD_TEXT)};

enum { MOST_LIBRARIES = 32 };  // of custom operators

// What opening needs, and lets go at its end.
typedef struct opening {
  kapell_options options;
  PyObject* dict;
  PyObject* keep;      // list: outlives the session
  PyObject* texts;     // list: objects whose text is pointed to
  PyObject* progress;  // borrowed, or NULL
  kpy_cancel* cancel;  // or NULL
  long warn_at;        // whose line warnings are of: frames up from here; 0: they are dropped
  kpy_interrupt interrupt;
  PyObject *error_type, *error, *error_trace;  // what |progress| raised
  void* lists[8 + MOST_LIBRARIES];             // freed at the end
  size_t list_count;
} opening;

static int hold(PyObject* list, PyObject* object) { return PyList_Append(list, object); }

static const char* text_of(opening* o, PyObject* object) {
  const char* text = PyUnicode_AsUTF8AndSize(object, NULL);
  return text && hold(o->texts, object) == 0 ? text : NULL;
}

static int set_unsigned(const field* f, PyObject* value, uint64_t most, uint64_t* out) {
  const unsigned long long number = PyLong_AsUnsignedLongLong(value);
  if (PyErr_Occurred()) return -1;
  if (number > most) {
    PyErr_Format(PyExc_OverflowError, "%s is at most %llu, not %llu", f->name,
                 (unsigned long long)most, number);
    return -1;
  }
  *out = number;
  return 0;
}

static int set_int(const field* f, PyObject* value, int* out) {
  const long number = PyLong_AsLong(value);
  if (PyErr_Occurred()) return -1;
  if (number > INT_MAX || number < INT_MIN) {
    PyErr_Format(PyExc_OverflowError, "%s is %ld", f->name, number);
    return -1;
  }
  *out = (int)number;
  return 0;
}

static int set_field(opening* o, const field* f, PyObject* value) {
  char* at = (char*)&o->options + f->offset;
  uint64_t number = 0;
  int is_true;
  switch (f->kind) {
    case FIELD_BOOL:
      if ((is_true = PyObject_IsTrue(value)) < 0) return -1;
      *(bool*)at = is_true != 0;
      return 0;
    case FIELD_INT:
      return set_int(f, value, (int*)(void*)at);
    case FIELD_U32:
      if (set_unsigned(f, value, UINT32_MAX, &number) < 0) return -1;
      *(uint32_t*)(void*)at = (uint32_t)number;
      return 0;
    case FIELD_U64:
      return set_unsigned(f, value, UINT64_MAX, (uint64_t*)(void*)at);
    case FIELD_DOUBLE:
      *(double*)(void*)at = PyFloat_AsDouble(value);
      return PyErr_Occurred() ? -1 : 0;
    case FIELD_TEXT:
      *(const char**)(void*)at = text_of(o, value);
      return *(char**)(void*)at ? 0 : -1;
  }
  return -1;
}

// --- lists --------------------------------------------------------------------------------------------------------------------
// Room for a list of |count| elements that lives while the session is opened.
static void* new_list(opening* o, Py_ssize_t count, size_t size) {
  void* list = count < 0 ? NULL : calloc((size_t)count + 1, size);
  if (list)
    o->lists[o->list_count++] = list;
  else if (!PyErr_Occurred())
    PyErr_NoMemory();
  return list;
}

static int set_provider_option(opening* o, PyObject* item, void* at) {
  kapell_provider_option* option = at;
  PyObject *key, *value;
  if (!PyArg_ParseTuple(item, "UU:provider_options", &key, &value)) return -1;
  option->key = text_of(o, key);
  option->value = option->key ? text_of(o, value) : NULL;
  return option->value ? 0 : -1;
}

static int set_config_entry(opening* o, PyObject* item, void* at) {
  kapell_config_entry* entry = at;
  PyObject *key, *value;
  if (!PyArg_ParseTuple(item, "UU:config_entries", &key, &value)) return -1;
  entry->key = text_of(o, key);
  entry->value = entry->key ? text_of(o, value) : NULL;
  return entry->value ? 0 : -1;
}

static int set_initializer(opening* o, PyObject* item, void* at) {
  kapell_initializer* initializer = at;
  PyObject *name, *value;
  int may_be_absent;
  if (!PyArg_ParseTuple(item, "UOp:initializers", &name, &value, &may_be_absent)) return -1;
  initializer->value = kpy_value_of(value);
  initializer->may_be_absent = may_be_absent != 0;
  if (!initializer->value) {
    PyErr_Format(PyExc_TypeError, "the initializer %R is no Value", name);
    return -1;
  }
  initializer->name = text_of(o, name);
  return initializer->name ? hold(o->keep, value) : -1;
}

static int set_dimension(opening* o, PyObject* item, void* at) {
  kapell_dimension* dimension = at;
  PyObject* name;
  int is_denotation;
  long long value;
  if (!PyArg_ParseTuple(item, "UpL:dimensions", &name, &is_denotation, &value)) return -1;
  dimension->is_denotation = is_denotation != 0;
  dimension->value = value;
  dimension->name = text_of(o, name);
  return dimension->name ? 0 : -1;
}

// A memoryview of |object|, kept with the session, and its bytes.
static int keep_buffer(opening* o, PyObject* object, const void** out_data, size_t* out_size) {
  Py_buffer buffer;
  PyObject* view = PyMemoryView_FromObject(object);
  if (!view) return -1;
  int result = PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE);
  if (result == 0) {
    *out_data = buffer.buf;
    *out_size = (size_t)buffer.len;
    PyBuffer_Release(&buffer);  // the view holds the memory
    result = hold(o->keep, view);
  }
  Py_DECREF(view);
  return result;
}

static int set_file(opening* o, PyObject* item, void* at) {
  kapell_memory_file* file = at;
  PyObject *name, *data;
  if (!PyArg_ParseTuple(item, "UO:memory_files", &name, &data)) return -1;
  file->name = text_of(o, name);
  return file->name ? keep_buffer(o, data, &file->data, &file->byte_count) : -1;
}

static int set_folder(opening* o, PyObject* item, void* at) {
  const char** folder = at;
  *folder = text_of(o, item);
  return *folder ? 0 : -1;
}

// Several libraries' operators become one list, which the loop over list_fields cannot make: each call adds one library's.
static int add_library(opening* o, PyObject* library) {
  size_t count;
  const kapell_custom_op* const* ops = kpy_library_ops(library, &count);
  if (!ops) return PyErr_Occurred() ? -1 : 0;
  const size_t before = o->options.custom_op_count;
  const kapell_custom_op** all = new_list(o, (Py_ssize_t)(before + count), sizeof *all);
  if (!all || hold(o->keep, library) < 0) return -1;
  for (size_t i = 0; i < before; ++i) all[i] = o->options.custom_ops[i];
  for (size_t i = 0; i < count; ++i) all[before + i] = ops[i];
  o->options.custom_ops = all;
  o->options.custom_op_count = before + count;
  return 0;
}

static int add_libraries(opening* o, PyObject* libraries) {
  const Py_ssize_t count = PySequence_Size(libraries);
  if (count < 0) return -1;
  if (count > MOST_LIBRARIES) {
    PyErr_Format(PyExc_ValueError, "%zd libraries of custom operators; %d is the most", count,
                 MOST_LIBRARIES);
    return -1;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* library = PySequence_GetItem(libraries, i);
    const int result = library ? add_library(o, library) : -1;
    Py_XDECREF(library);
    if (result < 0) return -1;
  }
  return 0;
}

typedef struct list_field {
  const char* name;
  size_t size, list, count;  // of an element; offsets
  int (*set)(opening* o, PyObject* item, void* at);
} list_field;
#define LIST(name, type, list, count, set) \
  { name, sizeof(type), offsetof(kapell_options, list), offsetof(kapell_options, count), set }

static const list_field list_fields[] = {
    LIST("provider_options", kapell_provider_option, provider_options, provider_option_count,
         set_provider_option),
    LIST("config_entries", kapell_config_entry, config_entries, config_entry_count,
         set_config_entry),
    LIST("initializers", kapell_initializer, initializers, initializer_count, set_initializer),
    LIST("dimensions", kapell_dimension, dimensions, dimension_count, set_dimension),
    LIST("memory_files", kapell_memory_file, memory_files, memory_file_count, set_file),
    LIST("link_folders", const char*, link_folders, link_folder_count, set_folder)};

static int set_list(opening* o, const list_field* f, PyObject* items) {
  const Py_ssize_t count = PySequence_Size(items);
  char* list = new_list(o, count, f->size);
  if (!list) return -1;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PySequence_GetItem(items, i);
    const int result = item ? f->set(o, item, list + (size_t)i * f->size) : -1;
    Py_XDECREF(item);
    if (result < 0) return -1;
  }
  *(void**)(void*)((char*)&o->options + f->list) = list;
  *(size_t*)(void*)((char*)&o->options + f->count) = (size_t)count;
  return 0;
}

// --- callbacks ----------------------------------------------------------------------------------------------------------------
static bool call_progress(opening* o, double done, const char* what) {
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject* result = PyObject_CallFunction(o->progress, "dz", done, what);
  const int cancels = result ? PyObject_IsTrue(result) : -1;
  Py_XDECREF(result);
  if (cancels < 0) PyErr_Fetch(&o->error_type, &o->error, &o->error_trace);
  PyGILState_Release(state);
  return cancels != 0;
}

// On the opening thread, without the interpreter lock.
static bool on_progress(void* user, double done, const char* what) {
  opening* o = user;
  if (o->interrupt.caught || (o->cancel && o->cancel->set) || o->error_type) return true;
  return o->progress && call_progress(o, done, what);
}

static PyObject* describe_output(const kapell_shadow_output* output) {
  const kapell_difference* d = &output->difference;
  return Py_BuildValue("{s:z,s:O,s:O,s:n,s:n,s:n,s:d,s:d}", "name", output->name, "alarm",
                       output->alarm ? Py_True : Py_False, "comparable",
                       d->comparable ? Py_True : Py_False, "count", (Py_ssize_t)d->count, "wrong",
                       (Py_ssize_t)d->wrong, "worst", (Py_ssize_t)d->worst, "most", d->most,
                       "relative_rms", d->relative_rms);
}

static PyObject* describe_report(const kapell_shadow_report* report) {
  PyObject* outputs = PyList_New(0);
  for (size_t i = 0; outputs && i < report->output_count; ++i) {
    PyObject* item = describe_output(&report->outputs[i]);
    if (!item || PyList_Append(outputs, item) < 0) Py_CLEAR(outputs);
    Py_XDECREF(item);
  }
  if (!outputs) return NULL;
  return Py_BuildValue("{s:K,s:O,s:z,s:N}", "run", (unsigned long long)report->run, "alarm",
                       report->alarm ? Py_True : Py_False, "failure", report->failure, "outputs",
                       outputs);
}

// Within a run, on its thread. What the function raises has nowhere to go from here: Python reports it as it does for destructors.
static void on_shadow(void* user, const kapell_shadow_report* report) {
  const PyGILState_STATE state = PyGILState_Ensure();
  PyObject* function = user;
  PyObject* described = describe_report(report);
  PyObject* result = described ? PyObject_CallFunctionObjArgs(function, described, NULL) : NULL;
  if (!result) PyErr_WriteUnraisable(function);
  Py_XDECREF(result);
  Py_XDECREF(described);
  PyGILState_Release(state);
}

// --- opening --------------------------------------------------------------------------------------------------------------------
static int read_special(opening* o, const char* key, PyObject* value, int* out_known) {
  *out_known = 1;
  if (strcmp(key, "progress") == 0) {
    o->progress = value;
    return 0;
  }
  if (strcmp(key, "cancel") == 0) {
    o->cancel = kpy_cancel_of(value);
    return o->cancel ? 0 : -1;
  }
  if (strcmp(key, "custom_op_libraries") == 0) return add_libraries(o, value);
  if (strcmp(key, "warn_at") == 0) {
    o->warn_at = PyLong_AsLong(value);
    return PyErr_Occurred() ? -1 : 0;
  }
  if (strcmp(key, "shadow") == 0) {
    o->options.shadow = on_shadow;
    o->options.shadow_user = value;
    return hold(o->keep, value);
  }
  for (size_t i = 0; i < sizeof list_fields / sizeof *list_fields; ++i)
    if (strcmp(key, list_fields[i].name) == 0) return set_list(o, &list_fields[i], value);
  *out_known = 0;
  return 0;
}

static int read_option(opening* o, PyObject* key, PyObject* value) {
  int known;
  const char* name = PyUnicode_AsUTF8AndSize(key, NULL);
  if (!name) return -1;
  if (value == Py_None) return 0;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
    if (strcmp(name, fields[i].name) != 0) continue;
    if (set_field(o, &fields[i], value) == 0) return 0;
    if (PyErr_ExceptionMatches(PyExc_TypeError))
      PyErr_Format(PyExc_TypeError, "option %s: %R does not fit", name, value);
    return -1;
  }
  if (read_special(o, name, value, &known) < 0) return -1;
  if (known) return 0;
  PyErr_Format(PyExc_TypeError, "there is no option %R", key);
  return -1;
}

static int read_options(opening* o) {
  PyObject *key, *value;
  Py_ssize_t at = 0;
  o->options = (kapell_options)KAPELL_OPTIONS_INIT;
  o->options.progress = on_progress;
  o->options.progress_user = o;
  while (PyDict_Next(o->dict, &at, &key, &value))
    if (read_option(o, key, value) < 0) return -1;
  return 0;
}

static kapell_status* open_session(opening* o, PyObject* path, const void* data, size_t size,
                                   kapell_session** out) {
  const char* file = NULL;
  kapell_status* status;
  if (path != Py_None) {
    char* bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(path, &bytes, &length) < 0) return NULL;
    file = bytes;
  }
  (void)kpy_interrupt_enter(&o->interrupt, NULL, 1);
  Py_BEGIN_ALLOW_THREADS status = file ? kapell_session_open_file(file, &o->options, out)
                                       : kapell_session_open(data, size, &o->options, out);
  Py_END_ALLOW_THREADS kpy_interrupt_leave(&o->interrupt);
  return status;
}

// Turns what came of opening into a session or an exception.
static kapell_session* settle(opening* o, kapell_status* status, kapell_session* session,
                              int is_empty, kpy_capture* warnings) {
  if (o->error_type) {  // what the progress function raised comes before what it led to
    kapell_status_free(status);
    PyErr_Restore(o->error_type, o->error, o->error_trace);
    status = NULL;
  } else if (o->interrupt.caught && PyErr_CheckSignals() < 0) {
    kapell_status_free(status);
    status = NULL;
  } else if (status && is_empty) {
    kapell_status_free(status);
    kpy_raise_as("InvalidArgument", "no model: there are no bytes");
    status = NULL;
  } else if (status) {
    kpy_raise(status, KPY_OPENING);
  }
  const int failed = PyErr_Occurred() != NULL;
  if (kpy_capture_end(warnings, failed || !session ? 0 : o->warn_at) < 0 || failed) {
    kapell_session_close(session);
    return NULL;
  }
  return session;
}

static void end_opening(opening* o) {
  for (size_t i = 0; i < o->list_count; ++i) free(o->lists[i]);
  Py_XDECREF(o->texts);
}

static kapell_session* open_with(opening* o, PyObject* path, PyObject* data) {
  const void* bytes = NULL;
  size_t size = 0;
  kapell_session* session = NULL;
  kpy_capture warnings;
  if (read_options(o) < 0) return NULL;
  if (path == Py_None) {
    if (keep_buffer(o, data, &bytes, &size) < 0) return NULL;
    o->options.borrow_bytes = PyBytes_Check(data);  // what may change is copied
  }
  kpy_capture_begin(&warnings);
  kapell_status* status = open_session(o, path, bytes, size, &session);
  return settle(o, status, session, path == Py_None && size == 0, &warnings);
}

// --- what a session is asked with --------------------------------------------------------------------------------------------------
static int index_names(const kapell_io_info* (*at)(const kapell_session*, size_t),
                       const kapell_session* session, size_t count, PyObject** out_names,
                       PyObject** out_index) {
  *out_names = PyTuple_New((Py_ssize_t)count);
  *out_index = PyDict_New();
  for (size_t i = 0; *out_names && *out_index && i < count; ++i) {
    const char* text = at(session, i)->name;
    PyObject* name = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
    PyObject* number = name ? PyLong_FromSize_t(i) : NULL;
    if (name) PyUnicode_InternInPlace(&name);  // names in programs are the same object then
    const int failed = !number || PyDict_SetItem(*out_index, name, number) < 0;
    Py_XDECREF(number);
    if (failed) {
      Py_XDECREF(name);
      return -1;
    }
    PyTuple_SetItem(*out_names, (Py_ssize_t)i, name);
  }
  return *out_names && *out_index ? 0 : -1;
}

static int index_session(kpy_open* open) {
  const kapell_session* s = open->session;
  open->required = kapell_session_input_count(s);
  open->input_count = open->required + kapell_session_overridable_count(s);
  open->output_count = kapell_session_output_count(s);
  if (index_names(kapell_session_input, s, open->input_count, &open->input_names,
                  &open->input_index) < 0)
    return -1;
  return index_names(kapell_session_output, s, open->output_count, &open->output_names,
                     &open->output_index);
}

void kpy_open_release(kpy_open* open) {
  if (!open || --open->uses) return;
  if (open->session) {
    Py_BEGIN_ALLOW_THREADS kapell_session_close(open->session);
    Py_END_ALLOW_THREADS
  }
  Py_XDECREF(open->input_names);
  Py_XDECREF(open->input_index);
  Py_XDECREF(open->output_names);
  Py_XDECREF(open->output_index);
  Py_XDECREF(open->keep);
  free(open);
}

kpy_open* kpy_open_new(PyObject* path, PyObject* data, PyObject* options) {
  kpy_open* open = calloc(1, sizeof *open);
  opening o = {.dict = options};
  if (!open) {
    PyErr_NoMemory();
    return NULL;
  }
  open->uses = 1;
  open->keep = o.keep = PyList_New(0);
  o.texts = PyList_New(0);
  if (o.keep && o.texts) open->session = open_with(&o, path, data);
  end_opening(&o);
  if (open->session && index_session(open) == 0) return open;
  kpy_open_release(open);
  return NULL;
}
