// Sessions: making them from a file or from bytes, with what session options say; ending them.
#include "dropin/session.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "ort/model.h"

// --- what options come to --------------------------------------------------------------------------------------------------------
// Keys that sessions read, and those that have nothing to change in what Kapell does. The latter: memory is always planned; weights are packed
// where they are constant; shapes are inferred strictly; quantized models are rewritten only where nothing changes by it.
static const char* const known_keys[] = {
    "mlas.enable_gemm_fastmath_arm64_bfloat16",
    "optimization.disable_specified_optimizers",
    "optimization.enable_cast_chain_elimination",
    "optimization.enable_gelu_approximation",
    "optimization.memory_optimizer_config",
    "optimization.minimal_build_optimizations",
    "session.allow_released_opsets_only",
    "session.collect_node_memory_stats_to_file",
    "session.debug_layout_transformation",
    "session.disable_aot_function_inlining",
    "session.disable_cpu_ep_fallback",
    "session.disable_double_qdq_remover",
    "session.disable_prepacking",
    "session.disable_quant_qdq",
    "session.dynamic_block_base",
    "session.enable_quant_qdq_cleanup",
    "session.force_spinning_stop",
    "session.inter_op.allow_spinning",
    "session.intra_op.allow_spinning",
    "session.intra_op_thread_affinities",
    "session.load_model_format",
    "session.model_external_initializers_file_folder_path",
    "session.optimized_model_external_initializers_file_name",
    "session.optimized_model_external_initializers_min_size_in_bytes",
    "session.qdqisint8allowed",
    "session.record_ep_graph_assignment_info",
    "session.save_model_format",
    "session.set_denormal_as_zero",
    "session.strict_shape_type_inference",
    "session.use_device_allocator_for_initializers",
    "session.use_env_allocators",
    "session.use_memory_mapped_ort_model",
    "session.use_ort_model_bytes_directly",
    "session.use_ort_model_bytes_for_initializers",
    "session.x64quantprecision",
};

static bool is_set(const OrtSessionOptions* options, const char* key, const char* value) {
  return strcmp(kp_ort_options_config(options, key, ""), value) == 0;
}

static void log_unknown_keys(const OrtSessionOptions* options) {
  for (size_t i = 0; i < options->config.count; ++i) {
    const char* key = options->config.keys[i];
    bool known = strncmp(key, "ep.", 3) == 0;
    for (size_t k = 0; k < sizeof known_keys / sizeof known_keys[0] && !known; ++k)
      known = strcmp(known_keys[k], key) == 0;
    if (!known)
      KP_LOG(INFO, "session config entry '%s' = '%s' is not known and changes nothing", key,
             options->config.values[i]);
  }
}

static bool load_is_cancelled(void* user, double done, const char* what) {
  (void)done;
  (void)what;
  return __atomic_load_n((const volatile int*)user, __ATOMIC_RELAXED) != 0;
}

static OrtStatus* check_options(const OrtEnv* env, const OrtSessionOptions* options) {
  if (options->global_threads && !env->global_threads)
    return kp_ort_error(ORT_FAIL,
                        "When the session is not configured to use per session threadpools, the "
                        "env must be created with "
                        "the CreateEnvWithGlobalThreadPools API.");
  if (options->log_severity < -1 || options->log_severity > ORT_LOGGING_LEVEL_FATAL)
    return kp_ort_error(ORT_FAIL,
                        "Invalid session log severity level. Not a valid "
                        "onnxruntime::logging::Severity value: %d",
                        options->log_severity);
  return NULL;
}

static OrtStatus* list_initializers(const OrtSessionOptions* options, kp_arena* arena,
                                    kapell_options* out) {
  kapell_initializer* list =
      kp_arena_new_array(arena, kapell_initializer, options->initializer_count + 1);
  kapell_dimension* dimensions =
      kp_arena_new_array(arena, kapell_dimension, options->dimension_count + 1);
  if (!list || !dimensions) return kp_ort_no_memory();
  for (size_t i = 0; i < options->initializer_count; ++i) {
    const kp_ort_initializer* given = &options->initializers[i];
    list[i] = (kapell_initializer){
        .name = given->name, .value = given->value, .may_be_absent = !given->external};
  }
  for (size_t i = 0; i < options->dimension_count; ++i) {
    const kp_ort_dimension* given = &options->dimensions[i];
    dimensions[i] = (kapell_dimension){
        .name = given->name, .is_denotation = given->is_denotation, .value = given->value};
  }
  out->initializers = list;
  out->initializer_count = options->initializer_count;
  out->dimensions = dimensions;
  out->dimension_count = options->dimension_count;
  return NULL;
}

