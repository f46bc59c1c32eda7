// Runs: a dict of inputs becomes values in the order of the model, results become objects in the order that was asked for. The way of
// a small model is kept short: no copies of names, no Python code, one allocation for none.
#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { FEW = 64 };  // pointers that a call keeps on the stack

typedef struct call {
  kpy_open* open;
  kapell_value** inputs;     // first by position in the model, then those given
  const char** input_names;  // NULL: the model's order
  size_t input_count;
  kapell_value** outputs;
  const char** output_names;  // NULL: all
  size_t output_count;        // distinct ones
  size_t* where;              // of the model's outputs: position in |outputs| + 1, 0: not asked for
  size_t bound;               // of |outputs| that are the caller's
  void* room;
  void* few[FEW];
} call;

static int make_room(call* c, size_t inputs, size_t outputs) {
  const size_t count = 2 * inputs + 3 * outputs;
  void** room = c->few;
  if (count > FEW) {
    room = c->room = malloc(count * sizeof *room);
    if (!room) {
      PyErr_NoMemory();
      return -1;
    }
  }
  memset(room, 0, count * sizeof *room);
  c->inputs = (kapell_value**)room;
  c->input_names = (const char**)(void*)(room + inputs);
  c->outputs = (kapell_value**)(room + 2 * inputs);
  c->output_names = (const char**)(void*)(room + 2 * inputs + outputs);
  c->where = (size_t*)(room + 2 * inputs + 2 * outputs);
  return 0;
}

static void end_call(call* c) {
  for (size_t i = 0; i < c->input_count; ++i) kapell_value_release(c->inputs[i]);
  for (size_t i = 0; i < c->output_count; ++i) kapell_value_release(c->outputs[i]);
  free(c->room);
  kpy_open_release(c->open);
}

// --- names -----------------------------------------------------------------------------------------------------------------------
// Position of |name| in |index|, or -1 with InvalidArgument.
static Py_ssize_t find(PyObject* index, PyObject* names, PyObject* name, const char* what) {
  PyObject* number = PyDict_GetItemWithError(index, name);
  if (number) return PyLong_AsSsize_t(number);
  if (!PyErr_Occurred())
    kpy_raise_as("InvalidArgument", "Invalid %s name: %S; the model has %R", what, name, names);
  return -1;
}

static int take_output(call* c, PyObject* name) {
  const Py_ssize_t at = find(c->open->output_index, c->open->output_names, name, "output");
  if (at < 0) return -1;
  if (c->where[at]) return 0;
  c->output_names[c->output_count] = kapell_session_output(c->open->session, (size_t)at)->name;
  c->where[at] = ++c->output_count;
  return 0;
}

// |names| may be None or empty: all outputs.
static int take_outputs(call* c, PyObject* names) {
  const Py_ssize_t count = names == Py_None ? 0 : PySequence_Size(names);
  if (count < 0) return -1;
  if (PyUnicode_Check(names)) {
    PyErr_SetString(PyExc_TypeError, "output_names must be a list of names or None, not one str");
    return -1;
  }
  if (count == 0) {
    c->output_names = NULL;
    c->output_count = c->open->output_count;
    return 0;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* name = PySequence_GetItem(names, i);
    const int result = name ? take_output(c, name) : -1;
    Py_XDECREF(name);
    if (result < 0) return -1;
  }
  return 0;
}

// --- inputs ----------------------------------------------------------------------------------------------------------------------
static int take_input(call* c, PyObject* name, PyObject* object) {
  const Py_ssize_t at = find(c->open->input_index, c->open->input_names, name, "input");
  if (at < 0) return -1;
  const kapell_io_info* info = kapell_session_input(c->open->session, (size_t)at);
  Py_INCREF(object);  // the dict may change while Python code runs
  kapell_value* value = NULL;
  const int result = kpy_value_from_object(object, info->type, info->name, &value);
  Py_DECREF(object);
  if (result < 0) return -1;
  kapell_value_release(c->inputs[at]);
  c->inputs[at] = value;
  return 0;
}

