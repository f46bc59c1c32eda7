// What doctor.c found out and doctor_text.c, doctor_json.c write.
#ifndef KP_API_DOCTOR_H_
#define KP_API_DOCTOR_H_

#include "base/str.h"
#include "find/find.h"
#include "kapell/kapell.h"

typedef struct kp_doctor_item {
  const char* canonical;  // NULL: a library by its path
  bool required;
  kp_examined examined;
} kp_doctor_item;

struct kapell_doctor {
  kp_arena arena;
  kapell_doctor_options options;
  kp_places places;
  kp_examiner examiner;
  kp_doctor_item* items;
  size_t count;
  bool ready;    // each required provider can be used
  bool healthy;  // nothing that was found is broken
  char *text, *json;
};

// Append to |out|; its sticky failure tells of memory that ran out.
void kp_doctor_write_text(const kapell_doctor* doctor, kp_strbuf* out);
void kp_doctor_write_json(const kapell_doctor* doctor, kp_strbuf* out);
const char* kp_finding_name(kp_finding finding);  // "found"

#endif  // KP_API_DOCTOR_H_