// The client's buffers need to live only until the session is made, Kapell reads weights where they lie: the session keeps copies.
static OrtStatus* copy_files(OrtSession* session, const OrtSessionOptions* options, kp_arena* arena,
                             kapell_options* out) {
  kapell_memory_file* list = kp_arena_new_array(arena, kapell_memory_file, options->file_count + 1);
  session->copies = kp_alloc_zero(options->file_count, sizeof(*session->copies));
  if (!list || !session->copies) return kp_ort_no_memory();
  for (size_t i = 0; i < options->file_count; ++i) {
    const kp_ort_memory_file* file = &options->files[i];
    void* copy = session->copies[i] = kp_alloc_aligned(file->size, KP_ALIGNMENT);
    if (!copy) return kp_ort_no_memory();
    session->copy_count = i + 1;
    memcpy(copy, file->data, file->size);
    list[i] = (kapell_memory_file){.name = file->name, .data = copy, .byte_count = file->size};
  }
  out->memory_files = list;
  out->memory_file_count = options->file_count;
  return NULL;
}

static OrtStatus* list_config(const OrtSessionOptions* options, kp_arena* arena,
                              kapell_options* out) {
  kapell_config_entry* list =
      kp_arena_new_array(arena, kapell_config_entry, options->config.count + 1);
  if (!list) return kp_ort_no_memory();
  for (size_t i = 0; i < options->config.count; ++i)
    list[i] = (kapell_config_entry){options->config.keys[i], options->config.values[i]};
  out->config_entries = list;
  out->config_entry_count = options->config.count;
  return NULL;
}

// KAPELL_PROFILE names the file of the first session's profile; further ones get a number behind it.
static const char* forced_profile(kp_arena* arena) {
  static atomic_uint sessions;
  const char* path = getenv("KAPELL_PROFILE");
  if (!path || !path[0]) return NULL;
  const unsigned number = atomic_fetch_add(&sessions, 1);
  return number ? kp_arena_printf(arena, "%s.%u", path, number + 1) : path;
}

static OrtStatus* translate(OrtSession* session, const OrtEnv* env,
                            const OrtSessionOptions* options, kp_arena* arena,
                            kapell_options* out) {
  const bool global = options->global_threads;
  KP_ORT_PASS(check_options(env, options));
  out->threads = dropin_threads(env, options);
  out->flush_denormals = (global && env->threading.denormal_as_zero) ||
                         is_set(options, "session.set_denormal_as_zero", "1");
  out->no_spin =
      global ? env->threading.no_spin : is_set(options, "session.intra_op.allow_spinning", "0");
  if (is_set(options, "session.use_env_allocators", "1")) out->max_memory = env->max_memory;
  // Patterns of memory are plans for input shapes: without them only that of the last shapes is kept.
  out->signature_cache = options->mem_pattern ? 0 : 1;
  out->no_optimize = options->level == ORT_DISABLE_ALL;
  out->progress = load_is_cancelled;
  out->progress_user = (void*)(uintptr_t)&options->cancel_load->set;
  out->external_folder =
      kp_ort_options_config(options, "session.model_external_initializers_file_folder_path", NULL);
  out->profile = options->profiling;
  out->profile_path = forced_profile(arena);
  out->optimized_path = options->optimized_path;
  out->shared_weights = kp_ort_prepacked_blocks(session->weights);
  if (out->optimized_path && is_set(options, "session.save_model_format", "ORT"))
    KP_LOG(WARNING, "'%s' becomes an .onnx file: models in the ORT format are read, not written",
           out->optimized_path);
  KP_ORT_PASS(list_initializers(options, arena, out));
  KP_ORT_PASS(copy_files(session, options, arena, out));
  KP_ORT_PASS(list_config(options, arena, out));
  return dropin_providers(options, arena, out);
}

