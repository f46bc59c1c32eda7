// I/O binding: inputs and outputs by name, kept between runs.
#include <string.h>

#include "base/alloc.h"
#include "dropin/session.h"

// One name and what is bound to it.
typedef struct bound {
  char* name;
  OrtValue* value;  // a handle of ours; an output on a device has none before the first run
  bool on_device;   // the run makes the value, each time anew
} bound;

typedef struct bound_list {
  bound* items;
  size_t count;
} bound_list;

struct OrtIoBinding {
  OrtSession* session;
  bound_list inputs, outputs;
};

// --- lists -----------------------------------------------------------------------------------------------------------------------
static void clear_list(bound_list* list) {
  for (size_t i = 0; i < list->count; ++i) {
    kp_free(list->items[i].name);
    ort_ReleaseValue(list->items[i].value);
  }
  kp_free(list->items);
  *list = (bound_list){0};
}

// Binds |value| (taken; may be NULL) to |name|, replacing what was bound to it.
static OrtStatus* set(bound_list* list, const char* name, OrtValue* value, bool on_device) {
  bound* item = NULL;
  for (size_t i = 0; i < list->count && !item; ++i)
    if (strcmp(list->items[i].name, name) == 0) item = &list->items[i];
  if (!item) {
    char* copy = kp_strdup(name);
    item = copy ? kp_ort_append((void**)&list->items, &list->count, sizeof(*item)) : NULL;
    if (!item) {
      kp_free(copy);
      ort_ReleaseValue(value);
      return kp_ort_no_memory();
    }
    item->name = copy;
  }
  ort_ReleaseValue(item->value);
  item->value = value;
  item->on_device = on_device;
  return NULL;
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateIoBinding(OrtSession* session, OrtIoBinding** out) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(out);
  *out = kp_alloc_zero(1, sizeof(**out));
  if (!*out) return kp_ort_no_memory();
  (*out)->session = session;
  return NULL;
}

void ort_ReleaseIoBinding(OrtIoBinding* binding) {
  if (!binding) return;
  clear_list(&binding->inputs);
  clear_list(&binding->outputs);
  kp_free(binding);
}

void ort_ClearBoundInputs(OrtIoBinding* binding) {
  if (binding) clear_list(&binding->inputs);
}

void ort_ClearBoundOutputs(OrtIoBinding* binding) {
  if (binding) clear_list(&binding->outputs);
}

OrtStatus* ort_BindInput(OrtIoBinding* binding, const char* name, const OrtValue* value) {
  KP_ORT_NEED(binding);
  KP_ORT_NEED(name);
  KP_ORT_NEED(value);
  if (!dropin_find_input(binding->session->session, name))
    return kp_ort_error(ORT_FAIL, "Failed to find input name in the mapping: %s", name);
  OrtValue* shared;
  KP_ORT_PASS(kp_ort_value_share(value, &shared));
  return set(&binding->inputs, name, shared, false);
}

OrtStatus* ort_BindOutput(OrtIoBinding* binding, const char* name, const OrtValue* value) {
  KP_ORT_NEED(binding);
  KP_ORT_NEED(name);
  KP_ORT_NEED(value);
  OrtValue* shared;
  KP_ORT_PASS(kp_ort_value_share(value, &shared));
  return set(&binding->outputs, name, shared, false);
}

OrtStatus* ort_BindOutputToDevice(OrtIoBinding* binding, const char* name,
                                  const OrtMemoryInfo* info) {
  KP_ORT_NEED(binding);
  KP_ORT_NEED(name);
  KP_ORT_NEED(info);
  if (!kp_ort_info_is_host(info))
    return kp_ort_error(
        ORT_FAIL, "output '%s' cannot be left on %s: no provider of this session has such memory",
        name, info->name);
  return set(&binding->outputs, name, NULL, true);
}

// A binding's lists as the arrays that a run takes.
typedef struct arrays {
  const char **input_names, **output_names;
  OrtValue **inputs, **outputs;
} arrays;

static void free_arrays(arrays* a) {
  kp_free(a->input_names);
  kp_free(a->output_names);
  kp_free(a->inputs);
  kp_free(a->outputs);
}

