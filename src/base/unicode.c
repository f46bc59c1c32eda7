// Unicode by tables; see unicode.h.
#include "base/unicode.h"

#include "base/size.h"

typedef struct
    case_run {  // letters first, first + step, ... last, which all move by the same distances
  uint32_t first, last, step;
  int32_t lower, upper;
} case_run;

#include "base/unicode_table.inl"

// --- UTF-8 -------------------------------------------------------------------------------------------------------------------
size_t kp_utf8_decode(const char* data, size_t length, uint32_t* out_code) {
  const unsigned char* bytes = (const unsigned char*)data;
  *out_code = bytes[0];
  if (bytes[0] < 0x80) return 1;
  const size_t count = bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
  if (length < count || !kp_str_utf8_valid((kp_str){data, count})) {
    *out_code = KP_UNICODE_NONE;
    return 1;
  }
  uint32_t code = bytes[0] & (0xFFu >> (count + 1));
  for (size_t i = 1; i < count; ++i) code = code << 6 | (bytes[i] & 0x3Fu);
  *out_code = code;
  return count;
}

size_t kp_utf8_encode(uint32_t code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  const size_t count = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = count; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
  out[0] = (char)((0xF00u >> count & 0xFF) | code);
  return count;
}

// --- case --------------------------------------------------------------------------------------------------------------------
static bool in_run(const case_run* run, uint32_t code) {
  return code >= run->first && code <= run->last && (code - run->first) % run->step == 0;
}

// The run with |code|, or NULL. Two neighbours may interleave: big and small letters in turn.
static const case_run* find_run(uint32_t code) {
  size_t low = 0, high = KP_COUNT_OF(case_runs);
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (case_runs[middle].first <= code)
      low = middle + 1;
    else
      high = middle;
  }
  if (low > 0 && in_run(&case_runs[low - 1], code)) return &case_runs[low - 1];
  if (low > 1 && in_run(&case_runs[low - 2], code)) return &case_runs[low - 2];
  return NULL;
}

uint32_t kp_unicode_lower(uint32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  const case_run* run = find_run(code);
  return run ? (uint32_t)((int32_t)code + run->lower) : code;
}

uint32_t kp_unicode_upper(uint32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  const case_run* run = find_run(code);
  return run ? (uint32_t)((int32_t)code + run->upper) : code;
}

uint32_t kp_unicode_fold(uint32_t code) {
  if (code == 0x130 || code == 0x131) return code;  // the Turkish i's fold in Turkish only
  return kp_unicode_lower(kp_unicode_upper(code));
}

bool kp_unicode_space(uint32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 28 && code <= 31);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

void kp_unicode_each_cased(void (*visit)(void* user, uint32_t code), void* user) {
  for (size_t i = 0; i < KP_COUNT_OF(case_runs); ++i)
    for (uint32_t code = case_runs[i].first; code <= case_runs[i].last; code += case_runs[i].step)
      visit(user, code);
}

// --- classes -----------------------------------------------------------------------------------------------------------------
// Characters that are not assigned (Cn) are in no category, as in other engines of regular expressions.
static bool category_fits(uint32_t category, kp_str name) {
  const char* own = category_names + 2 * category;
  return (own[0] != 'C' || own[1] != 'n') && own[0] == name.data[0] &&
         (name.length == 1 || own[1] == name.data[1]);
}

static bool each_category(kp_str name, void (*visit)(void*, uint32_t, uint32_t), void* user) {
  const size_t count = KP_COUNT_OF(category_starts);
  bool found = false;
  for (uint32_t c = 0; !found && c < sizeof category_names / 2; ++c) found = category_fits(c, name);
  for (size_t i = 0; found && i < count; ++i) {
    if (!category_fits(category_starts[i] & 31, name)) continue;
    const uint32_t end = i + 1 < count ? category_starts[i + 1] >> 5 : KP_UNICODE_LAST + 1;
    visit(user, category_starts[i] >> 5, end - 1);
  }
  return found;
}

static bool each_script(kp_str name, void (*visit)(void*, uint32_t, uint32_t), void* user) {
  size_t script = 0;
  while (script < KP_COUNT_OF(script_names) && !kp_str_is(name, script_names[script])) ++script;
  if (script == KP_COUNT_OF(script_names)) return false;
  for (size_t i = 0; i < KP_COUNT_OF(script_ranges); i += 2)
    if ((script_ranges[i] & 255) == script)
      visit(user, script_ranges[i] >> 8, script_ranges[i + 1]);
  return true;
}

bool kp_unicode_each_range(kp_str name, void (*visit)(void* user, uint32_t first, uint32_t last),
                           void* user) {
  if (kp_str_is(name, "Any")) {
    visit(user, 0, KP_UNICODE_LAST);
    return true;
  }
  return name.length == 1 || name.length == 2 ? each_category(name, visit, user)
                                              : each_script(name, visit, user);
}
