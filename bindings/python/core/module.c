// The module kapell._core: types and functions of the other files.
#define KPY_IMPORTS_NUMPY 1
#include "array.h"

static struct PyModuleDef module_def = {PyModuleDef_HEAD_INIT,
                                        "kapell._core",
                                        "Kapell's library for Python; use the package kapell.",
                                        -1,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL,
                                        NULL};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void) {
  if (_import_array() < 0) return NULL;
  PyObject* module = PyModule_Create(&module_def);
  if (!module) return NULL;
  if (kpy_status_init(module) == 0 && kpy_dtype_init(module) == 0 && kpy_value_init(module) == 0 &&
      PyModule_AddFunctions(module, kpy_share_methods) == 0 && kpy_run_options_init(module) == 0 &&
      kpy_environment_init(module) == 0 && kpy_session_init(module) == 0 &&
      kpy_custom_ops_init(module) == 0 && kpy_interrupt_init() == 0)
    return module;
  Py_DECREF(module);
  return NULL;
}