// --- the file's format ---------------------------------------------------------------------------------------------------------
// Whether the model is in ONNX Runtime's own format: its identifier stands behind four bytes.
static bool has_ort_identifier(const char* path, const void* data, size_t size) {
  char head[9] = {0};
  if (!path) {
    if (size >= sizeof head) memcpy(head, data, sizeof head);
  } else {
    const int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return false;  // opening says why
    if (pread(file, head, sizeof head, 0) < (ssize_t)sizeof head) head[4] = 0;
    (void)close(file);
  }
  return memcmp(head + 4, "ORTM", 4) == 0;
}

// A client that names the format gets the errors that ONNX Runtime gives it for the other one. Unnamed, the bytes say it here, where
// ONNX Runtime goes by the ending of a path.
static OrtStatus* check_format(const OrtSessionOptions* options, const char* path, bool is_ort) {
  const char* format = kp_ort_options_config(options, "session.load_model_format", "");
  const bool as_ort = strcmp(format, "ORT") == 0;
  if (!format[0] || as_ort == is_ort || (path && access(path, R_OK) != 0)) return NULL;
  if (as_ort)
    return kp_ort_error(ORT_FAIL,
                        "ORT model verification failed. The model is not in the ORT format, which "
                        "session.load_model_format=ORT says");
  return kp_ort_error(ORT_INVALID_PROTOBUF,
                      "Load model from %s failed:Protobuf parsing failed. The model is in the ORT "
                      "format, and session.load_model_format is '%s'",
                      path ? path : "bytes", format);
}

// --- the session -----------------------------------------------------------------------------------------------------------------
static OrtStatus* set_logger(OrtSession* session, const OrtEnv* env,
                             const OrtSessionOptions* options) {
  session->has_logger = options->log_function || options->log_severity >= 0 || options->log_id;
  if (!session->has_logger) return NULL;
  session->logger = env->logger;
  if (options->log_function) {
    session->logger.function = options->log_function;
    session->logger.param = options->log_param;
  }
  if (options->log_severity >= 0) session->logger.severity = (OrtLoggingLevel)options->log_severity;
  session->logger.id = kp_strdup(options->log_id ? options->log_id : env->logger.id);
  kp_ort_log_lower(session->logger.severity);
  return session->logger.id ? NULL : kp_ort_no_memory();
}

static OrtStatus* keep_libraries(OrtSession* session, const OrtSessionOptions* options) {
  session->libraries = kp_alloc_zero(options->library_count, sizeof(*session->libraries));
  if (!session->libraries) return kp_ort_no_memory();
  for (size_t i = 0; i < options->library_count; ++i)
    session->libraries[session->library_count++] = kp_ort_library_retain(options->libraries[i]);
  return NULL;
}

// ONNX Runtime gives a graph that breaks a rule three codes: INVALID_GRAPH where a node breaks that of its schema, INVALID_ARGUMENT where names
// lead nowhere, FAIL for all else: names given twice, circles, types and shapes that do not go together.
static OrtErrorCode graph_code(const kapell_status* status) {
  static const struct {
    const char* words;  // of Kapell's message
    OrtErrorCode code;
  } faults[] = {{"has no graph", ORT_INVALID_ARGUMENT},
                {"of the graph has no name", ORT_INVALID_ARGUMENT},
                {"version 0 of domain", ORT_INVALID_GRAPH},
                {" is no type that ", ORT_INVALID_GRAPH},
                {" outputs; the node needs ", ORT_FAIL}};
  const char *message = kapell_status_message(status), *op = kapell_status_op(status);
  if (strncmp(message, "nothing produces the value", 26) == 0)
    return op ? ORT_INVALID_ARGUMENT : ORT_FAIL;
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; ++i)
    if (strstr(message, faults[i].words)) return faults[i].code;
  // Schemas are looked at while nodes are built one by one, which is the frame.
  const bool built =
      kp_status_frame_count(status) && strncmp(kp_status_frame_text(status, 0), "node ", 5) == 0;
  return op && built ? ORT_INVALID_GRAPH : ORT_FAIL;
}

