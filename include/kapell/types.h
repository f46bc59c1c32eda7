// Types that every layer shares: element types, kinds of values, status codes. Part of the public API (kapell.h includes it).
//
// Numbers of element types are those of ONNX's TensorProto.DataType (onnx.proto, IR 14), so a file's number is ours.
#ifndef KAPELL_TYPES_H_
#define KAPELL_TYPES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KAPELL_API __attribute__((visibility("default")))
#define KAPELL_MUST_USE __attribute__((warn_unused_result))
#define KAPELL_PRINTF(format_index, first_arg) \
  __attribute__((format(printf, format_index, first_arg)))
#else
#define KAPELL_API
#define KAPELL_MUST_USE
#define KAPELL_PRINTF(format_index, first_arg)
#endif

// Element type of a tensor. Sub-byte types are packed as in ONNX: the first element lies in the low bits of a byte;
// 6-bit kinds take one byte an element in memory of Kapell's values (low six bits).
typedef enum kapell_type {
  KAPELL_UNDEFINED = 0,
  KAPELL_FLOAT = 1,
  KAPELL_UINT8 = 2,
  KAPELL_INT8 = 3,
  KAPELL_UINT16 = 4,
  KAPELL_INT16 = 5,
  KAPELL_INT32 = 6,
  KAPELL_INT64 = 7,
  KAPELL_STRING = 8,
  KAPELL_BOOL = 9,
  KAPELL_FLOAT16 = 10,
  KAPELL_DOUBLE = 11,
  KAPELL_UINT32 = 12,
  KAPELL_UINT64 = 13,
  KAPELL_COMPLEX64 = 14,
  KAPELL_COMPLEX128 = 15,
  KAPELL_BFLOAT16 = 16,
  KAPELL_FLOAT8E4M3FN = 17,
  KAPELL_FLOAT8E4M3FNUZ = 18,
  KAPELL_FLOAT8E5M2 = 19,
  KAPELL_FLOAT8E5M2FNUZ = 20,
  KAPELL_UINT4 = 21,
  KAPELL_INT4 = 22,
  KAPELL_FLOAT4E2M1 = 23,
  KAPELL_FLOAT8E8M0 = 24,
  KAPELL_UINT2 = 25,
  KAPELL_INT2 = 26,
  KAPELL_FLOAT6E2M3 = 27,
  KAPELL_FLOAT6E3M2 = 28,
  KAPELL_TYPE_COUNT = 29
} kapell_type;

// Kind of a value that a graph passes along an edge.
typedef enum kapell_kind {
  KAPELL_KIND_NONE = 0,  // an optional input or output that is absent; an optional without element
  KAPELL_KIND_TENSOR = 1,  // dense tensor, strings included
  KAPELL_KIND_SPARSE = 2,  // sparse tensor in COO form
  KAPELL_KIND_SEQUENCE = 3,
  KAPELL_KIND_MAP = 4,
  KAPELL_KIND_OPTIONAL = 5
} kapell_kind;

// Status codes. The text form of a code is KAPELL-Ennnn; numbers never change their meaning.
#define KAPELL_STATUS_CODES(X)                                                                   \
  X(INTERNAL, 1, "a mistake of Kapell's own: please report it")                                  \
  X(OUT_OF_MEMORY, 2, "memory could not be had")                                                 \
  X(INVALID_ARGUMENT, 3, "a call's argument is wrong")                                           \
  X(NOT_FOUND, 4, "a file, name or symbol does not exist")                                       \
  X(IO, 5, "the operating system refused to read or write")                                      \
  X(CANCELLED, 6, "the caller asked to stop")                                                    \
  X(LIMIT, 7, "a budget or limit was reached")                                                   \
  X(NOT_A_MODEL, 101, "the bytes are not an ONNX model")                                         \
  X(INVALID_MODEL, 102, "the model breaks a rule of ONNX")                                       \
  X(UNSUPPORTED_MODEL, 103, "the model is newer than this build or uses what it lacks")          \
  X(EXTERNAL_DATA, 104, "data beside the model is missing, outside its folder or of wrong size") \
  X(UNSUPPORTED, 301, "a node that no provider in the list takes")                               \
  X(BAD_PROVIDER_LIST, 401, "the list of providers or a provider's option is malformed")         \
  X(PROVIDER_UNAVAILABLE, 402,                                                                   \
    "a listed provider is not installed, did not load or has no device")                         \
  X(PROVIDER_UNUSED, 403, "a listed provider would run no node of this model")                   \
  X(PROVIDER_FAILED, 404, "a provider failed while compiling or running")                        \
  X(CLAUSE_VIOLATED, 405, "the placement breaks a clause of the provider list")                  \
  X(PLACEMENT_CHANGED, 406, "the placement is not that of its lock file")                        \
  X(INVALID_INPUT, 501, "an input of a run has a wrong name, type, shape or value")              \
  X(RUN_FAILED, 502, "a node failed on the data of this run")                                    \
  X(TIMEOUT, 503, "a time limit ran out")

typedef enum kapell_code {
  KAPELL_OK = 0,
#define KAPELL_CODE_ENUM(name, number, text) KAPELL_##name = number,
  KAPELL_STATUS_CODES(KAPELL_CODE_ENUM)
#undef KAPELL_CODE_ENUM
} kapell_code;

// A failure: code, message, place, causes. NULL means success everywhere. Owned by whoever receives it;
// free with kapell_status_free.
typedef struct kapell_status kapell_status;

// A tensor, sparse tensor, sequence, map or optional; see kapell.h.
typedef struct kapell_value kapell_value;

typedef enum kapell_log_level {
  KAPELL_LOG_TRACE = 0,
  KAPELL_LOG_DEBUG = 1,
  KAPELL_LOG_INFO = 2,
  KAPELL_LOG_WARNING = 3,
  KAPELL_LOG_ERROR = 4,
  KAPELL_LOG_OFF = 5
} kapell_log_level;

#ifdef __cplusplus
}
#endif
#endif  // KAPELL_TYPES_H_
