// ONNX Runtime's objects as both directions share them: statuses, memory infos, allocators, key-value pairs, loggers. Values are in
// ort/value.h, type infos in ort/type_info.h, options in ort/options.h, environments and devices in ort/env.h.
//
// Ownership is ONNX Runtime's: Create* gives an object that Release* ends (NULL is fine), getters lend. Functions of the ABI are named
// ort_<slot>; helpers kp_ort_*.
#ifndef KP_ORT_OBJECT_H_
#define KP_ORT_OBJECT_H_

#include "base/status.h"
#include "base/str.h"
#include "ort/slots.h"

// --- statuses --------------------------------------------------------------------------------------------------------------------
// Laid out and allocated as in ONNX Runtime, since the WebGPU library (0.4) reads and ends some statuses by itself, as an array of
// characters: memory is malloc's own.
struct OrtStatus {
  OrtErrorCode code;
  char message[];
};

// Never NULL: without memory a static status, which releasing ignores.
__attribute__((returns_nonnull)) OrtStatus* kp_ort_error(OrtErrorCode code, const char* format, ...)
    KAPELL_PRINTF(2, 3);
// Turns one of Kapell's (taken; NULL stays NULL) into one of ONNX Runtime's: message, place and hint in one text.
OrtStatus* kp_ort_status(kp_status* status);
OrtErrorCode kp_ort_code(kapell_code code);
// Behind a message: what was being done, but for the |outer| outermost frames; what to try; the stable code.
void kp_ort_put_details(kp_strbuf* text, const kp_status* status, size_t outer);
OrtStatus* kp_ort_no_memory(void);
// Was |status| made for want of memory? Also where it came back from somebody else's code.
bool kp_ort_is_no_memory(const OrtStatus* status);

#define KP_ORT_PASS(expr)                                       \
  do {                                                          \
    OrtStatus* kp_ort_pass_ = (expr);                           \
    if (KP_UNLIKELY(kp_ort_pass_ != NULL)) return kp_ort_pass_; \
  } while (0)
#define KP_ORT_TAKE(expr)                                                      \
  do {                                                                         \
    kp_status* kp_ort_take_ = (expr);                                          \
    if (KP_UNLIKELY(kp_ort_take_ != NULL)) return kp_ort_status(kp_ort_take_); \
  } while (0)
// Refuses a NULL argument by name.
#define KP_ORT_NEED(argument)                                                               \
  do {                                                                                      \
    if (KP_UNLIKELY((argument) == NULL))                                                    \
      return kp_ort_error(ORT_INVALID_ARGUMENT, "%s: %s is NULL", __func__ + 4, #argument); \
  } while (0)

// The function of a slot that only sets a member.
#define KP_ORT_SETTER(Object, name, parameter_type, member)      \
  OrtStatus* ort_##name(Object* options, parameter_type value) { \
    KP_ORT_NEED(options);                                        \
    options->member = value;                                     \
    return NULL;                                                 \
  }

// --- element types: numbers differ between the C API and the file format for the newest ------------------------------------------
kapell_type kp_ort_type_from(
    ONNXTensorElementDataType type);  // UNDEFINED for what Kapell does not have
ONNXTensorElementDataType kp_ort_type_of(
    kapell_type type);  // UNDEFINED for what the C API does not have

// --- memory infos ----------------------------------------------------------------------------------------------------------------
// Shared by whoever names it: values keep the one that they were made with.
// Its beginning lies as in ONNX Runtime, whose class begins with a std::string of libstdc++: the WebGPU library (0.4) reads what an
// allocator's Info answers as that class, not through the functions of the ABI.
struct OrtMemoryInfo {
  const char* name;    // lies behind the struct, or is static
  size_t name_length;  // kept for such readers alone, like what follows
  char name_room[16];
  OrtMemType mem_type;
  OrtAllocatorType allocator_type;
  int8_t device_type;      // OrtMemoryInfoDeviceType
  int8_t device_mem_type;  // OrtDeviceMemoryType
  int16_t device_number;   // |device_id| where it fits
  uint32_t vendor_id;
  size_t alignment;
  int32_t device_id;
  int32_t refs;  // atomic; static ones start at a number that releases never use up
};
_Static_assert(offsetof(OrtMemoryInfo, mem_type) == 32 &&
                   offsetof(OrtMemoryInfo, device_type) == 40 &&
                   offsetof(OrtMemoryInfo, alignment) == 48,
               "the layout of ONNX Runtime's class");

extern OrtMemoryInfo kp_ort_cpu_info;  // "Cpu", device allocator, default memory
const OrtMemoryInfo* kp_ort_info_retain(const OrtMemoryInfo* info);
bool kp_ort_info_equal(const OrtMemoryInfo* a, const OrtMemoryInfo* b);
// Is it memory of the same kind on the same device, whatever it is called?
bool kp_ort_info_is_alike(const OrtMemoryInfo* a, const OrtMemoryInfo* b);
// Can the host read and write what lies there?
bool kp_ort_info_is_host(const OrtMemoryInfo* info);

// --- allocators ------------------------------------------------------------------------------------------------------------------
extern OrtAllocator
    kp_ort_cpu_allocator;  // what GetAllocatorWithDefaultOptions gives; kp_alloc underneath
// Another handle on the host's memory, with |info| (retained); ended by ReleaseAllocator.
OrtStatus* kp_ort_allocator_create(const OrtMemoryInfo* info, OrtAllocator** out);
// A copy of |text| in |allocator|'s memory, for the client to free there.
OrtStatus* kp_ort_give_text(OrtAllocator* allocator, const char* text, char** out);

// --- key-value pairs -------------------------------------------------------------------------------------------------------------
struct OrtKeyValuePairs {
  char** keys;    // in the order of adding
  char** values;  // parallel
  size_t count, capacity;
};

// Adds or replaces. Errors: OUT_OF_MEMORY.
KP_MUST_USE kp_status* kp_ort_pairs_set(OrtKeyValuePairs* pairs, const char* key,
                                        const char* value);
const char* kp_ort_pairs_get(const OrtKeyValuePairs* pairs, const char* key);  // NULL if not there
KP_MUST_USE kp_status* kp_ort_pairs_copy(OrtKeyValuePairs* to, const OrtKeyValuePairs* from);
void kp_ort_pairs_clear(OrtKeyValuePairs* pairs);

// --- loggers ---------------------------------------------------------------------------------------------------------------------
struct OrtLogger {
  OrtLoggingFunction function;  // NULL: standard error
  void* param;
  OrtLoggingLevel severity;
  char* id;  // owned
};

// What libraries of providers are given: hands on to Kapell's log, and so to the logger of the session that this thread works for, else the
// environment's. It is always there, as what a library's destructors do at the end of the process needs it.
extern const OrtLogger kp_ort_host_logger;
// |where| is the place in the code, or "".
void kp_ort_log(const OrtLogger* logger, OrtLoggingLevel severity, const char* where,
                const char* message);
// From now on Kapell's own log goes to |logger| (borrowed; NULL: back to standard error), at its severity unless KAPELL_LOG says more.
void kp_ort_log_to(const OrtLogger* logger);
// Lowers the level of Kapell's log to what |severity| asks for; never raises it.
void kp_ort_log_lower(OrtLoggingLevel severity);
// What this thread logs goes to |logger| (NULL: the process' one); gives back the one before.
const OrtLogger* kp_ort_log_enter(const OrtLogger* logger);

#endif  // KP_ORT_OBJECT_H_
