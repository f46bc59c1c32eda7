// Opening and closing sessions; their reports and counters.
#include "api/config.h"
#include "api/shadow.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "kapell/custom_op.h"
#include "plan/lock.h"

// The caller's options with every field this build knows: what an older program does not know is zero, the default.
static kp_status* copy_options(const kapell_options* given, kapell_options* out) {
  *out = (kapell_options)KAPELL_OPTIONS_INIT;
  if (!given) return NULL;
  if (given->struct_size < sizeof(size_t))
    return kp_status_hint(
        KP_ERROR(INVALID_ARGUMENT, "options->struct_size is %zu", given->struct_size),
        "start from KAPELL_OPTIONS_INIT");
  memcpy(out, given, given->struct_size < sizeof(*out) ? given->struct_size : sizeof(*out));
  out->struct_size = sizeof(*out);
  return NULL;
}

// The same, with what the configuration file says where the program says nothing.
static kp_status* complete_options(const kapell_options* given, kp_arena* arena,
                                   kapell_options* out) {
  KP_PASS(copy_options(given, out));
  KP_PASS(kp_config_apply(out, arena));
  if (out->threads < 0 || out->threads > 256)
    return KP_ERROR(INVALID_ARGUMENT, "options->threads is %d; 0 (default) to 256 are possible",
                    out->threads);
  if (out->signature_cache > 4096)
    return KP_ERROR(INVALID_ARGUMENT,
                    "options->signature_cache is %u; 0 (default) to 4096 are possible",
                    out->signature_cache);
  if (out->on_failure != KAPELL_ON_FAILURE_ERROR && out->on_failure != KAPELL_ON_FAILURE_CONTINUE)
    return KP_ERROR(INVALID_ARGUMENT, "options->on_failure is %d", (int)out->on_failure);
  if ((out->provider_option_count && !out->provider_options) ||
      (out->link_folder_count && !out->link_folders) ||
      (out->custom_op_count && !out->custom_ops) ||
      (out->initializer_count && !out->initializers) ||
      (out->dimension_count && !out->dimensions) || (out->memory_file_count && !out->memory_files))
    return KP_ERROR(INVALID_ARGUMENT, "a count in options is set and its array is NULL");
  kp_limits_complete(out);
  return NULL;
}

static kp_status* copy_text(kapell_session* session, const char** text) {
  if (!*text) return NULL;
  *text = kp_arena_strndup(&session->arena, *text, strlen(*text));
  return *text ? NULL : KP_ERROR(OUT_OF_MEMORY, "the session");
}

// Options outlive the call: a second core may be opened from them.
static kp_status* keep_options(kapell_session* session) {
  kapell_options* o = &session->options;
  KP_PASS(copy_text(session, &o->providers));
  KP_PASS(copy_text(session, &o->cpu_mask));
  KP_PASS(copy_text(session, &o->external_folder));
  KP_PASS(copy_text(session, &o->profile_path));
  KP_PASS(copy_text(session, &o->optimized_path));
  KP_PASS(copy_text(session, &session->path));
  kapell_provider_option* options =
      kp_arena_new_array(&session->arena, kapell_provider_option, o->provider_option_count + 1);
  const char** folders = kp_arena_new_array(&session->arena, const char*, o->link_folder_count + 1);
  if (!options || !folders) return KP_ERROR(OUT_OF_MEMORY, "the session");
  for (size_t i = 0; i < o->provider_option_count; ++i) {
    options[i] = o->provider_options[i];
    KP_PASS(copy_text(session, &options[i].key));
    KP_PASS(copy_text(session, &options[i].value));
  }
  kapell_config_entry* entries =
      kp_arena_new_array(&session->arena, kapell_config_entry, o->config_entry_count + 1);
  if (!entries) return KP_ERROR(OUT_OF_MEMORY, "the session");
  for (size_t i = 0; i < o->config_entry_count; ++i) {
    entries[i] = o->config_entries[i];
    if (!entries[i].key || !entries[i].value)
      return KP_ERROR(INVALID_ARGUMENT, "options->config_entries[%zu] has no key or no value", i);
    KP_PASS(copy_text(session, &entries[i].key));
    KP_PASS(copy_text(session, &entries[i].value));
  }
  o->config_entries = entries;
  for (size_t i = 0; i < o->link_folder_count; ++i) {
    folders[i] = o->link_folders[i];
    KP_PASS(copy_text(session, &folders[i]));
  }
  o->provider_options = options;
  o->link_folders = folders;
  if (!o->custom_op_count) return NULL;
  const kapell_custom_op** custom =
      kp_arena_new_array(&session->arena, const kapell_custom_op*, o->custom_op_count);
  if (!custom) return KP_ERROR(OUT_OF_MEMORY, "the session");
  for (size_t i = 0; i < o->custom_op_count; ++i) custom[i] = o->custom_ops[i];
  o->custom_ops = custom;
  return NULL;
}

