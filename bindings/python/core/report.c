// What a session tells of itself: placement, counters, metrics, profile, memory.
#include <stdlib.h>

#include "core.h"

// --- texts -----------------------------------------------------------------------------------------------------------------------
static PyObject* text_of(PyObject* self, kapell_status* (*write)(const kapell_session*, char**)) {
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  char* text = NULL;
  kapell_status* status = write(open->session, &text);
  kpy_open_release(open);
  return status ? kpy_raise(status, KPY_ANY) : kpy_text_object(text);
}

static PyObject* placement_json(PyObject* self, PyObject* unused) {
  (void)unused;
  return text_of(self, kapell_session_placement_json);
}

static PyObject* placement_text(PyObject* self, PyObject* unused) {
  (void)unused;
  return text_of(self, kapell_session_placement_text);
}

static PyObject* placement_lock(PyObject* self, PyObject* unused) {
  (void)unused;
  return text_of(self, kapell_session_placement_lock);
}

static PyObject* check_lock(PyObject* self, PyObject* lock) {
  Py_ssize_t length;
  const char* text = PyUnicode_AsUTF8AndSize(lock, &length);
  kpy_open* open = text ? kpy_open_take(self) : NULL;
  if (!open) return NULL;
  char* difference = NULL;
  kapell_status* status =
      kapell_session_check_lock(open->session, text, (size_t)length, &difference);
  kpy_open_release(open);
  if (status && kapell_status_code(status) != KAPELL_PLACEMENT_CHANGED) {
    kapell_free_text(difference);
    return kpy_raise(status, KPY_ANY);
  }
  PyObject* said = kpy_text_object(difference);
  PyObject* result = said ? Py_BuildValue("(NN)", PyBool_FromLong(status == NULL), said) : NULL;
  kapell_status_free(status);
  return result;
}

static PyObject* edge_end(size_t index) {
  return index == SIZE_MAX ? kpy_str_or_none(NULL) : PyLong_FromSize_t(index);
}

static PyObject* placement_edges(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  kapell_placed_edge* edges = NULL;
  size_t count = 0;
  kapell_status* status = kapell_session_placement_edges(open->session, &edges, &count);
  PyObject* list = status ? kpy_raise(status, KPY_ANY) : PyList_New(0);
  for (size_t i = 0; list && i < count; ++i) {
    PyObject* row = Py_BuildValue("(NNN)", edge_end(edges[i].from), edge_end(edges[i].to),
                                  kpy_str_or_none(edges[i].value));
    if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
    Py_XDECREF(row);
  }
  kapell_edges_free(edges);
  kpy_open_release(open);
  return list;
}

static PyObject* metrics(PyObject* self, PyObject* args) {
  const char* name = NULL;
  if (!PyArg_ParseTuple(args, "|z:metrics", &name)) return NULL;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  char* text = NULL;
  kapell_status* status = kapell_session_metrics(open->session, name, &text);
  kpy_open_release(open);
  return status ? kpy_raise(status, KPY_ANY) : kpy_text_object(text);
}

static PyObject* profile_json(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  char* text = NULL;
  kapell_status* status;
  Py_BEGIN_ALLOW_THREADS status = kapell_session_profile_json(open->session, &text);
  Py_END_ALLOW_THREADS kpy_open_release(open);
  return status ? kpy_raise(status, KPY_ANY) : kpy_text_object(text);
}

// --- counters --------------------------------------------------------------------------------------------------------------------
static PyObject* provider_counters(const kapell_counters* c) {
  PyObject* dict = PyDict_New();
  for (size_t i = 0; dict && i < c->provider_count; ++i) {
    const kapell_provider_counters* p = &c->providers[i];
    PyObject* row = Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K}", "runs", (unsigned long long)p->runs, "nodes",
        (unsigned long long)p->nodes, "time_ns", (unsigned long long)p->time_ns, "failures",
        (unsigned long long)p->failures, "bytes", (unsigned long long)p->bytes);
    if (!row || PyDict_SetItemString(dict, p->provider, row) < 0) Py_CLEAR(dict);
    Py_XDECREF(row);
  }
  return dict;
}

static int add_count(PyObject* dict, const char* name, uint64_t number) {
  PyObject* object = PyLong_FromUnsignedLongLong(number);
  const int result = object ? PyDict_SetItemString(dict, name, object) : -1;
  Py_XDECREF(object);
  return result;
}