static OrtStatus* fill_arrays(const OrtIoBinding* binding, arrays* a) {
  const bound_list *in = &binding->inputs, *out = &binding->outputs;
  a->input_names = kp_alloc_array(in->count, sizeof(*a->input_names));
  a->inputs = kp_alloc_array(in->count, sizeof(*a->inputs));
  a->output_names = kp_alloc_array(out->count, sizeof(*a->output_names));
  a->outputs = kp_alloc_zero(out->count, sizeof(*a->outputs));
  if (!a->input_names || !a->inputs || !a->output_names || !a->outputs) return kp_ort_no_memory();
  for (size_t i = 0; i < in->count; ++i) {
    a->input_names[i] = in->items[i].name;
    a->inputs[i] = in->items[i].value;
  }
  for (size_t i = 0; i < out->count; ++i) {
    a->output_names[i] = out->items[i].name;
    if (!out->items[i].on_device) a->outputs[i] = out->items[i].value;
  }
  return NULL;
}

OrtStatus* ort_RunWithBinding(OrtSession* session, const OrtRunOptions* run_options,
                              const OrtIoBinding* binding) {
  KP_ORT_NEED(session);
  KP_ORT_NEED(binding);
  const bound_list *in = &binding->inputs, *out = &binding->outputs;
  if (out->count == 0)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "At least one output should be requested.");
  arrays a = {0};
  OrtStatus* status = fill_arrays(binding, &a);
  if (!status)
    status = dropin_run(session, run_options, a.input_names, (const OrtValue* const*)a.inputs,
                        in->count, a.output_names, out->count, a.outputs);
  for (size_t i = 0; !status && i < out->count; ++i) {
    if (!out->items[i].on_device) continue;
    ort_ReleaseValue(out->items[i].value);
    out->items[i].value = a.outputs[i];
  }
  free_arrays(&a);
  return status;
}

// Host memory is ready when a run ends.
OrtStatus* ort_SynchronizeBoundInputs(OrtIoBinding* binding) {
  KP_ORT_NEED(binding);
  return NULL;
}
OrtStatus* ort_SynchronizeBoundOutputs(OrtIoBinding* binding) {
  KP_ORT_NEED(binding);
  return NULL;
}

// All names in one text without NULs, and the length of each; both are the client's, to be freed in |allocator|.
OrtStatus* ort_GetBoundOutputNames(const OrtIoBinding* binding, OrtAllocator* allocator,
                                   char** buffer, size_t** lengths, size_t* count) {
  KP_ORT_NEED(binding);
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(buffer);
  KP_ORT_NEED(lengths);
  KP_ORT_NEED(count);
  const bound_list* out = &binding->outputs;
  *buffer = NULL;
  *lengths = NULL;
  *count = 0;
  if (out->count == 0) return NULL;
  size_t total = 0;
  for (size_t i = 0; i < out->count; ++i) total += strlen(out->items[i].name);
  char* text = allocator->Alloc(allocator, total + 1);
  size_t* sizes = text ? allocator->Alloc(allocator, out->count * sizeof(*sizes)) : NULL;
  if (!sizes) {
    if (text) allocator->Free(allocator, text);
    return kp_ort_error(ORT_FAIL, "the allocator gave no memory for %zu names", out->count);
  }
  char* at = text;
  for (size_t i = 0; i < out->count; ++i) {
    sizes[i] = strlen(out->items[i].name);
    memcpy(at, out->items[i].name, sizes[i]);
    at += sizes[i];
  }
  *at = 0;
  *buffer = text;
  *lengths = sizes;
  *count = out->count;
  return NULL;
}

// An array of handles; each is the client's to release, the array to be freed in |allocator|.
OrtStatus* ort_GetBoundOutputValues(const OrtIoBinding* binding, OrtAllocator* allocator,
                                    OrtValue*** output, size_t* output_count) {
  KP_ORT_NEED(binding);
  KP_ORT_NEED(allocator);
  KP_ORT_NEED(output);
  KP_ORT_NEED(output_count);
  const bound_list* out = &binding->outputs;
  *output = NULL;
  *output_count = 0;
  if (out->count == 0) return NULL;
  OrtValue** values = allocator->Alloc(allocator, out->count * sizeof(*values));
  if (!values)
    return kp_ort_error(ORT_FAIL, "the allocator gave no memory for %zu values", out->count);
  OrtStatus* status = NULL;
  size_t made = 0;
  while (!status && made < out->count) {
    const OrtValue* value = out->items[made].value;
    status = value ? kp_ort_value_share(value, &values[made])
                   : kp_ort_error(ORT_FAIL, "output '%s' has no value before the first run",
                                  out->items[made].name);
    if (!status) ++made;
  }
  if (status) {
    while (made) ort_ReleaseValue(values[--made]);
    allocator->Free(allocator, values);
    return status;
  }
  *output = values;
  *output_count = made;
  return NULL;
}