// ONNX Runtime's code for a model that did not load, and its words in |text|.
static OrtErrorCode restate_open(kapell_status* status, const char* path, size_t size,
                                 bool no_floor, bool is_ort, kp_strbuf* text) {
  struct stat info;
  const kapell_code code = kapell_status_code(status);
  const char *message = kapell_status_message(status), *op = kapell_status_op(status),
             *node = kapell_status_node(status);
  const bool is_empty = path ? stat(path, &info) == 0 && info.st_size == 0 : size == 0;
  if (code == KAPELL_NOT_A_MODEL && is_empty) {
    kp_strbuf_puts(text, "No graph was found in the protobuf.");
    return ORT_INVALID_ARGUMENT;
  }
  if (code == KAPELL_NOT_FOUND && path) {
    kp_strbuf_printf(text, "Load model %s failed. File doesn't exist", path);
    return ORT_NO_SUCHFILE;
  }
  if (path && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
    kp_strbuf_printf(text, "%s is a folder", path);
    return ORT_INVALID_ARGUMENT;
  }
  // A message that does not read is told with the byte where reading ended.
  const bool is_unreadable = code == KAPELL_NOT_A_MODEL || (code == KAPELL_INVALID_MODEL && !op &&
                                                            strncmp(message, "byte ", 5) == 0);
  if (is_unreadable && is_ort) {
    kp_strbuf_printf(text, "ORT model verification failed. %s", message);
    return ORT_FAIL;
  }
  if (is_unreadable) {
    kp_strbuf_printf(text, "Protobuf parsing failed. %s", message);
    return ORT_INVALID_PROTOBUF;
  }
  if (op &&
      kp_ort_passed_code(message, ORT_OK) != ORT_OK) {  // a kernel of the client's was not made
    kp_strbuf_printf(text, "Exception during initialization: %s", message);
    return ORT_RUNTIME_EXCEPTION;
  }
  if (code == KAPELL_UNSUPPORTED && no_floor) {
    kp_strbuf_printf(text,
                     "This session contains graph nodes that are assigned to the default CPU EP, "
                     "but fallback to CPU EP has been "
                     "explicitly disabled by the user. %s",
                     message);
    return ORT_FAIL;
  }
  const char* name = strstr(message, "the operator ");
  const char* name_end = name ? strstr(name, " is not known here") : NULL;
  if (code == KAPELL_UNSUPPORTED && name_end) {
    name += strlen("the operator ");
    kp_strbuf_printf(text, "Fatal error: %.*s(-1) is not a registered function/op (%s)",
                     (int)(name_end - name), name, message);
    return ORT_FAIL;
  }
  if (code == KAPELL_UNSUPPORTED_MODEL && op) {
    kp_strbuf_printf(text, "This is an invalid model. In Node '%s' (%s): %s", node ? node : "", op,
                     message);
    return ORT_INVALID_GRAPH;
  }
  if (code == KAPELL_UNSUPPORTED && op)
    kp_strbuf_printf(text, "Could not find an implementation for %s node with name '%s': ", op,
                     node ? node : "");
  else if (op)
    kp_strbuf_printf(text, "Node '%s' (%s): ", node ? node : "", op);
  kp_strbuf_puts(text, message);
  return code == KAPELL_INVALID_MODEL ? graph_code(status) : kp_ort_code(code);
}

static OrtStatus* explain_open(kapell_status* status, const char* path, size_t size, bool is_ort,
                               const OrtSessionOptions* options) {
  if (!status) return NULL;
  const bool no_floor = dropin_has_no_floor(options);
  kp_strbuf text = {0};
  OrtErrorCode code = ORT_MODEL_LOAD_CANCELED;
  if (kapell_status_code(status) == KAPELL_CANCELLED) {
    kp_strbuf_puts(&text, "Session initialization canceled due to user request.");
  } else {
    if (path) kp_strbuf_printf(&text, "Load model from %s failed:", path);
    code = restate_open(status, path, size, no_floor, is_ort, &text);
    const char* written = options->optimized_path;  // the fault of who named that file
    if (written && strstr(kapell_status_message(status), written)) code = ORT_INVALID_ARGUMENT;
    kp_ort_put_details(&text, status, 1);  // but for that of opening
  }
  OrtStatus* made = text.failed ? kp_ort_no_memory() : ort_CreateStatus(code, text.data);
  kp_strbuf_free(&text);
  kapell_status_free(status);
  return made;
}

