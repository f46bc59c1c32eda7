// Names to values: scopes of the file's text, and captures through the bodies between a value and its reader.
#include "base/nearest.h"
#include "graph/build_internal.h"

kp_status* kp_build_intern(kp_builder* b, kp_str text, const char** out_name) {
  *out_name = kp_intern(&b->model->names, text);
  if (*out_name) return NULL;
  if (text.length > 0 && memchr(text.data, 0, text.length)) {
    return KP_ERROR(INVALID_MODEL, "a name has a NUL byte after '%.*s'", KP_STR_ARG(text));
  }
  return KP_ERROR(OUT_OF_MEMORY, "names");
}

// --- the stack of what is open -----------------------------------------------------------------------------------------
static kp_status* push(kp_builder* b, kp_ptr_map* map) {
  kp_open* open = kp_arena_new(&b->scratch, kp_open);
  if (!open) return KP_ERROR(OUT_OF_MEMORY, "a scope");
  *open = (kp_open){b->open, map};
  b->open = open;
  return NULL;
}

kp_status* kp_build_push_target(kp_builder* b, kp_graph* graph, kp_target* parent, const char* path,
                                kp_target** out_target) {
  kp_target* target = kp_arena_new(&b->scratch, kp_target);
  if (!target) return KP_ERROR(OUT_OF_MEMORY, "a graph");
  *target = (kp_target){.graph = graph, .parent = parent, .path = path};
  *out_target = target;
  return push(b, &target->captured);
}

kp_status* kp_build_push_scope(kp_builder* b, const kp_scope* form, kp_scope** out_scope) {
  kp_scope* scope = kp_arena_memdup(&b->scratch, form, sizeof *form);
  if (!scope) return KP_ERROR(OUT_OF_MEMORY, "a scope");
  *out_scope = scope;
  return push(b, &scope->names);
}

void kp_build_pop(kp_builder* b, kp_open* down_to) {
  for (; b->open != down_to; b->open = b->open->next) kp_ptr_map_free(b->open->map);
}

// --- declaring ---------------------------------------------------------------------------------------------------------
kp_status* kp_build_declare(kp_builder* b, kp_scope* scope, kp_str name, kp_value_id value) {
  const char* interned;
  KP_PASS(kp_build_intern(b, name, &interned));
  return kp_build_declare_interned(scope, interned, value);
}

kp_status* kp_build_declare_interned(kp_scope* scope, const char* name, kp_value_id value) {
  uint32_t held;
  if (!kp_ptr_map_get(&scope->names, name, &held))
    return kp_ptr_map_put(&scope->names, name, value);
  kp_status* status =
      KP_ERROR(INVALID_MODEL, "the name '%s' is given to more than one value", name);
  return kp_status_at(status, NULL, NULL, name);
}

kp_status* kp_build_prefixed(kp_builder* b, const kp_scope* scope, const char* name,
                             const char** out_name) {
  *out_name = name;
  if (!scope->prefix[0]) return NULL;
  const char* full = kp_arena_printf(&b->scratch, "%s%s", scope->prefix, name);
  if (!full) return KP_ERROR(OUT_OF_MEMORY, "a name");
  return kp_build_intern(b, kp_str_of(full), out_name);
}

// --- looking up --------------------------------------------------------------------------------------------------------
static kp_status* reserve_capture(kp_target* target) {
  if (target->count < target->capacity) return NULL;
  const uint32_t capacity = target->capacity ? target->capacity * 2 : 8;
  kp_value_id* memory =
      kp_arena_new_array(&target->graph->arena, kp_value_id, 2 * (size_t)capacity);
  if (!memory) return KP_ERROR(OUT_OF_MEMORY, "%u captures", capacity);
  if (target->count > 0) {
    memcpy(memory, target->outer, target->count * sizeof *memory);
    memcpy(memory + capacity, target->inner, target->count * sizeof *memory);
  }
  target->outer = memory;
  target->inner = memory + capacity;
  target->capacity = capacity;
  return NULL;
}

// Brings value |outer| of the parent's graph into |target|: constants are shared, the rest is captured.
static kp_status* capture_one(kp_target* target, kp_value_id outer, kp_value_id* out_inner) {
  const void* key = (const void*)((uintptr_t)outer + 1);
  if (kp_ptr_map_get(&target->captured, key, out_inner)) return NULL;
  const kp_value* from = &target->parent->graph->values[outer];
  if (from->constant) {
    KP_PASS(kp_graph_add_constant(target->graph, from->name, kp_value_retain(from->constant),
                                  out_inner));
    return kp_ptr_map_put(&target->captured, key, *out_inner);
  }
  KP_PASS(reserve_capture(target));
  KP_PASS(kp_graph_add_value(target->graph, from->name, out_inner));
  target->graph->values[*out_inner].type = from->type;  // the outer arena outlives the body's
  target->outer[target->count] = outer;
  target->inner[target->count++] = *out_inner;
  return kp_ptr_map_put(&target->captured, key, *out_inner);
}

// Recursion is as deep as bodies nest.
static kp_status* capture(kp_target* target, const kp_target* owner, kp_value_id value,
                          kp_value_id* out_value) {
  *out_value = value;
  if (target == owner) return NULL;
  if (!target->parent) return KP_ERROR(INTERNAL, "a name was found in a graph that is not around");
  kp_value_id outer;
  KP_PASS(capture(target->parent, owner, value, &outer));
  return capture_one(target, outer, out_value);
}

static kp_status* unknown_name(const kp_scope* scope, kp_str name) {
  kp_nearest nearest = KP_NEAREST_INIT(name);
  for (const kp_scope* s = scope; s; s = s->outer)
    for (size_t i = 0; i < s->names.capacity; ++i)
      if (s->names.keys[i]) kp_nearest_offer(&nearest, s->names.keys[i]);
  kp_status* status =
      KP_ERROR(INVALID_MODEL, "nothing produces the value '%.*s'", KP_STR_ARG(name));
  if (nearest.best) kp_status_hint(status, "the nearest name that exists is '%s'", nearest.best);
  return status;
}

kp_status* kp_build_lookup(kp_builder* b, kp_scope* scope, kp_str name, kp_value_id* out_value) {
  *out_value = KP_NONE;
  if (name.length == 0) return NULL;
  const char* interned = kp_intern_find(&b->model->names, name);
  for (kp_scope* s = scope; s && interned; s = s->outer) {
    kp_value_id value;
    if (!kp_ptr_map_get(&s->names, interned, &value)) continue;
    if (value == KP_ABSENT) return NULL;
    return capture(scope->target, s->target, value, out_value);
  }
  return unknown_name(scope, name);
}