static int is_optional(const call* c, size_t i) {
  return kapell_session_input(c->open->session, i)->type->kind == KAPELL_KIND_OPTIONAL;
}

static int complain_of_missing(const call* c, PyObject* feed) {
  PyObject* missing = PyList_New(0);
  PyObject* given = PyDict_Keys(feed);
  for (size_t i = 0; missing && i < c->open->required; ++i) {
    PyObject* name = PyTuple_GetItem(c->open->input_names, (Py_ssize_t)i);
    if (!PyDict_GetItemWithError(feed, name) && !is_optional(c, i) &&
        PyList_Append(missing, name) < 0)
      Py_CLEAR(missing);
  }
  if (missing && given)
    PyErr_Format(PyExc_ValueError, "Required inputs (%R) are missing from input feed (%R).",
                 missing, given);
  Py_XDECREF(missing);
  Py_XDECREF(given);
  return -1;
}

// Optional inputs that are not given are given as absent; others that are missing are an error, before names that are too many.
static int fill_missing(call* c, PyObject* feed) {
  for (size_t i = 0; i < c->open->required; ++i) {
    if (c->inputs[i]) continue;
    if (!is_optional(c, i)) return complain_of_missing(c, feed);
    kapell_status* status = kapell_optional_create(NULL, &c->inputs[i]);
    if (!status) continue;
    kpy_raise(status, KPY_RUNNING);
    return -1;
  }
  return 0;
}

// Initializers that the run replaces need names; without any the model's order says all.
static void name_inputs(call* c) {
  size_t given = c->open->required;
  for (size_t i = given; i < c->open->input_count; ++i)
    if (c->inputs[i]) {
      kapell_value* value = c->inputs[i];
      c->inputs[i] = NULL;
      c->inputs[given] = value;
      c->input_names[given++] = kapell_session_input(c->open->session, i)->name;
    }
  if (given == c->open->required)
    c->input_names = NULL;
  else
    for (size_t i = 0; i < c->open->required; ++i)
      c->input_names[i] = kapell_session_input(c->open->session, i)->name;
  c->input_count = given;
}

// Does |feed| lack an input that is needed? -1 where a key's comparison raised.
static int lacks_inputs(const call* c, PyObject* feed) {
  int lacks = 0;
  for (size_t i = 0; i < c->open->required; ++i) {
    PyObject* name = PyTuple_GetItem(c->open->input_names, (Py_ssize_t)i);
    if (PyDict_GetItemWithError(feed, name) || is_optional(c, i)) continue;
    if (PyErr_Occurred()) return -1;
    lacks = 1;
  }
  return lacks;
}

// Of a feed that lacks inputs that is said, whatever else is wrong with it, as in onnxruntime.
static int complain_of_missing_first(const call* c, PyObject* feed) {
  PyObject *type, *error, *trace;
  PyErr_Fetch(&type, &error, &trace);
  if (lacks_inputs(c, feed) <= 0) {
    PyErr_Restore(type, error, trace);
    return -1;
  }
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(trace);
  return complain_of_missing(c, feed);
}

static int take_feed(call* c, PyObject* feed) {
  PyObject *name, *object;
  Py_ssize_t at = 0;
  c->input_count = c->open->input_count;  // all are released at the end
  const int lacks = (size_t)PyDict_Size(feed) != c->open->required ? lacks_inputs(c, feed) : 0;
  if (lacks) return lacks < 0 ? -1 : complain_of_missing(c, feed);
  while (PyDict_Next(feed, &at, &name, &object))
    if (take_input(c, name, object) < 0) return complain_of_missing_first(c, feed);
  if (fill_missing(c, feed) < 0) return -1;
  name_inputs(c);
  return 0;
}

// |more| has what the feed leaves out, or is NULL.
static int take_mapping(call* c, PyObject* feed, PyObject* more) {
  if (PyDict_Check(feed) && !more) return take_feed(c, feed);
  PyObject* dict = more ? PyDict_Copy(more) : PyDict_New();
  const int result = dict && PyDict_Update(dict, feed) == 0 ? take_feed(c, dict) : -1;
  Py_XDECREF(dict);
  return result;
}

