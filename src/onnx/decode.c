// The generic decoder: see decode.h. Recursion follows the nesting of messages and is bounded by max_depth.
#include "onnx/decode.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/size.h"

#define DEFAULT_DEPTH 200
#define LARGEST_DEPTH 1000

// The way from the outermost message to the current one, linked on the C stack; only errors look at it.
typedef struct place {
  const struct place* parent;
  const char* name;
  size_t index;  // of a repeated field; SIZE_MAX for a singular one
} place;

typedef struct decoder {
  const uint8_t* base;  // first byte of the input, for offsets
  kp_arena* arena;
  size_t depth, max_depth;
  size_t memory, max_memory;  // bytes taken so far, bytes allowed
  bool told_utf8;
} decoder;

// What the first walk over a message finds. Field numbers fit the bits of |seen| (KP_ONNX_MAX_FIELD).
typedef struct survey {
  uint32_t seen;                         // fields that are there and to be decoded
  size_t counts[KP_ONNX_MAX_FIELD + 1];  // elements, by number; only set where the bit is
  const uint8_t* oneof_at;               // where the occurrences of the oneof's last member begin
  uint32_t oneof;                        // number of that member; 0: none
  int32_t selector;                      // value of the selector's field
} survey;

static uint32_t bit_of(uint32_t number) { return UINT32_C(1) << number; }

// Takes the lowest bit out of |bits|; its number.
static uint32_t take_bit(uint32_t* bits) {
  const uint32_t number = (uint32_t)__builtin_ctz(*bits);
  *bits &= *bits - 1;
  return number;
}

static kp_status* decode_message(decoder* d, const kp_onnx_message* message,
                                 const kp_wire_span* body, void* out, const place* at);

// --- errors and memory ---------------------------------------------------------------------------------------------------
// "graph.node[12].attribute[0].t"; only the innermost steps of a deep place.
static char* place_text(const place* at) {
  const place* steps[10];
  size_t count = 0;
  for (; at && count < KP_COUNT_OF(steps); at = at->parent) {
    if (at->name && at->name[0]) steps[count++] = at;
  }
  kp_strbuf text = {0};
  kp_strbuf_puts(&text, at ? "... ." : "");
  for (size_t i = count; i-- > 0;) {
    kp_strbuf_puts(&text, steps[i]->name);
    if (steps[i]->index != SIZE_MAX) kp_strbuf_printf(&text, "[%zu]", steps[i]->index);
    if (i) kp_strbuf_puts(&text, ".");
  }
  return kp_strbuf_take(&text);
}

// An error at |at|, in its field |name| (NULL: in the message itself), at byte |byte| of the input.
static kp_status* fail(const decoder* d, kapell_code code, const place* at, const char* name,
                       const uint8_t* byte, const char* what) {
  const place step = {at, name, SIZE_MAX};
  char* const path = place_text(&step);
  kp_status* const status =
      kp_status_make(code, __FILE__, __LINE__, "byte %zu%s%s: %s", (size_t)(byte - d->base),
                     path && path[0] ? ", " : "", path ? path : "", what);
  kp_free(path);
  return status;
}

static kp_status* take_memory(decoder* d, size_t count, size_t element_size, void** out_memory) {
  *out_memory = NULL;
  size_t bytes;
  if (!kp_mul_size(count, element_size, &bytes))
    return KP_ERROR(OUT_OF_MEMORY, "%zu elements of %zu bytes", count, element_size);
  if (d->max_memory && bytes > d->max_memory - d->memory)
    return KP_ERROR(LIMIT, "the model's structure takes more than %zu bytes of memory",
                    d->max_memory);
  *out_memory = kp_arena_array(d->arena, count, element_size);
  if (!*out_memory) return KP_ERROR(OUT_OF_MEMORY, "%zu bytes for the model's structure", bytes);
  d->memory += bytes;
  return NULL;
}

// --- first walk ----------------------------------------------------------------------------------------------------------
static bool is_packable(const kp_onnx_field* row) {
  return row->wire != KP_WIRE_BYTES &&
         (row->kind == KP_FIELD_TYPED || (row->flags & KP_FIELD_REPEATED));
}

