// The table of element types. Neighbours: value.c sizes tensors with it; onnx/ and graph/ name types through it.
#include "base/types.h"

#include <strings.h>

#include "base/size.h"

enum { IS_FLOAT = 1, IS_COMPLEX = 2, IS_INTEGER = 4, IS_SIGNED = 8 };

typedef struct type_info {
  const char* name;
  const char* onnx_name;
  uint8_t bits;  // in memory
  uint8_t kind;
} type_info;

// clang-format off
static const type_info infos[KAPELL_TYPE_COUNT] = {
    [KAPELL_UNDEFINED]      = {"undefined", "UNDEFINED", 0, 0},
    [KAPELL_FLOAT]          = {"float32", "FLOAT", 32, IS_FLOAT | IS_SIGNED},
    [KAPELL_UINT8]          = {"uint8", "UINT8", 8, IS_INTEGER},
    [KAPELL_INT8]           = {"int8", "INT8", 8, IS_INTEGER | IS_SIGNED},
    [KAPELL_UINT16]         = {"uint16", "UINT16", 16, IS_INTEGER},
    [KAPELL_INT16]          = {"int16", "INT16", 16, IS_INTEGER | IS_SIGNED},
    [KAPELL_INT32]          = {"int32", "INT32", 32, IS_INTEGER | IS_SIGNED},
    [KAPELL_INT64]          = {"int64", "INT64", 64, IS_INTEGER | IS_SIGNED},
    [KAPELL_STRING]         = {"string", "STRING", 0, 0},
    [KAPELL_BOOL]           = {"bool", "BOOL", 8, 0},
    [KAPELL_FLOAT16]        = {"float16", "FLOAT16", 16, IS_FLOAT | IS_SIGNED},
    [KAPELL_DOUBLE]         = {"float64", "DOUBLE", 64, IS_FLOAT | IS_SIGNED},
    [KAPELL_UINT32]         = {"uint32", "UINT32", 32, IS_INTEGER},
    [KAPELL_UINT64]         = {"uint64", "UINT64", 64, IS_INTEGER},
    [KAPELL_COMPLEX64]      = {"complex64", "COMPLEX64", 64, IS_COMPLEX | IS_SIGNED},
    [KAPELL_COMPLEX128]     = {"complex128", "COMPLEX128", 128, IS_COMPLEX | IS_SIGNED},
    [KAPELL_BFLOAT16]       = {"bfloat16", "BFLOAT16", 16, IS_FLOAT | IS_SIGNED},
    [KAPELL_FLOAT8E4M3FN]   = {"float8_e4m3fn", "FLOAT8E4M3FN", 8, IS_FLOAT | IS_SIGNED},
    [KAPELL_FLOAT8E4M3FNUZ] = {"float8_e4m3fnuz", "FLOAT8E4M3FNUZ", 8, IS_FLOAT | IS_SIGNED},
    [KAPELL_FLOAT8E5M2]     = {"float8_e5m2", "FLOAT8E5M2", 8, IS_FLOAT | IS_SIGNED},
    [KAPELL_FLOAT8E5M2FNUZ] = {"float8_e5m2fnuz", "FLOAT8E5M2FNUZ", 8, IS_FLOAT | IS_SIGNED},
    [KAPELL_UINT4]          = {"uint4", "UINT4", 4, IS_INTEGER},
    [KAPELL_INT4]           = {"int4", "INT4", 4, IS_INTEGER | IS_SIGNED},
    [KAPELL_FLOAT4E2M1]     = {"float4_e2m1", "FLOAT4E2M1", 4, IS_FLOAT | IS_SIGNED},
    [KAPELL_FLOAT8E8M0]     = {"float8_e8m0", "FLOAT8E8M0", 8, IS_FLOAT},
    [KAPELL_UINT2]          = {"uint2", "UINT2", 2, IS_INTEGER},
    [KAPELL_INT2]           = {"int2", "INT2", 2, IS_INTEGER | IS_SIGNED},
    [KAPELL_FLOAT6E2M3]     = {"float6_e2m3", "FLOAT6E2M3", 8, IS_FLOAT | IS_SIGNED},
    [KAPELL_FLOAT6E3M2]     = {"float6_e3m2", "FLOAT6E3M2", 8, IS_FLOAT | IS_SIGNED},
};
// clang-format on

static const type_info* info_of(kapell_type type) {
  const unsigned index = (unsigned)type;
  return &infos[index < KAPELL_TYPE_COUNT ? index : KAPELL_UNDEFINED];
}

const char* kp_type_name(kapell_type type) { return info_of(type)->name; }
const char* kp_type_onnx_name(kapell_type type) { return info_of(type)->onnx_name; }

static bool same_any_case(kp_str text, const char* name) {
  return strlen(name) == text.length && strncasecmp(text.data, name, text.length) == 0;
}

kapell_type kp_type_parse(kp_str name) {
  for (unsigned i = 1; name.length && i < KAPELL_TYPE_COUNT; ++i)
    if (same_any_case(name, infos[i].name) || same_any_case(name, infos[i].onnx_name))
      return (kapell_type)i;
  return KAPELL_UNDEFINED;
}

unsigned kp_type_bits(kapell_type type) { return info_of(type)->bits; }

bool kp_type_bytes(kapell_type type, size_t count, size_t* out_byte_count) {
  const unsigned bits = info_of(type)->bits;
  if (bits == 0) return false;
  if (bits >= 8) return kp_mul_size(count, bits / 8, out_byte_count);
  const size_t per_byte = 8 / bits;
  *out_byte_count = count / per_byte + (count % per_byte != 0);
  return true;
}

static bool has(kapell_type type, unsigned kind) { return (info_of(type)->kind & kind) != 0; }

bool kp_type_is_valid(kapell_type type) { return info_of(type) != &infos[KAPELL_UNDEFINED]; }
bool kp_type_is_float(kapell_type type) { return has(type, IS_FLOAT); }
bool kp_type_is_complex(kapell_type type) { return has(type, IS_COMPLEX); }
bool kp_type_is_integer(kapell_type type) { return has(type, IS_INTEGER); }
bool kp_type_is_signed(kapell_type type) { return has(type, IS_SIGNED); }
bool kp_type_is_packed(kapell_type type) {
  return info_of(type)->bits != 0 && info_of(type)->bits < 8;
}