// What the model is opened with instead of its own. Values are retained until the session is closed.
static kp_status* keep_overrides(kapell_session* session) {
  kapell_options* o = &session->options;
  kapell_initializer* initializers =
      kp_arena_new_array(&session->arena, kapell_initializer, o->initializer_count + 1);
  kapell_dimension* dimensions =
      kp_arena_new_array(&session->arena, kapell_dimension, o->dimension_count + 1);
  kapell_memory_file* files =
      kp_arena_new_array(&session->arena, kapell_memory_file, o->memory_file_count + 1);
  if (!initializers || !dimensions || !files) return KP_ERROR(OUT_OF_MEMORY, "the session");
  for (size_t i = 0; i < o->initializer_count; ++i) {
    initializers[i] = o->initializers[i];
    KP_PASS(copy_text(session, &initializers[i].name));
  }
  for (size_t i = 0; i < o->dimension_count; ++i) {
    dimensions[i] = o->dimensions[i];
    KP_PASS(copy_text(session, &dimensions[i].name));
  }
  for (size_t i = 0; i < o->memory_file_count; ++i) {
    files[i] = o->memory_files[i];
    KP_PASS(copy_text(session, &files[i].name));
    if (!files[i].name)
      return KP_ERROR(INVALID_ARGUMENT, "options->memory_files[%zu] has no name", i);
  }
  o->dimensions = dimensions;
  o->memory_files = files;
  o->initializers = session->kept_initializers = initializers;
  for (size_t i = 0; i < o->initializer_count; ++i) kp_value_retain(initializers[i].value);
  return NULL;
}

// Where the first core's model has its bytes, for a second one.
static void find_bytes(kapell_session* session, const void* bytes, size_t byte_count) {
  const kp_onnx_model* source = session->core->model->source;
  session->bytes = source->copy ? source->copy : bytes;
  session->byte_count = byte_count;
}

static kp_status* open_session(kapell_session* session, const void* bytes, size_t byte_count) {
  KP_PASS(keep_options(session));
  KP_PASS(keep_overrides(session));
  const kp_core_options core = {.user = &session->options,
                                .path = session->path,
                                .bytes = bytes,
                                .byte_count = byte_count,
                                .borrow_bytes = session->options.borrow_bytes};
  KP_PASS(kp_core_open(&core, &session->core));
  session->options.progress = NULL;  // it was for this call alone
  find_bytes(session, bytes, byte_count);
  KP_PASS(kp_session_describe(session));
  KP_PASS(
      kp_report_build(kp_core_current(session->core)->set, &session->arena, &session->placement));
  const kp_chain* chain = session->core->chain;
  session->entries =
      kp_arena_new_array(&session->arena, kapell_provider_counters, (size_t)chain->count + 1);
  if (!session->entries) return KP_ERROR(OUT_OF_MEMORY, "the session");
  for (uint32_t e = 0; e < chain->count; ++e)
    session->entries[e].provider = chain->entries[e].canonical;
  if (session->options.profile_path || session->options.profile)
    KP_PASS(kp_profile_create(session->core->model, &session->profile));
  return kp_shadow_open(session);
}

// Opens within the session's limits.
static kp_status* open_within(kapell_session* session, const void* bytes, size_t byte_count) {
  session->budget = kp_budget_create(NULL, session->options.max_memory);
  if (!session->budget) return KP_ERROR(OUT_OF_MEMORY, "the session");
  const uint64_t deadline = kp_deadline_in(session->options.open_timeout_ns, 0);
  kp_bounds before;
  kp_limits_enter(&session->options, session->budget, deadline, &before);
  kp_status* status = open_session(session, bytes, byte_count);
  (void)kp_bounds_enter(before);
  session->opened_bytes = kp_budget_used(session->budget);
  session->opening_bytes = kp_budget_peak(session->budget);
  return kp_limits_explain(status, session->budget, deadline, false);
}