// Versions that this library does not know yet are refused, as ONNX Runtime refuses those that it does not, unless the client says otherwise.
#define NEWEST_IR 14

static OrtStatus* refuse_opset(const char* domain, int64_t version, int64_t newest) {
  return kp_ort_error(
      ORT_FAIL,
      "ONNX Runtime only *guarantees* support for models stamped with official released onnx "
      "opset versions. Opset %lld is under development and support for this is limited. Current "
      "official support for domain %s is till opset %lld. (session.allow_released_opsets_only=0 "
      "or ALLOW_RELEASED_ONNX_OPSET_ONLY=0 takes such models all the same)",
      (long long)version, domain[0] ? domain : "ai.onnx", (long long)newest);
}

static bool takes_released_only(const OrtSessionOptions* options) {
  const char* variable = getenv("ALLOW_RELEASED_ONNX_OPSET_ONLY");
  const char* entry = kp_ort_options_config(options, "session.allow_released_opsets_only", NULL);
  return strcmp(entry ? entry : variable ? variable : "1", "0") != 0;
}

static OrtStatus* check_versions(const kapell_session* session, const OrtSessionOptions* options) {
  static const char* const domains[] = {"", "ai.onnx.ml", "com.microsoft",
                                        "ai.onnx.preview.training"};
  const char* ir = kapell_session_metadata_find(session, "kapell:ir_version");
  if (ir && atoll(ir) > NEWEST_IR)
    return kp_ort_error(ORT_FAIL, "Unsupported model IR version: %s, max supported IR version: %d",
                        ir, NEWEST_IR);
  for (size_t i = 0; i < sizeof domains / sizeof domains[0]; ++i) {
    int64_t newest = 0;
    const int64_t version = kapell_session_opset(session, domains[i], &newest);
    if (version > newest && newest && takes_released_only(options))
      return refuse_opset(domains[i], version, newest);
  }
  return NULL;
}

static OrtStatus* open_session(OrtSession* session, const OrtEnv* env, const char* path,
                               const void* data, size_t size, const OrtSessionOptions* options) {
  kp_arena arena = {0};
  kapell_options opening = KAPELL_OPTIONS_INIT;
  const bool is_ort = has_ort_identifier(path, data, size);
  // The option is for that format alone: of other bytes a client still thinks that they are copied.
  opening.borrow_bytes = is_ort && is_set(options, "session.use_ort_model_bytes_directly", "1");
  OrtStatus* status = check_format(options, path, is_ort);
  if (!status) status = translate(session, env, options, &arena, &opening);
  if (!status)
    status = kp_ort_custom_ops_create(options, session->has_logger ? &session->logger : NULL,
                                      &session->custom_ops);
  if (session->custom_ops) {
    opening.custom_ops = session->custom_ops->list;
    opening.custom_op_count = session->custom_ops->count;
  }
  if (!status) status = dropin_take_threads(session, env, options);
  opening.pool = kp_ort_threads_pool(session->threads);
  if (!status) {
    kapell_status* failed = path ? kapell_session_open_file(path, &opening, &session->session)
                                 : kapell_session_open(data, size, &opening, &session->session);
    status = explain_open(failed, path, size, is_ort, options);
    if (!status) status = check_versions(session->session, options);
  }
  kp_arena_free(&arena);
  return status;
}

static OrtStatus* open_selected(OrtSession* session, const OrtEnv* env, const char* path,
                                const void* data, size_t size, const OrtSessionOptions* options) {
  OrtSessionOptions* selected = NULL;
  OrtStatus* status = dropin_select(env, options, &selected);
  if (!status) status = open_session(session, env, path, data, size, selected ? selected : options);
  ort_ReleaseSessionOptions(selected);
  return status;
}