// --- running ----------------------------------------------------------------------------------------------------------------------
// After a run that the signal of Ctrl-C ended: 0 says that the signal's handler raised nothing, and the run is to be made again.
static int after_signal(const call* c) {
  if (PyErr_CheckSignals() < 0) return -1;
  if (!c->bound) return 0;
  kpy_raise_as("Fail", "a signal ended the run; its bound outputs are incomplete");
  return -1;
}

static int run(call* c, PyObject* run_options) {
  kapell_run_options options;
  if (kpy_run_options_read(run_options, &options) < 0) return -1;
  kapell_cancel* own = options.cancel;
  for (;;) {
    kapell_status* status;
    kpy_interrupt interrupt;
    options.cancel = kpy_interrupt_enter(&interrupt, own, !c->open->has_run);
    c->open->has_run = 1;
    Py_BEGIN_ALLOW_THREADS status =
        kapell_session_run(c->open->session, &options, c->input_names, c->inputs, c->input_count,
                           c->output_names, c->outputs, c->output_count);
    Py_END_ALLOW_THREADS kpy_interrupt_leave(&interrupt);
    if (!status) return 0;
    if (interrupt.caught && own && kpy_cancel_of(run_options)->set) kapell_cancel_request(own);
    if (!interrupt.caught || kapell_status_code(status) != KAPELL_CANCELLED) {
      kpy_raise(status, KPY_RUNNING);
      return -1;
    }
    kapell_status_free(status);
    if (after_signal(c) < 0) return -1;
  }
}

// --- results ----------------------------------------------------------------------------------------------------------------------
typedef PyObject* (*to_object)(kapell_value* value);

static PyObject* take_result(call* c, size_t k, to_object convert) {
  kapell_value* value = c->outputs[k];
  c->outputs[k] = NULL;
  return convert(value);
}

static PyObject* all_results(call* c, to_object convert) {
  PyObject* list = PyList_New((Py_ssize_t)c->output_count);
  for (size_t k = 0; list && k < c->output_count; ++k) {
    PyObject* object = take_result(c, k, convert);
    if (!object)
      Py_CLEAR(list);
    else
      PyList_SetItem(list, (Py_ssize_t)k, object);
  }
  return list;
}

// In the order of |names|, one that is named twice twice.
static PyObject* named_results(call* c, PyObject* names, to_object convert) {
  PyObject* distinct = all_results(c, convert);
  const Py_ssize_t count = distinct ? PySequence_Size(names) : 0;
  if (!distinct || count == PyList_Size(distinct)) return distinct;
  PyObject* list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; ++i) {
    PyObject* name = PySequence_GetItem(names, i);
    const Py_ssize_t at =
        name ? find(c->open->output_index, c->open->output_names, name, "output") : -1;
    Py_XDECREF(name);
    PyObject* object = at < 0 ? NULL : PyList_GetItem(distinct, (Py_ssize_t)c->where[at] - 1);
    if (!object) {
      Py_CLEAR(list);
      break;
    }
    Py_INCREF(object);
    PyList_SetItem(list, i, object);
  }
  Py_DECREF(distinct);
  return list;
}

static PyObject* run_feed(PyObject* self, PyObject* names, PyObject* feed, PyObject* options,
                          to_object convert) {
  call c;
  c.open = kpy_open_take(self);
  if (!c.open) return NULL;
  c.room = NULL;
  c.input_count = c.output_count = c.bound = 0;
  PyObject* result = NULL;
  if (make_room(&c, c.open->input_count, c.open->output_count) == 0 &&
      take_outputs(&c, names) == 0 &&
      take_mapping(&c, feed, kpy_run_options_inputs(options)) == 0 && run(&c, options) == 0)
    result = c.output_names ? named_results(&c, names, convert) : all_results(&c, convert);
  end_call(&c);
  return result;
}