static kp_status* create_session(const char* path, const void* bytes, size_t byte_count,
                                 const kapell_options* options, kapell_session** out_session) {
  kapell_session* session = kp_alloc_zero(1, sizeof(*session));
  if (!session) return KP_ERROR(OUT_OF_MEMORY, "the session");
  pthread_mutex_init(&session->lock, NULL);
  session->path = path;
  kp_status* status = complete_options(options, &session->arena, &session->options);
  if (!status) status = open_within(session, bytes, byte_count);
  if (status) {
    session->options.profile_path = NULL;
    kapell_session_close(session);
    return status;
  }
  *out_session = session;
  return NULL;
}

kapell_status* kapell_session_open_file(const char* path, const kapell_options* options,
                                        kapell_session** out_session) {
  if (!out_session) return KP_ERROR(INVALID_ARGUMENT, "out_session is NULL");
  *out_session = NULL;
  if (!path) return KP_ERROR(INVALID_ARGUMENT, "path is NULL");
  KP_TRY(create_session(path, NULL, 0, options, out_session), "opening '%s'", path);
  return NULL;
}

kapell_status* kapell_session_open(const void* bytes, size_t byte_count,
                                   const kapell_options* options, kapell_session** out_session) {
  if (!out_session) return KP_ERROR(INVALID_ARGUMENT, "out_session is NULL");
  *out_session = NULL;
  if (!bytes && byte_count) return KP_ERROR(INVALID_ARGUMENT, "bytes is NULL");
  KP_TRY(create_session(NULL, bytes, byte_count, options, out_session),
         "opening a model of %zu bytes", byte_count);
  return NULL;
}

static void write_profile(kapell_session* session) {
  kp_strbuf text = {0};
  kp_profile_json(session->profile, &text);
  kp_status* status = text.failed
                          ? KP_ERROR(OUT_OF_MEMORY, "the profile")
                          : kp_file_write(session->options.profile_path, text.data, text.length);
  if (status)
    KP_LOG(ERROR, "the profile was not written to '%s': %s", session->options.profile_path,
           kp_status_message(status));
  kp_status_ignore(status);
  kp_strbuf_free(&text);
}

void kapell_session_close(kapell_session* session) {
  if (!session) return;
  if (session->profile && session->options.profile_path) write_profile(session);
  kp_profile_free(session->profile);
  kp_core_close(session->overridable);
  kp_core_close(session->shadow);
  kp_core_close(session->core);
  for (size_t i = 0; session->kept_initializers && i < session->options.initializer_count; ++i)
    kp_value_release(session->kept_initializers[i].value);
  pthread_mutex_destroy(&session->lock);
  kp_arena_free(&session->arena);
  kp_budget_release(session->budget);
  kp_free(session);
}

kp_status* kp_session_overridable(kapell_session* session, kp_core** out_core) {
  kp_status* status = NULL;
  pthread_mutex_lock(&session->lock);
  if (!session->overridable) {
    const kp_core_options options = {.user = &session->options,
                                     .path = session->path,
                                     .bytes = session->bytes,
                                     .byte_count = session->byte_count,
                                     .borrow_bytes = true,
                                     .keep_overridable = true};
    const uint64_t deadline = kp_deadline_in(session->options.open_timeout_ns, 0);
    kp_bounds before;
    kp_limits_enter(&session->options, session->budget, deadline, &before);
    status = kp_core_open(&options, &session->overridable);
    (void)kp_bounds_enter(before);
    status = kp_limits_explain(status, session->budget, deadline, false);
  }
  *out_core = session->overridable;
  pthread_mutex_unlock(&session->lock);
  return status;
}

// --- settings of an open session ---------------------------------------------------------------------------------------------------
static kp_status* configure_core(const kp_core* core, const kp_option* options, size_t count) {
  for (uint32_t e = 0; core && e < core->chain->count; ++e) {
    kp_provider* provider = core->chain->entries[e].provider;
    if (provider && provider->type->configure)
      KP_PASS(provider->type->configure(provider, options, count));
  }
  return NULL;
}