static PyObject* counters(PyObject* self, PyObject* unused) {
  (void)unused;
  kpy_open* open = kpy_open_take(self);
  if (!open) return NULL;
  kapell_counters c = {.struct_size = sizeof c};
  kapell_session_counters(open->session, &c);
  PyObject* dict = PyDict_New();
  PyObject* providers = provider_counters(&c);
  const struct {
    const char* name;
    uint64_t number;
  } rows[] = {{"runs", c.runs},
              {"failed_runs", c.failed_runs},
              {"cancelled_runs", c.cancelled_runs},
              {"failovers", c.failovers},
              {"time_ns", c.time_ns},
              {"copies", c.copies},
              {"copied_bytes", c.copied_bytes},
              {"signature_hits", c.signature_hits},
              {"signature_misses", c.signature_misses},
              {"peak_bytes", c.peak_bytes},
              {"shadow_runs", c.shadow_runs},
              {"shadow_alarms", c.shadow_alarms}};
  for (size_t i = 0; dict && i < sizeof rows / sizeof *rows; ++i)
    if (add_count(dict, rows[i].name, rows[i].number) < 0) Py_CLEAR(dict);
  if (dict && (!providers || PyDict_SetItemString(dict, "providers", providers) < 0))
    Py_CLEAR(dict);
  Py_XDECREF(providers);
  kpy_open_release(open);
  return dict;
}

// --- memory ----------------------------------------------------------------------------------------------------------------------
enum { MOST_DIMS = 64 };

// One (name, dims) into |shape|, whose dims have room for MOST_DIMS.
static int read_shape(PyObject* item, kapell_shape* shape, int64_t* dims) {
  PyObject* sizes;
  if (!PyArg_ParseTuple(item, "sO:shapes", &shape->name, &sizes)) return -1;
  const Py_ssize_t rank = PySequence_Size(sizes);
  if (rank < 0) return -1;
  if (rank > MOST_DIMS) {
    PyErr_SetString(PyExc_ValueError, "a shape of more than 64 dimensions");
    return -1;
  }
  for (Py_ssize_t d = 0; d < rank; ++d) {
    PyObject* size = PySequence_GetItem(sizes, d);
    dims[d] = size ? PyLong_AsLongLong(size) : -1;
    Py_XDECREF(size);
    if (PyErr_Occurred()) return -1;
  }
  shape->dims = dims;
  shape->rank = (int32_t)rank;
  return 0;
}

static PyObject* describe_memory(const kapell_memory_estimate* m) {
  return Py_BuildValue(
      "{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:O}", "mapped_bytes", (unsigned long long)m->mapped_bytes,
      "opening_bytes", (unsigned long long)m->opening_bytes, "session_bytes",
      (unsigned long long)m->session_bytes, "arena_bytes", (unsigned long long)m->arena_bytes,
      "scratch_bytes", (unsigned long long)m->scratch_bytes, "output_bytes",
      (unsigned long long)m->output_bytes, "peak_bytes", (unsigned long long)m->peak_bytes, "exact",
      m->exact ? Py_True : Py_False);
}

// shapes: a list of (name, dims)
static PyObject* estimate_memory(PyObject* self, PyObject* shapes) {
  const Py_ssize_t count = PyList_Size(shapes);
  if (count < 0) return NULL;
  kapell_shape* list = calloc((size_t)count + 1, sizeof *list);
  int64_t* dims = calloc((size_t)count + 1, MOST_DIMS * sizeof *dims);
  kpy_open* open = list && dims ? kpy_open_take(self) : NULL;
  int result = open ? 0 : -1;
  for (Py_ssize_t i = 0; i < count && result == 0; ++i)
    result = read_shape(PyList_GetItem(shapes, i), &list[i], dims + i * MOST_DIMS);
  kapell_memory_estimate estimate = {.struct_size = sizeof estimate};
  kapell_status* status = NULL;
  if (result == 0) {
    Py_BEGIN_ALLOW_THREADS status =
        kapell_session_estimate_memory(open->session, list, (size_t)count, &estimate);
    Py_END_ALLOW_THREADS
  } else if (!PyErr_Occurred()) {
    PyErr_NoMemory();
  }
  free(list);
  free(dims);
  kpy_open_release(open);
  if (status) return kpy_raise(status, KPY_RUNNING);
  return result == 0 ? describe_memory(&estimate) : NULL;
}

PyMethodDef kpy_report_methods[] = {
    {"_placement_json", placement_json, METH_NOARGS, "The placement as JSON."},
    {"_placement_text", placement_text, METH_NOARGS, "The placement for people."},
    {"_placement_lock", placement_lock, METH_NOARGS, "The placement as a lock."},
    {"_check_lock", check_lock, METH_O, "Compares with a lock: (same, difference or None)."},
    {"_placement_edges", placement_edges, METH_NOARGS, "Edges (from, to, value) between nodes."},
    {"_counters", counters, METH_NOARGS, "Counters of all runs so far."},
    {"_profile_json", profile_json, METH_NOARGS, "The profile so far as Chrome trace JSON."},
    {"_estimate_memory", estimate_memory, METH_O, "Memory of a run with inputs of these shapes."},
    {"metrics", metrics, METH_VARARGS,
     "metrics(name=None)\n--\n\nCounters and placement in the text form that Prometheus reads."},
    {NULL, NULL, 0, NULL}};
