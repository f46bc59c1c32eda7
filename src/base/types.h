// What is known about each element type: names, width, kind of number. One table, indexed by kapell_type.
//
// Threads: any (constant data). Every function takes any number as type: unknown ones behave as KAPELL_UNDEFINED.
#ifndef KP_BASE_TYPES_H_
#define KP_BASE_TYPES_H_

#include "base/str.h"
#include "kapell/types.h"

// The bit of |type| in a set of element types (uint64_t): tables of operators are made of them.
#define kp_type_mask(type) (UINT64_C(1) << (type))

// "float32", "float64", "float8_e4m3fn", "int4", "bool", "string"; "undefined". Never NULL.
const char* kp_type_name(kapell_type type);
// The name in TensorProto.DataType: "FLOAT", "DOUBLE", "FLOAT8E4M3FN", ...; "UNDEFINED". In lower case it is the name that
// type strings of operator schemas use: "tensor(float)".
const char* kp_type_onnx_name(kapell_type type);
// Reads either name, any case; KAPELL_UNDEFINED if it is neither.
kapell_type kp_type_parse(kp_str name);

// Bits that one element takes in the memory of a value: 1 byte for the 6-bit kinds and bool, 4 and 2 bits for the packed
// kinds; 0 for strings and undefined (no fixed width).
unsigned kp_type_bits(kapell_type type);
// Bytes of |count| elements in memory, packed kinds rounded up to whole bytes. False on overflow, and for types without a
// fixed width.
bool kp_type_bytes(kapell_type type, size_t count, size_t* out_byte_count);

bool kp_type_is_valid(kapell_type type);  // a type that a tensor may have, strings included
bool kp_type_is_float(kapell_type type);  // real floating point of any width; not complex
bool kp_type_is_complex(kapell_type type);
bool kp_type_is_integer(kapell_type type);  // of any width; not bool
bool kp_type_is_signed(
    kapell_type type);  // has negative numbers: complex and floats but E8M0, signed integers
bool kp_type_is_packed(kapell_type type);  // several elements share a byte

#endif  // KP_BASE_TYPES_H_
