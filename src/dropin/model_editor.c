// Sessions of models that clients made or augment in memory.
//
// A session that augments is a whole session of the unchanged model until it is finalized, so that everything may be asked of it.
#include "base/alloc.h"
#include "dropin/session.h"
#include "ort/model.h"

static OrtStatus* own_options(const OrtSessionOptions* options, OrtSessionOptions** out) {
  return options ? ort_CloneSessionOptions(options, out) : ort_CreateSessionOptions(out);
}

OrtStatus* ort_editor_CreateSessionFromModel(const OrtEnv* env, const OrtModel* model,
                                             const OrtSessionOptions* options, OrtSession** out) {
  OrtSessionOptions* own = NULL;
  void* bytes = NULL;
  size_t size;
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(model);
  OrtStatus* status = own_options(options, &own);
  if (!status) status = kp_ort_model_lend(model, own);
  if (!status) status = kp_ort_model_bytes(model, &bytes, &size);
  if (!status) status = dropin_session_create(env, NULL, bytes, size, own, NULL, out);
  kp_free(bytes);
  ort_ReleaseSessionOptions(own);
  return status;
}

static OrtStatus* create(const OrtEnv* env, const char* path, const void* data, size_t size,
                         const OrtSessionOptions* options, OrtSession** out) {
  kp_ort_editor* editor = NULL;
  KP_ORT_PASS(dropin_session_create(env, path, data, size, options, NULL, out));
  OrtStatus* status = kp_ort_editor_open(path, data, size, &editor);
  if (!status) {
    (*out)->editor = editor;
    return NULL;
  }
  ort_ReleaseSession(*out);
  *out = NULL;
  return status;
}

OrtStatus* ort_editor_CreateModelEditorSession(const OrtEnv* env, const char* path,
                                               const OrtSessionOptions* options, OrtSession** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(path);
  return create(env, path, NULL, 0, options, out);
}

OrtStatus* ort_editor_CreateModelEditorSessionFromArray(const OrtEnv* env, const void* data,
                                                        size_t size,
                                                        const OrtSessionOptions* options,
                                                        OrtSession** out) {
  KP_ORT_NEED(out);
  *out = NULL;
  KP_ORT_NEED(env);
  KP_ORT_NEED(data);
  return create(env, NULL, data, size, options, out);
}

static OrtStatus* need_editor(const OrtSession* session) {
  KP_ORT_NEED(session);
  if (session->editor) return NULL;
  return kp_ort_error(ORT_INVALID_ARGUMENT,
                      "the session was not made by CreateModelEditorSession, or is finalized");
}

OrtStatus* ort_editor_SessionGetOpsetForDomain(const OrtSession* session, const char* domain,
                                               int* version) {
  KP_ORT_NEED(domain);
  KP_ORT_NEED(version);
  *version = 0;
  KP_ORT_NEED(session);
  if (session->editor) return kp_ort_editor_opset(session->editor, domain, version);
  *version = (int)kapell_session_opset(session->session, domain, NULL);
  return *version ? NULL
                  : kp_ort_error(ORT_INVALID_ARGUMENT, "Domain not used by model: '%s'", domain);
}

OrtStatus* ort_editor_ApplyModelToModelEditorSession(OrtSession* session, OrtModel* model) {
  KP_ORT_PASS(need_editor(session));
  KP_ORT_NEED(model);
  return kp_ort_editor_apply(session->editor, model);
}

// |made| takes the place of what |session| was, which is released.
static void replace(OrtSession* session, OrtSession* made) {
  OrtSession before = *session;
  *session = *made;
  *made = before;
  // Locks belong to the places in memory; nobody holds them.
  pthread_mutex_t lock = session->lock;
  session->lock = made->lock;
  made->lock = lock;
  pthread_cond_t idle = session->idle;
  session->idle = made->idle;
  made->idle = idle;
  if (session->custom_ops && session->has_logger) session->custom_ops->logger = &session->logger;
  ort_ReleaseSession(made);
}

static OrtStatus* open_again(const kp_ort_editor* editor, const OrtSessionOptions* options,
                             OrtPrepackedWeightsContainer* prepacked, OrtSession** out) {
  const OrtEnv* env = kp_ort_env_current();
  void* bytes;
  size_t size;
  if (!env) return kp_ort_error(ORT_INVALID_ARGUMENT, "there is no environment");
  KP_ORT_PASS(kp_ort_editor_bytes(editor, &bytes, &size));
  OrtStatus* status = dropin_session_create(env, NULL, bytes, size, options, prepacked, out);
  kp_free(bytes);
  return status;
}

OrtStatus* ort_editor_FinalizeModelEditorSession(OrtSession* session,
                                                 const OrtSessionOptions* options,
                                                 OrtPrepackedWeightsContainer* prepacked) {
  static const char folder_key[] = "session.model_external_initializers_file_folder_path";
  OrtSessionOptions* own = NULL;
  OrtSession* made = NULL;
  KP_ORT_PASS(need_editor(session));
  OrtStatus* status = own_options(options, &own);
  const char* folder = kp_ort_editor_folder(session->editor);
  if (!status && folder && !kp_ort_options_config(own, folder_key, NULL))
    status = ort_AddSessionConfigEntry(own, folder_key, folder);
  if (!status) status = kp_ort_editor_lend(session->editor, own);
  if (!status) status = open_again(session->editor, own, prepacked, &made);
  ort_ReleaseSessionOptions(own);
  if (status) return status;
  replace(session, made);
  return NULL;
}
