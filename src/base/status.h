// Status: NULL is success; an error owns its code, message, place in the model, hint and the frames it passed.
//
// The internal name of the public kapell_status. Everything that can fail returns kp_status*, marked KP_MUST_USE.
// Threads: a status belongs to one thread at a time. Making one never fails: without memory a static
// OUT_OF_MEMORY status is returned, which freeing ignores.
#ifndef KP_BASE_STATUS_H_
#define KP_BASE_STATUS_H_

#include <stdarg.h>

#include "kapell/types.h"

typedef struct kapell_status kp_status;

#define KP_MUST_USE KAPELL_MUST_USE
#define KP_LIKELY(x) __builtin_expect(!!(x), 1)
#define KP_UNLIKELY(x) __builtin_expect(!!(x), 0)

// Tells the compiler what KP_TRY knows, so that it does not warn of outputs that only an error leaves unset.
static inline kp_status* kp_status_never_null(kp_status* status) {
  if (!status) __builtin_unreachable();
  return status;
}

// Makes an error: KP_ERROR(INVALID_MODEL, "initializer '%s' has %zu bytes", name, n). Code without its prefix.
#define KP_ERROR(code, ...) \
  kp_status_never_null(kp_status_make(KAPELL_##code, __FILE__, __LINE__, __VA_ARGS__))

// Runs |expr|; on an error adds a frame (what was being done, in words) and returns it from the calling function.
#define KP_TRY(expr, ...)                                                    \
  do {                                                                       \
    kp_status* kp_try_status_ = (expr);                                      \
    if (KP_UNLIKELY(kp_try_status_ != NULL))                                 \
      return kp_status_never_null(                                           \
          kp_status_frame(kp_try_status_, __FILE__, __LINE__, __VA_ARGS__)); \
  } while (0)

// The same without a frame, where the callee's words are enough.
#define KP_PASS(expr)                                                 \
  do {                                                                \
    kp_status* kp_pass_status_ = (expr);                              \
    if (KP_UNLIKELY(kp_pass_status_ != NULL)) return kp_pass_status_; \
  } while (0)

// Where an error has to run clean-up: stores into |status| and jumps to |label|.
#define KP_GOTO(status, label, expr)               \
  do {                                             \
    (status) = (expr);                             \
    if (KP_UNLIKELY((status) != NULL)) goto label; \
  } while (0)

// Never NULL, which lets the compiler see that an out parameter is set wherever no error came back.
__attribute__((returns_nonnull)) KP_MUST_USE kp_status* kp_status_make(kapell_code code,
                                                                       const char* file, int line,
                                                                       const char* format, ...)
    KAPELL_PRINTF(4, 5);
__attribute__((returns_nonnull)) KP_MUST_USE kp_status* kp_status_make_v(kapell_code code,
                                                                         const char* file, int line,
                                                                         const char* format,
                                                                         va_list args)
    KAPELL_PRINTF(4, 0);

// Adds a frame, oldest first; takes and returns |status|. NULL stays NULL.
KP_MUST_USE kp_status* kp_status_frame(kp_status* status, const char* file, int line,
                                       const char* format, ...) KAPELL_PRINTF(4, 5);

// What the user can try. A later hint replaces an earlier one only if there was none (the first, most specific stays).
kp_status* kp_status_hint(kp_status* status, const char* format, ...) KAPELL_PRINTF(2, 3);

// The place in the model: node name, operator, value (input or output name). NULL leaves a part as it is; the first
// place that is set stays.
kp_status* kp_status_at(kp_status* status, const char* node, const char* op, const char* value);

// Gives |status| (taken) another code and message and keeps the rest: where a layer above knows better what it means.
KP_MUST_USE kp_status* kp_status_restate(kp_status* status, kapell_code code, const char* format,
                                         ...) KAPELL_PRINTF(3, 4);

// Joins a failed clean-up (|second|, taken) to the first error (taken): the first stays in front. Either may be NULL.
KP_MUST_USE kp_status* kp_status_join(kp_status* first, kp_status* second);

kapell_code kp_status_code(const kp_status* status);       // KAPELL_OK for NULL
const char* kp_status_message(const kp_status* status);    // first line, without code; "" for NULL
const char* kp_status_hint_text(const kp_status* status);  // NULL where none
const char* kp_status_node(const kp_status* status);       // NULL where not known; likewise below
const char* kp_status_op(const kp_status* status);
const char* kp_status_value(const kp_status* status);
// What was being done, innermost first: text |index| of kp_status_frame_count.
size_t kp_status_frame_count(const kp_status* status);
const char* kp_status_frame_text(const kp_status* status, size_t index);
// The whole text: "error KAPELL-E0301 UNSUPPORTED: ...", one indented line a frame, the hint last. Owned by the
// status; valid until it is changed or freed.
const char* kp_status_text(kp_status* status);
const char* kp_code_name(kapell_code code);  // "UNSUPPORTED"
void kp_status_free(kp_status* status);      // NULL is fine
// Frees an error that is deliberately not reported; the name makes that visible at the call.
void kp_status_ignore(kp_status* status);
// A copy (for handing one cached failure to many callers).
KP_MUST_USE kp_status* kp_status_clone(const kp_status* status);

#endif  // KP_BASE_STATUS_H_