kapell_status* kapell_session_configure(kapell_session* session, const kapell_config_entry* entries,
                                        size_t count) {
  if (!session || (!entries && count))
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or entries");
  for (size_t i = 0; i < count; ++i)
    if (!entries[i].key || !entries[i].value)
      return KP_ERROR(INVALID_ARGUMENT, "entries[%zu] has no key or no value", i);
  pthread_mutex_lock(&session->lock);
  const kp_core* overridable = session->overridable;
  pthread_mutex_unlock(&session->lock);
  KP_PASS(configure_core(session->core, (const kp_option*)entries, count));
  return configure_core(overridable, (const kp_option*)entries, count);
}

// --- reports ----------------------------------------------------------------------------------------------------------------------
const kapell_placement* kapell_session_placement(const kapell_session* session) {
  return session->placement;
}

static kp_status* take_text(kp_strbuf* buf, char** out_text) {
  *out_text = kp_strbuf_take(buf);
  return *out_text ? NULL : KP_ERROR(OUT_OF_MEMORY, "a report");
}

kapell_status* kapell_session_placement_json(const kapell_session* session, char** out_text) {
  if (!session || !out_text)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or out_text");
  kp_strbuf buf = {0};
  kp_report_json(session->placement, &buf);
  return take_text(&buf, out_text);
}

kapell_status* kapell_session_placement_text(const kapell_session* session, char** out_text) {
  if (!session || !out_text)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or out_text");
  kp_strbuf buf = {0};
  kp_report_text(session->placement, &buf);
  return take_text(&buf, out_text);
}

kapell_status* kapell_session_placement_lock(const kapell_session* session, char** out_text) {
  if (!session || !out_text)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or out_text");
  kp_strbuf buf = {0};
  kp_lock_write(session->placement, &buf);
  return take_text(&buf, out_text);
}

kapell_status* kapell_session_check_lock(const kapell_session* session, const char* lock,
                                         size_t byte_count, char** out_diff) {
  if (out_diff) *out_diff = NULL;
  if (!session || (!lock && byte_count))
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or lock");
  kp_strbuf diff = {0};
  kp_status* status = kp_lock_check(session->placement, (kp_str){lock, byte_count}, &diff);
  if (out_diff && kp_status_code(status) == KAPELL_PLACEMENT_CHANGED)
    *out_diff = kp_strbuf_take(&diff);
  kp_strbuf_free(&diff);
  return status;
}

kapell_status* kapell_session_placement_edges(const kapell_session* session,
                                              kapell_placed_edge** out_edges, size_t* out_count) {
  if (!session || !out_edges || !out_count)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session, out_edges or out_count");
  *out_edges = NULL;
  *out_count = 0;
  const kp_core_options options = {.user = &session->options,
                                   .path = session->path,
                                   .bytes = session->bytes,
                                   .byte_count = session->byte_count,
                                   .borrow_bytes = true};
  kp_model* model;
  KP_TRY(kp_core_read_pristine(&options, &model), "reading the model again for its edges");
  kp_status* status = NULL;
  if (model->origin_count != session->placement->node_count)
    status = KP_ERROR(INVALID_ARGUMENT, "the file '%s' has changed since the session was opened",
                      session->path ? session->path : "");
  if (!status) status = kp_report_edges(model, out_edges, out_count);
  kp_model_free(model);
  return status;
}

void kapell_edges_free(kapell_placed_edge* edges) { kp_free(edges); }

kapell_status* kapell_session_profile_json(kapell_session* session, char** out_text) {
  if (!session || !out_text)
    return KP_ERROR(INVALID_ARGUMENT, "a NULL was given for session or out_text");
  kp_strbuf buf = {0};
  kp_profile_json(session->profile, &buf);
  return take_text(&buf, out_text);
}

void kapell_session_profile_visit(kapell_session* session,
                                  void (*visit)(void* user, const kapell_profile_event* event),
                                  void* user) {
  if (session && visit) kp_profile_visit(session->profile, visit, user);
}

void kapell_free_text(char* text) { kp_free(text); }