static OrtStatus* build_session(OrtSession* session, const OrtEnv* env, const char* path,
                                const void* data, size_t size, const OrtSessionOptions* options) {
  KP_ORT_PASS(set_logger(session, env, options));
  KP_ORT_PASS(keep_libraries(session, options));
  session->record_assignment = is_set(options, "session.record_ep_graph_assignment_info", "1");
  session->free_memory = !options->cpu_arena;
  session->single_thread = dropin_intra_threads(env, options) == 1;
  session->start_ns = kp_clock_ns();
  if (options->profiling) KP_ORT_PASS(dropin_profile_begin(session, options->profile_prefix));
  const OrtLogger* before = kp_ort_log_enter(session->has_logger ? &session->logger : NULL);
  log_unknown_keys(options);
  OrtStatus* status = open_selected(session, env, path, data, size, options);
  if (!status) {
    KP_LOG(INFO, "session of %s is ready: %zu nodes of the model, providers %s",
           path ? path : "bytes", kapell_session_placement(session->session)->node_count,
           kapell_session_placement(session->session)->list);
    dropin_report(session, path);
  }
  kp_ort_log_enter(before);
  return status;
}

OrtStatus* dropin_session_create(const OrtEnv* env, const char* path, const void* data, size_t size,
                                 const OrtSessionOptions* options,
                                 OrtPrepackedWeightsContainer* weights, OrtSession** out) {
  OrtSessionOptions* defaults = NULL;
  OrtSession* session = kp_alloc_zero(1, sizeof(*session));
  if (!session) return kp_ort_no_memory();
  pthread_mutex_init(&session->lock, NULL);
  pthread_cond_init(&session->idle, NULL);
  session->weights = weights;
  OrtStatus* status = options ? NULL : ort_CreateSessionOptions(&defaults);
  if (!status) status = build_session(session, env, path, data, size, options ? options : defaults);
  ort_ReleaseSessionOptions(defaults);
  if (status) {
    ort_ReleaseSession(session);
    return status;
  }
  *out = session;
  return NULL;
}

// Waits for runs that RunAsync began.
void ort_ReleaseSession(OrtSession* session) {
  if (!session) return;
  pthread_mutex_lock(&session->lock);
  while (session->async_runs) pthread_cond_wait(&session->idle, &session->lock);
  pthread_mutex_unlock(&session->lock);
  dropin_profile_end(session);
  kapell_session_close(session->session);
  kp_ort_threads_release(session->threads);
  kp_ort_custom_ops_free(session->custom_ops);
  kp_ort_editor_free(session->editor);
  for (size_t i = 0; i < session->copy_count; ++i) kp_free(session->copies[i]);
  kp_free(session->copies);
  for (size_t i = 0; i < session->library_count; ++i) kp_ort_library_release(session->libraries[i]);
  kp_free(session->libraries);
  dropin_assignment_free(session->assigned);
  kp_free(session->profile_path);
  kp_free(session->logger.id);
  pthread_cond_destroy(&session->idle);
  pthread_mutex_destroy(&session->lock);
  kp_free(session);
}

// --- the slots -------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_CreateSession(const OrtEnv* env, const char* path, const OrtSessionOptions* options,
                             OrtSession** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(path);
  return dropin_session_create(env, path, NULL, 0, options, NULL, out);
}

OrtStatus* ort_CreateSessionFromArray(const OrtEnv* env, const void* data, size_t size,
                                      const OrtSessionOptions* options, OrtSession** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  if (size) KP_ORT_NEED(data);
  return dropin_session_create(env, NULL, data, size, options, NULL, out);
}

// The container may be NULL, which is no container.
OrtStatus* ort_CreateSessionWithPrepackedWeightsContainer(const OrtEnv* env, const char* path,
                                                          const OrtSessionOptions* options,
                                                          OrtPrepackedWeightsContainer* prepacked,
                                                          OrtSession** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(path);
  return dropin_session_create(env, path, NULL, 0, options, prepacked, out);
}

OrtStatus* ort_CreateSessionFromArrayWithPrepackedWeightsContainer(
    const OrtEnv* env, const void* data, size_t size, const OrtSessionOptions* options,
    OrtPrepackedWeightsContainer* prepacked, OrtSession** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  if (size) KP_ORT_NEED(data);
  return dropin_session_create(env, NULL, data, size, options, prepacked, out);
}
