// What texts need of Unicode: UTF-8, simple case mappings, general categories, scripts. Never the locale's: results are the same
// everywhere. The tables (unicode_table.inl) are generated.
#ifndef KP_BASE_UNICODE_H_
#define KP_BASE_UNICODE_H_

#include "base/str.h"

#define KP_UNICODE_LAST 0x10FFFFu
#define KP_UNICODE_NONE UINT32_MAX  // no character: a byte that is no part of well-formed UTF-8

// The character at |data| (|length| >= 1 bytes): how many bytes it has, 1 to 4. A byte that begins no well-formed sequence is one
// by itself, and KP_UNICODE_NONE.
size_t kp_utf8_decode(const char* data, size_t length, uint32_t* out_code);
// Writes |code| (at most KP_UNICODE_LAST) and returns its 1 to 4 bytes.
size_t kp_utf8_encode(uint32_t code, char out[4]);

// The simple (one to one) mappings of UnicodeData; a character without one is its own.
uint32_t kp_unicode_lower(uint32_t code);
uint32_t kp_unicode_upper(uint32_t code);
// Equal for characters that differ in case alone, as simple case folding has it.
uint32_t kp_unicode_fold(uint32_t code);
// White space as Python's str.split and str.isspace see it.
bool kp_unicode_space(uint32_t code);

// Calls |visit| for every character that has a case mapping, ascending.
void kp_unicode_each_cased(void (*visit)(void* user, uint32_t code), void* user);
// Calls |visit| for the ranges (ends included) of a general category ("Lu", "L"), of a script ("Greek"), or "Any". False: no such
// name, and nothing was called.
bool kp_unicode_each_range(kp_str name, void (*visit)(void* user, uint32_t first, uint32_t last),
                           void* user);

#endif  // KP_BASE_UNICODE_H_