// Elements of one occurrence; 0 where its wire type makes it an unknown field.
static const char* count_elements(const kp_onnx_field* row, const kp_wire_field* field,
                                  size_t* out_count) {
  *out_count = field->type == (kp_wire_type)row->wire;
  if (*out_count || field->type != KP_WIRE_BYTES || !is_packable(row)) return NULL;
  return kp_wire_count_packed(field->data, field->size, (kp_wire_type)row->wire, out_count);
}

static void note_oneof(survey* s, const kp_wire_field* field) {
  if (s->oneof == field->number) return;
  s->seen &= ~bit_of(s->oneof);
  s->oneof = field->number;
  s->oneof_at = field->at;
}

static kp_status* survey_message(decoder* d, const kp_onnx_message* message,
                                 const kp_wire_span* body, const place* at, survey* s) {
  kp_wire_cursor cursor = kp_wire_open(body);
  kp_wire_field field;
  while (kp_wire_next(&cursor, &field)) {
    const kp_onnx_field* const row = kp_onnx_find_field(message, field.number);
    if (!row) continue;
    size_t count;
    const char* const error = count_elements(row, &field, &count);
    if (error) return fail(d, KAPELL_INVALID_MODEL, at, row->name, field.at, error);
    if (!count) continue;
    if (row->flags & KP_FIELD_ONEOF) note_oneof(s, &field);
    const uint32_t bit = bit_of(field.number);
    s->counts[field.number] = (s->seen & bit ? s->counts[field.number] : 0) + count;
    s->seen |= bit;
    if (row->limit && s->counts[field.number] > row->limit)
      return fail(d, KAPELL_LIMIT, at, row->name, field.at,
                  "more elements than any operator has (10000)");
    if (message->selector_field == field.number) s->selector = (int32_t)field.value;
  }
  if (cursor.error) return fail(d, KAPELL_INVALID_MODEL, at, NULL, cursor.error_at, cursor.error);
  return NULL;
}

// Finds out which of the members that exclude one another is meant, and drops the others from the survey.
static kp_status* choose_member(decoder* d, const kp_onnx_message* message,
                                const kp_wire_span* body, const place* at, survey* s, void* out) {
  int32_t chosen = s->selector;
  for (uint32_t bits = s->selector ? 0 : s->seen; bits;) {
    const kp_onnx_field* const row = &message->fields[take_bit(&bits)];
    if (!row->select) continue;
    if (chosen)
      return fail(d, KAPELL_INVALID_MODEL, at, row->name, body->begin,
                  "one of several values, and no type says which");
    chosen = row->select;
  }
  if (chosen < 0 || chosen > message->last_member)
    return fail(d, KAPELL_UNSUPPORTED_MODEL, at, NULL, body->begin,
                "a kind of attribute that this build does not know");
  s->seen &= ~bit_of(message->selector_field);
  for (uint32_t bits = s->seen; bits;) {
    const uint32_t number = take_bit(&bits);
    const uint8_t select = message->fields[number].select;
    if (select && select != chosen) s->seen &= ~bit_of(number);
  }
  memcpy((char*)out + message->selector, &chosen, sizeof chosen);
  return NULL;
}

static kp_status* check_required(decoder* d, const kp_onnx_message* message,
                                 const kp_wire_span* body, const place* at, const survey* s,
                                 const void* out) {
  int32_t selector = 0;
  if (message->has_selector)
    memcpy(&selector, (const char*)out + message->selector, sizeof selector);
  if (message->excuse_field && (s->seen & bit_of(message->excuse_field))) return NULL;
  for (uint32_t bits = message->required & ~s->seen; bits;) {
    const kp_onnx_field* const row = &message->fields[take_bit(&bits)];
    if (row->select == selector)
      return fail(d, KAPELL_INVALID_MODEL, at, row->name, body->begin, "is missing");
  }
  return NULL;
}

static size_t element_size(const kp_onnx_field* row) {
  switch ((kp_field_kind)row->kind) {
    case KP_FIELD_INT64:
      return sizeof(int64_t);
    case KP_FIELD_FLOAT:
      return sizeof(float);
    case KP_FIELD_MESSAGE:
      return row->message->size;
    default:
      return sizeof(kp_str);
  }
}