// --- methods ------------------------------------------------------------------------------------------------------------------------
// Arguments by name of run, which Python's own parsers would take longer for than a small model runs.
static int take_keyword(PyObject* name, PyObject* value, PyObject** slots) {
  static const char* const known[] = {"output_names", "input_feed", "run_options"};
  for (size_t i = 0; i < 3; ++i) {
    if (PyUnicode_CompareWithASCIIString(name, known[i]) != 0) continue;
    if (slots[i]) {
      PyErr_Format(PyExc_TypeError, "run() got multiple values for argument '%s'", known[i]);
      return -1;
    }
    slots[i] = value;
    return 0;
  }
  PyErr_Format(PyExc_TypeError, "run() got an unexpected keyword argument '%U'", name);
  return -1;
}

PyObject* kpy_session_run(PyObject* self, PyObject* const* args, Py_ssize_t count,
                          PyObject* names) {
  PyObject* slots[3] = {NULL, NULL, NULL};
  if (count > 3)
    return PyErr_Format(PyExc_TypeError, "run() takes 2 to 3 arguments but %zd were given", count);
  for (Py_ssize_t i = 0; i < count; ++i) slots[i] = args[i];
  const Py_ssize_t named = names ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; i < named; ++i)
    if (take_keyword(PyTuple_GetItem(names, i), args[count + i], slots) < 0) return NULL;
  if (!slots[0] || !slots[1])
    return PyErr_Format(PyExc_TypeError, "run() missing required argument: '%s'",
                        slots[0] ? "input_feed" : "output_names");
  return run_feed(self, slots[0], slots[1], slots[2] ? slots[2] : Py_None, kpy_object_from_value);
}

PyObject* kpy_session_run_values(PyObject* self, PyObject* args, PyObject* keywords) {
  static char* names[] = {"output_names", "input_feed", "run_options", NULL};
  PyObject *outputs, *feed, *options = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O:run_values", names, &outputs, &feed,
                                   &options))
    return NULL;
  return run_feed(self, outputs, feed, options, kpy_value_wrap);
}

// Lists of names and values as they are.
static int take_bound(call* c, PyObject* names, PyObject* values, const char** out_names,
                      kapell_value** out_values, int may_be_none, size_t* out_count) {
  const Py_ssize_t count = PyList_Size(names);
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* object = PyList_GetItem(values, i);
    kapell_value* value = object ? kpy_value_of(object) : NULL;
    out_names[i] = PyUnicode_AsUTF8AndSize(PyList_GetItem(names, i), NULL);
    if (!object || !out_names[i]) return -1;
    if (!value && !(may_be_none && object == Py_None)) {
      PyErr_Format(PyExc_TypeError, "%R is bound to %R, which is no Value",
                   PyList_GetItem(names, i), object);
      return -1;
    }
    if (value) kapell_value_retain(value);
    out_values[i] = value;
    *out_count = (size_t)i + 1;
    c->bound += may_be_none && value;
  }
  return 0;
}

PyObject* kpy_session_run_bound(PyObject* self, PyObject* args, PyObject* keywords) {
  static char* names[] = {"input_names", "inputs", "output_names", "outputs", "run_options", NULL};
  PyObject *in_names, *ins, *out_names, *outs, *options = Py_None, *result = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!O!O!|O:run_bound", names, &PyList_Type,
                                   &in_names, &PyList_Type, &ins, &PyList_Type, &out_names,
                                   &PyList_Type, &outs, &options))
    return NULL;
  const Py_ssize_t given = PyList_Size(in_names), asked = PyList_Size(out_names);
  if (given != PyList_Size(ins) || asked != PyList_Size(outs)) {
    PyErr_SetString(PyExc_ValueError, "as many names as values are needed");
    return NULL;
  }
  call c = {.open = kpy_open_take(self)};
  if (!c.open) return NULL;
  if (make_room(&c, (size_t)given, (size_t)asked) == 0 &&
      take_bound(&c, in_names, ins, c.input_names, c.inputs, 0, &c.input_count) == 0 &&
      take_bound(&c, out_names, outs, c.output_names, c.outputs, 1, &c.output_count) == 0 &&
      run(&c, options) == 0)
    result = all_results(&c, kpy_value_wrap);
  end_call(&c);
  return result;
}
