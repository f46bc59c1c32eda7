// The error chain. Neighbours: everything that can fail; api/ and ort/ hand it out under their own names.
//
// Making an error must work when memory is short: then the static |no_memory| is returned, which no call changes.
#include "base/status.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/size.h"
#include "base/str.h"

#define LONGEST_TEXT 16384  // names in messages come from models, and may be megabytes

typedef struct frame {
  char* text;        // owned
  const char* file;  // static
  int line;
} frame;

struct kapell_status {
  kapell_code code;
  char* message;  // owned, as are all texts below; NULL where not set
  const char* file;
  int line;
  char* hint;
  char* node;
  char* op;
  char* value;
  frame* frames;  // oldest first
  size_t frame_count, frame_capacity;
  kp_status* joined;  // a later failure of clean-up; owned
  char* text;         // made by kp_status_text, dropped at every change
};

static char no_memory_message[] = "out of memory";
static char no_memory_text[] = "error KAPELL-E0002 OUT_OF_MEMORY: out of memory";
static kp_status no_memory = {
    .code = KAPELL_OUT_OF_MEMORY, .message = no_memory_message, .file = "", .text = no_memory_text};

// Names in messages come from models: control characters would let them write anything on a terminal.
static void make_printable(char* text) {
  for (; *text; ++text)
    if (((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t') || *text == 0x7f)
      *text = '?';
}

// Statuses are charged to nobody: that a budget is used up must still be said.
static void* resize(void* old, size_t byte_count) {
  const kp_bounds before = kp_bounds_enter((kp_bounds){0});
  void* memory = kp_realloc_array(old, byte_count, 1);
  (void)kp_bounds_enter(before);
  return memory;
}

// Marks the end of a text that was cut, at the beginning of a character.
static void mark_cut(char* text) {
  static const char mark[] = " [...]";
  size_t at = LONGEST_TEXT - sizeof mark;
  while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80) --at;
  memcpy(text + at, mark, sizeof mark);
}

static char* format_text(const char* format, va_list args) KAPELL_PRINTF(1, 0);
static char* format_text(const char* format, va_list args) {
  va_list again;
  va_copy(again, args);
  const int length = vsnprintf(NULL, 0, format, args);
  const size_t size = kp_min_size((size_t)(length < 0 ? 0 : length) + 1, LONGEST_TEXT);
  char* text = length < 0 ? NULL : resize(NULL, size);
  if (text) {
    vsnprintf(text, size, format, again);
    if ((size_t)length >= size) mark_cut(text);
    make_printable(text);
  }
  va_end(again);
  return text;
}

// __FILE__ relative to src/, whatever folder the compiler was called from.
static const char* short_file(const char* file) {
  const char* start = strstr(file, "src/");
  return start && (start == file || start[-1] == '/') ? start + 4 : file;
}

static void changed(kp_status* status) {
  kp_free(status->text);
  status->text = NULL;
}

static bool is_fixed(const kp_status* status) { return status == NULL || status == &no_memory; }

kp_status* kp_status_make_v(kapell_code code, const char* file, int line, const char* format,
                            va_list args) {
  kp_status* status = resize(NULL, sizeof *status);
  char* message = status ? format_text(format, args) : NULL;
  if (!message) {
    kp_free(status);
    return &no_memory;
  }
  *status = (kp_status){.code = code, .message = message, .file = short_file(file), .line = line};
  return status;
}

kp_status* kp_status_make(kapell_code code, const char* file, int line, const char* format, ...) {
  va_list args;
  va_start(args, format);
  kp_status* status = kp_status_make_v(code, file, line, format, args);
  va_end(args);
  return status;
}

// Room for one more frame; without memory the frame is left out and the error stays what it was.
static frame* add_frame(kp_status* status) {
  if (status->frame_count == status->frame_capacity) {
    const size_t capacity = status->frame_capacity ? status->frame_capacity * 2 : 4;
    frame* frames = resize(status->frames, capacity * sizeof *frames);
    if (!frames) return NULL;
    status->frames = frames;
    status->frame_capacity = capacity;
  }
  return &status->frames[status->frame_count];
}

kp_status* kp_status_frame(kp_status* status, const char* file, int line, const char* format, ...) {
  if (is_fixed(status)) return status;
  frame* const slot = add_frame(status);
  if (!slot) return status;
  va_list args;
  va_start(args, format);
  char* text = format_text(format, args);
  va_end(args);
  if (!text) return status;
  *slot = (frame){text, short_file(file), line};
  ++status->frame_count;
  changed(status);
  return status;
}

kp_status* kp_status_hint(kp_status* status, const char* format, ...) {
  if (is_fixed(status) || status->hint) return status;
  va_list args;
  va_start(args, format);
  status->hint = format_text(format, args);
  va_end(args);
  changed(status);
  return status;
}

static void set_once(char** slot, const char* text) {
  if (*slot || !text) return;
  const size_t length = strlen(text), size = kp_min_size(length + 1, LONGEST_TEXT);
  *slot = resize(NULL, size);
  if (!*slot) return;
  memcpy(*slot, text, size);
  if (length >= size) mark_cut(*slot);
  make_printable(*slot);
}

kp_status* kp_status_at(kp_status* status, const char* node, const char* op, const char* value) {
  if (is_fixed(status)) return status;
  set_once(&status->node, node);
  set_once(&status->op, op);
  set_once(&status->value, value);
  changed(status);
  return status;
}

kp_status* kp_status_join(kp_status* first, kp_status* second) {
  if (!first) return second;
  if (is_fixed(first)) {
    kp_status_free(second);
    return first;
  }
  kp_status* last = first;
  while (last->joined && last->joined != &no_memory) last = last->joined;
  if (last->joined)
    kp_status_free(second);
  else
    last->joined = second;
  changed(first);
  return first;
}

kp_status* kp_status_restate(kp_status* status, kapell_code code, const char* format, ...) {
  va_list args;
  va_start(args, format);
  kp_status* again = kp_status_make_v(code, "", 0, format, args);
  va_end(args);
  if (is_fixed(again)) {
    kp_status_free(status);
    return again;
  }
  if (is_fixed(status)) return again;
  kp_free(status->message);
  status->message = again->message;
  status->code = code;
  again->message = NULL;
  kp_status_free(again);
  changed(status);
  return status;
}

kapell_code kp_status_code(const kp_status* status) { return status ? status->code : KAPELL_OK; }
const char* kp_status_message(const kp_status* status) { return status ? status->message : ""; }
const char* kp_status_hint_text(const kp_status* status) { return status ? status->hint : NULL; }
const char* kp_status_node(const kp_status* status) { return status ? status->node : NULL; }
const char* kp_status_op(const kp_status* status) { return status ? status->op : NULL; }
const char* kp_status_value(const kp_status* status) { return status ? status->value : NULL; }
size_t kp_status_frame_count(const kp_status* status) { return status ? status->frame_count : 0; }
const char* kp_status_frame_text(const kp_status* status, size_t index) {
  return status->frames[index].text;
}

const char* kp_code_name(kapell_code code) {
  switch (code) {
    case KAPELL_OK:
      return "OK";
#define CODE_NAME(name, number, text) \
  case KAPELL_##name:                 \
    return #name;
      KAPELL_STATUS_CODES(CODE_NAME)
#undef CODE_NAME
  }
  return "UNKNOWN";
}

static void put_place(kp_strbuf* buf, const kp_status* status) {
  if (!status->node && !status->op && !status->value) return;
  const char* gap = "\n  at ";
  if (status->node) kp_strbuf_printf(buf, "%snode '%s'", gap, status->node);
  if (status->node) gap = ", ";
  if (status->op) kp_strbuf_printf(buf, "%soperator %s", gap, status->op);
  if (status->op) gap = ", ";
  if (status->value) kp_strbuf_printf(buf, "%svalue '%s'", gap, status->value);
}

static void put_status(kp_strbuf* buf, const kp_status* status) {
  kp_strbuf_printf(buf, "error KAPELL-E%04d %s: %s", (int)status->code, kp_code_name(status->code),
                   status->message);
  if (*status->file) kp_strbuf_printf(buf, "  (%s:%d)", status->file, status->line);
  put_place(buf, status);
  for (size_t i = 0; i < status->frame_count; ++i)
    kp_strbuf_printf(buf, "\n  %s  (%s:%d)", status->frames[i].text, status->frames[i].file,
                     status->frames[i].line);
  for (const kp_status* next = status->joined; next; next = next->joined) {
    kp_strbuf_printf(buf, "\n  then, while cleaning up: KAPELL-E%04d %s: %s", (int)next->code,
                     kp_code_name(next->code), next->message);
    if (*next->file) kp_strbuf_printf(buf, "  (%s:%d)", next->file, next->line);
  }
  if (status->hint) kp_strbuf_printf(buf, "\n  hint: %s", status->hint);
}

const char* kp_status_text(kp_status* status) {
  if (!status) return "";
  if (status->text) return status->text;
  kp_strbuf buf = {0};
  put_status(&buf, status);
  status->text = kp_strbuf_take(&buf);
  return status->text ? status->text : status->message;
}

static void free_frames(frame* frames, size_t count) {
  for (size_t i = 0; frames && i < count; ++i) kp_free(frames[i].text);
  kp_free(frames);
}

void kp_status_free(kp_status* status) {
  while (!is_fixed(status)) {
    kp_status* const next = status->joined;
    free_frames(status->frames, status->frame_count);
    kp_free(status->message);
    kp_free(status->hint);
    kp_free(status->node);
    kp_free(status->op);
    kp_free(status->value);
    kp_free(status->text);
    kp_free(status);
    status = next;
  }
}

void kp_status_ignore(kp_status* status) { kp_status_free(status); }

// Copies |text| into |*slot|; NULL stays NULL. False on out of memory.
static bool copy_text(char** slot, const char* text) {
  if (text) *slot = kp_strdup(text);
  return !text || *slot;
}

kp_status* kp_status_clone(const kp_status* status) {
  if (!status || status == &no_memory) return status ? &no_memory : NULL;
  kp_status* copy = kp_alloc_zero(1, sizeof *copy);
  if (!copy) return &no_memory;
  copy->code = status->code;
  copy->file = status->file;
  copy->line = status->line;
  bool ok = copy_text(&copy->message, status->message) && copy_text(&copy->hint, status->hint) &&
            copy_text(&copy->node, status->node) && copy_text(&copy->op, status->op) &&
            copy_text(&copy->value, status->value);
  if (ok && status->frame_count) {
    copy->frames = kp_alloc_array(status->frame_count, sizeof *copy->frames);
    ok = copy->frames != NULL;
    copy->frame_capacity = ok ? status->frame_count : 0;
  }
  for (; ok && copy->frame_count < status->frame_count; ++copy->frame_count) {
    const frame* from = &status->frames[copy->frame_count];
    char* text = kp_strdup(from->text);
    ok = text != NULL;
    if (!ok) break;
    copy->frames[copy->frame_count] = (frame){text, from->file, from->line};
  }
  if (!ok) {
    kp_status_free(copy);
    return &no_memory;
  }
  copy->joined = kp_status_clone(status->joined);
  return copy;
}