// Makes the arrays, of exact size, and sets what is not zero by default.
static kp_status* prepare_out(decoder* d, const kp_onnx_message* message, const survey* s,
                              void* out) {
  for (uint32_t i = 1; message->has_non_negative && i < message->field_count; ++i) {
    const kp_onnx_field* const row = &message->fields[i];
    if (row->flags & KP_FIELD_NON_NEGATIVE) *(int64_t*)((char*)out + row->offset) = -1;
  }
  for (uint32_t bits = s->seen; bits;) {
    const uint32_t number = take_bit(&bits);
    const kp_onnx_field* const row = &message->fields[number];
    if (!(row->flags & KP_FIELD_REPEATED)) continue;
    void* array;
    KP_PASS(take_memory(d, s->counts[number], element_size(row), &array));
    memcpy((char*)out + row->offset, &array, sizeof array);
  }
  return NULL;
}

// --- second walk ---------------------------------------------------------------------------------------------------------
static kp_status* decode_text(decoder* d, const kp_onnx_field* row, const kp_wire_field* field,
                              const place* at, kp_str* out) {
  *out = (kp_str){(const char*)field->data, field->size};
  if (row->kind == KP_FIELD_BYTES) return NULL;
  if (field->size && memchr(field->data, 0, field->size))
    return fail(d, KAPELL_INVALID_MODEL, at, row->name, field->at, "a name with a NUL byte in it");
  if (!d->told_utf8 && !kp_str_utf8_valid(*out)) {
    d->told_utf8 = true;
    KP_LOG(WARNING, "byte %zu: a name is not UTF-8; it is shown with U+FFFD in its place",
           (size_t)(field->at - d->base));
  }
  return NULL;
}

static void store_number(const kp_onnx_field* row, uint64_t bits, void* target) {
  if (row->kind == KP_FIELD_INT64) {
    int64_t value = (int64_t)bits;
    if (value < 0 && (row->flags & KP_FIELD_NON_NEGATIVE)) value = -1;
    memcpy(target, &value, sizeof value);
  } else if (row->kind == KP_FIELD_BOOL) {
    if (bits <= 1) *(bool*)target = bits == 1;  // a closed enum: other numbers are unknown fields
  } else {
    const uint32_t low = (uint32_t)bits;  // FLOAT's bits; INT32 as protobuf cuts it
    memcpy(target, &low, sizeof low);
  }
}

// All elements of one occurrence of a repeated field.
static kp_status* decode_elements(decoder* d, const kp_onnx_field* row, const kp_wire_field* field,
                                  void* out, const place* at) {
  char* array;
  memcpy(&array, (char*)out + row->offset, sizeof array);
  size_t* const count = (size_t*)((char*)out + row->extra);
  char* target = array + *count * element_size(row);
  if (row->kind == KP_FIELD_MESSAGE) {
    const kp_wire_span body = {field->data, field->data + field->size, NULL};
    const place step = {at, row->name, *count};
    KP_PASS(decode_message(d, row->message, &body, target, &step));
  } else if (row->wire == KP_WIRE_BYTES) {
    KP_PASS(decode_text(d, row, field, at, (kp_str*)target));
  } else if (field->type == KP_WIRE_BYTES) {
    const uint8_t* const end = field->data + field->size;
    for (const uint8_t* p = field->data; p < end; ++*count, target += element_size(row))
      store_number(row, kp_wire_packed_next(&p, end, (kp_wire_type)row->wire), target);
    return NULL;
  } else {
    store_number(row, field->value, target);
  }
  ++*count;
  return NULL;
}

// Links the further occurrences of |field| behind |head|; |cursor| stands behind the first.
static kp_status* gather(decoder* d, kp_wire_cursor cursor, const kp_wire_field* first,
                         kp_wire_span* head) {
  kp_wire_span* last = head;
  kp_wire_field field;
  while (kp_wire_next(&cursor, &field)) {
    if (field.number != first->number || field.type != KP_WIRE_BYTES) continue;
    void* memory;
    KP_PASS(take_memory(d, 1, sizeof(kp_wire_span), &memory));
    kp_wire_span* const next = memory;
    *next = (kp_wire_span){field.data, field.data + field.size, NULL};
    last->next = next;
    last = next;
  }
  return NULL;
}

