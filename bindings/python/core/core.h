// What the files of the extension kapell._core share. All functions are called with the interpreter lock held unless they say
// otherwise; those that can fail set a Python exception and return NULL, or -1.
#ifndef KPY_CORE_H_
#define KPY_CORE_H_

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "kapell/custom_op.h"
#include "kapell/kapell.h"

// --- status.c -----------------------------------------------------------------------------------------------------------
// When something failed: the same code is another exception while a model is loaded and while it runs.
typedef enum kpy_phase { KPY_ANY, KPY_OPENING, KPY_RUNNING } kpy_phase;

// Raises |status| (taken) as a subclass of KapellError; returns NULL.
PyObject* kpy_raise(kapell_status* status, kpy_phase phase);
// Raises the exception that onnxruntime calls |name| ("InvalidArgument") with a text as PyUnicode_FromFormat makes it; returns NULL.
PyObject* kpy_raise_as(const char* name, const char* format, ...);
int kpy_status_init(PyObject* module);

// --- dtype.c: element types; see array.h for the part that numpy's headers are needed for ---------------------------------
// "float" for KAPELL_FLOAT, as ONNX's type strings have it.
const char* kpy_type_text(kapell_type type);
// "tensor(float)", "seq(map(int64,tensor(float)))".
PyObject* kpy_type_string(const kapell_type_info* info);
int kpy_dtype_init(PyObject* module);

// --- convert*.c: Python's objects and Kapell's values -----------------------------------------------------------------------
// A value of |object|: an array (whose memory is used where it lies if it is contiguous and of native byte order, and kept
// alive by the value), a Value, a list, a dict, None, or what numpy makes an array of. |want|: what a model expects, NULL where
// nothing is known; lists and numbers get its element type. |name| is the input's, for messages, or NULL.
int kpy_value_from_object(PyObject* object, const kapell_type_info* want, const char* name,
                          kapell_value** out_value);
// The object for |value| (taken also on failure): an array that keeps the value alive, a list, a dict, None; a Value for
// sparse tensors.
PyObject* kpy_object_from_value(kapell_value* value);
// The same, but small tensors too become arrays in their own memory.
PyObject* kpy_view_of_value(kapell_value* value);

// --- value.c ------------------------------------------------------------------------------------------------------------
extern PyTypeObject* kpy_value_type;
// A new Value with |value| (taken also on failure).
PyObject* kpy_value_wrap(kapell_value* value);
// The value inside of a Value, lent; NULL, and no exception, for other objects.
kapell_value* kpy_value_of(PyObject* object);
int kpy_value_init(PyObject* module);

// --- share.c: DLPack, views of another type, sparse tensors ------------------------------------------------------------------
extern PyMethodDef kpy_share_methods[];

// --- run_options.c --------------------------------------------------------------------------------------------------------
// What Cancel holds. |set| may be read without the interpreter lock.
typedef struct kpy_cancel {
  kapell_cancel* token;
  volatile int set;
} kpy_cancel;

// Of a Cancel or a RunOptions, lent; NULL with TypeError for other objects.
kpy_cancel* kpy_cancel_of(PyObject* object);
// Fills |out| from a RunOptions (or None). -1 with TypeError for other objects.
int kpy_run_options_read(PyObject* object, kapell_run_options* out);
// Further inputs of its runs, a dict that is lent, or NULL.
PyObject* kpy_run_options_inputs(PyObject* object);
int kpy_run_options_init(PyObject* module);

// --- interrupt.c: Ctrl-C ----------------------------------------------------------------------------------------------------
// Between enter and leave, on the main thread, the signal that Ctrl-C sends requests |cancel| and sets |caught|; Python's own handler gets
// it too.
typedef struct kpy_interrupt {
  kapell_cancel* cancel;
  struct kpy_interrupt* outer;
  volatile int caught;
  int is_active;
} kpy_interrupt;

// |is_first|: of a session, or rare; interrupt.c says why. Gives |own|, or on the main thread a token where |own| is NULL.
kapell_cancel* kpy_interrupt_enter(kpy_interrupt* scope, kapell_cancel* own, int is_first);
void kpy_interrupt_leave(kpy_interrupt* scope);
int kpy_interrupt_init(void);

// --- session.c, open.c, run.c, report.c ---------------------------------------------------------------------------------------
// A session that is open, held by its object and by the runs in progress. Counted under the interpreter lock.
typedef struct kpy_open {
  size_t uses;
  kapell_session* session;
  PyObject*
      keep;  // list of what must outlive the session: the model's bytes, files in memory, the shadow check's function
  PyObject *input_index, *output_index;        // dict: name -> position
  PyObject *input_names, *output_names;        // tuple
  size_t required, input_count, output_count;  // inputs that a run must give come first
  int has_run;                                 // or begun to
} kpy_open;

typedef struct kpy_session {
  PyObject_HEAD kpy_open* open;  // NULL until __init__ is through
} kpy_session;

extern PyTypeObject* kpy_session_type;
// The open session of a Session, with one use more; NULL with an exception where there is none.
kpy_open* kpy_open_take(PyObject* session);
void kpy_open_release(kpy_open* open);
// Opens the model in the file at |path|, or in |data| if |path| is None.
kpy_open* kpy_open_new(PyObject* path, PyObject* data, PyObject* options);

// Methods, with PyCFunction's shapes.
PyObject* kpy_session_run(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names);
PyObject* kpy_session_run_values(PyObject* self, PyObject* args, PyObject* keywords);
PyObject* kpy_session_run_bound(PyObject* self, PyObject* args, PyObject* keywords);
extern PyMethodDef kpy_report_methods[];  // session.c joins them to its own
int kpy_session_init(PyObject* module);

// --- custom_ops.c -------------------------------------------------------------------------------------------------------------
// The operators of a CustomOpLibrary, lent; NULL where it has none, and with TypeError for other objects.
const kapell_custom_op* const* kpy_library_ops(PyObject* object, size_t* out_count);
int kpy_custom_ops_init(PyObject* module);

// --- environment.c ------------------------------------------------------------------------------------------------------------
// Warnings that Kapell logs on this thread between begin and end become Python warnings at the end. end: -1 where a warning filter made
// one an exception (of several, the first stays). |warn_at| is the stack level of the line that they are of; 0: they are dropped.
typedef struct kpy_capture {
  char* text;  // lines that end in NUL
  size_t length, room;
  struct kpy_capture* outer;
} kpy_capture;

void kpy_capture_begin(kpy_capture* capture);
int kpy_capture_end(kpy_capture* capture, long warn_at);
extern PyMethodDef kpy_environment_methods[];
int kpy_environment_init(PyObject* module);

// Text that Kapell gave (freed), as str.
PyObject* kpy_text_object(char* text);
// NULL for NULL: None.
PyObject* kpy_str_or_none(const char* text);

#endif  // KPY_CORE_H_