static kp_status* decode_submessage(decoder* d, const kp_onnx_field* row,
                                    const kp_wire_field* field, const kp_wire_cursor* cursor,
                                    survey* s, void* out, const place* at) {
  kp_wire_span body = {field->data, field->data + field->size, NULL};
  if (s->counts[field->number] > 1) KP_PASS(gather(d, *cursor, field, &body));
  s->seen &= ~bit_of(field->number);  // further occurrences are part of this one
  const place step = {at, row->name, SIZE_MAX};
  void* target = (char*)out + row->offset;
  if (row->kind == KP_FIELD_POINTER) {
    void* const slot = target;
    KP_PASS(take_memory(d, 1, row->message->size, &target));
    memcpy(slot, &target, sizeof target);
  }
  return decode_message(d, row->message, &body, target, &step);
}

static kp_status* note_typed(decoder* d, uint32_t number, const kp_wire_span* body,
                             kp_onnx_tensor* tensor) {
  tensor->typed_fields |= (uint16_t)(1u << number);
  if (tensor->body) return NULL;
  void* memory;
  KP_PASS(take_memory(d, 1, sizeof *body, &memory));
  memcpy(memory, body, sizeof *body);
  tensor->body = memory;
  return NULL;
}

static kp_status* decode_field(decoder* d, const kp_onnx_field* row, const kp_wire_field* field,
                               const kp_wire_cursor* cursor, const kp_wire_span* body, survey* s,
                               void* out, const place* at) {
  if (row->kind == KP_FIELD_TYPED) return note_typed(d, field->number, body, out);
  if (row->flags & KP_FIELD_REPEATED) return decode_elements(d, row, field, out, at);
  if (row->flags & KP_FIELD_HAS) *(bool*)((char*)out + row->extra) = true;
  if (row->message) return decode_submessage(d, row, field, cursor, s, out, at);
  void* const target = (char*)out + row->offset;
  if (row->wire == KP_WIRE_BYTES) return decode_text(d, row, field, at, target);
  store_number(row, field->value, target);
  return NULL;
}

static kp_status* decode_fields(decoder* d, const kp_onnx_message* message,
                                const kp_wire_span* body, survey* s, void* out, const place* at) {
  kp_wire_cursor cursor = kp_wire_open(body);
  kp_wire_field field;
  bool oneof_begun = false;
  while (kp_wire_next(&cursor, &field)) {
    const kp_onnx_field* const row = kp_onnx_find_field(message, field.number);
    if (!row || !(s->seen & bit_of(field.number))) continue;
    if (field.type != (kp_wire_type)row->wire && !(field.type == KP_WIRE_BYTES && is_packable(row)))
      continue;
    if (field.at == s->oneof_at) oneof_begun = true;
    if ((row->flags & KP_FIELD_ONEOF) && !oneof_begun) continue;
    KP_PASS(decode_field(d, row, &field, &cursor, body, s, out, at));
  }
  return NULL;  // the survey has seen every byte, so there is no error left
}

static kp_status* decode_message(decoder* d, const kp_onnx_message* message,
                                 const kp_wire_span* body, void* out, const place* at) {
  if (d->depth == d->max_depth)
    return fail(d, KAPELL_LIMIT, at, NULL, body->begin, "messages are nested too deep");
  survey s;
  s.seen = 0;
  s.oneof_at = NULL;
  s.oneof = 0;
  s.selector = 0;
  KP_PASS(survey_message(d, message, body, at, &s));
  if (message->has_selector) KP_PASS(choose_member(d, message, body, at, &s, out));
  if (message->required) KP_PASS(check_required(d, message, body, at, &s, out));
  KP_PASS(prepare_out(d, message, &s, out));
  ++d->depth;
  KP_PASS(decode_fields(d, message, body, &s, out, at));
  --d->depth;
  return NULL;
}

kp_status* kp_onnx_decode(const kp_onnx_message* message, const void* bytes, size_t byte_count,
                          const kp_onnx_decode_options* options, kp_arena* arena, void* out) {
  const size_t depth = options && options->max_depth ? options->max_depth : DEFAULT_DEPTH;
  decoder d = {.base = bytes,
               .arena = arena,
               .max_depth = kp_min_size(depth, LARGEST_DEPTH),
               .max_memory = options ? options->max_memory : 0};
  const kp_wire_span body = {bytes, byte_count ? (const uint8_t*)bytes + byte_count : bytes, NULL};
  const place root = {NULL, options && options->root ? options->root : "", SIZE_MAX};
  return decode_message(&d, message, &body, out, &root);
}
