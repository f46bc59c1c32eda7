// The generic decoder: see decode.h. Recursion follows the nesting of messages and is bounded by max_depth.
#include "onnx/decode.h"

#include "onnx/walk.h"

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

static kp_status* decode_message(kp_onnx_walk* walk, const kp_onnx_message* message,
                                 const kp_wire_span* body, void* out, const kp_onnx_place* at);

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

static kp_status* survey_message(kp_onnx_walk* walk, const kp_onnx_message* message,
                                 const kp_wire_span* body, const kp_onnx_place* at, survey* s) {
  kp_wire_cursor cursor = kp_wire_open(body);
  kp_wire_field field;
  while (kp_wire_next(&cursor, &field)) {
    const kp_onnx_field* const row = kp_onnx_find_field(message, field.number);
    if (!row) continue;
    size_t count;
    const char* const error = count_elements(row, &field, &count);
    if (error) return kp_onnx_walk_fail(walk, KAPELL_INVALID_MODEL, at, row->name, field.at, error);
    if (!count) continue;
    if (row->flags & KP_FIELD_ONEOF) note_oneof(s, &field);
    const uint32_t bit = bit_of(field.number);
    s->counts[field.number] = (s->seen & bit ? s->counts[field.number] : 0) + count;
    s->seen |= bit;
    if (row->limit && s->counts[field.number] > row->limit)
      return kp_onnx_walk_fail(walk, KAPELL_LIMIT, at, row->name, field.at,
                               "more elements than any operator has (10000)");
    if (message->selector_field == field.number) s->selector = (int32_t)field.value;
  }
  if (cursor.error)
    return kp_onnx_walk_fail(walk, KAPELL_INVALID_MODEL, at, NULL, cursor.error_at, cursor.error);
  return NULL;
}

// Finds out which of the members that exclude one another is meant, and drops the others from the survey.
static kp_status* choose_member(kp_onnx_walk* walk, const kp_onnx_message* message,
                                const kp_wire_span* body, const kp_onnx_place* at, survey* s,
                                void* out) {
  int32_t chosen = s->selector;
  for (uint32_t bits = s->selector ? 0 : s->seen; bits;) {
    const kp_onnx_field* const row = &message->fields[take_bit(&bits)];
    if (!row->select) continue;
    if (chosen)
      return kp_onnx_walk_fail(walk, KAPELL_INVALID_MODEL, at, row->name, body->begin,
                               "one of several values, and no type says which");
    chosen = row->select;
  }
  if (chosen < 0 || chosen > message->last_member)
    return kp_onnx_walk_fail(walk, KAPELL_UNSUPPORTED_MODEL, at, NULL, body->begin,
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

static kp_status* check_required(kp_onnx_walk* walk, const kp_onnx_message* message,
                                 const kp_wire_span* body, const kp_onnx_place* at, const survey* s,
                                 const void* out) {
  int32_t selector = 0;
  if (message->has_selector)
    memcpy(&selector, (const char*)out + message->selector, sizeof selector);
  if (message->excuse_field && (s->seen & bit_of(message->excuse_field))) return NULL;
  for (uint32_t bits = message->required & ~s->seen; bits;) {
    const kp_onnx_field* const row = &message->fields[take_bit(&bits)];
    if (row->select == selector)
      return kp_onnx_walk_fail(walk, KAPELL_INVALID_MODEL, at, row->name, body->begin,
                               "is missing");
  }
  return NULL;
}

static size_t element_size(const kp_onnx_field* row) {
  return kp_onnx_element_size(row->kind, row->message ? row->message->size : 0);
}

// Makes the arrays, of exact size, and sets what is not zero by default.
static kp_status* prepare_out(kp_onnx_walk* walk, const kp_onnx_message* message, const survey* s,
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
    KP_PASS(kp_onnx_walk_take(walk, s->counts[number], element_size(row), &array));
    memcpy((char*)out + row->offset, &array, sizeof array);
  }
  return NULL;
}

// --- second walk ---------------------------------------------------------------------------------------------------------
static kp_status* decode_text(kp_onnx_walk* walk, const kp_onnx_field* row,
                              const kp_wire_field* field, const kp_onnx_place* at, kp_str* out) {
  *out = (kp_str){(const char*)field->data, field->size};
  if (row->kind == KP_FIELD_BYTES) return NULL;
  return kp_onnx_walk_check_name(walk, at, row->name, field->at, *out);
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
static kp_status* decode_elements(kp_onnx_walk* walk, const kp_onnx_field* row,
                                  const kp_wire_field* field, void* out, const kp_onnx_place* at) {
  char* array;
  memcpy(&array, (char*)out + row->offset, sizeof array);
  size_t* const count = (size_t*)((char*)out + row->extra);
  char* target = array + *count * element_size(row);
  if (row->kind == KP_FIELD_MESSAGE) {
    const kp_wire_span body = {field->data, field->data + field->size, NULL};
    const kp_onnx_place step = {at, row->name, *count};
    KP_PASS(decode_message(walk, row->message, &body, target, &step));
  } else if (row->wire == KP_WIRE_BYTES) {
    KP_PASS(decode_text(walk, row, field, at, (kp_str*)target));
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
static kp_status* gather(kp_onnx_walk* walk, kp_wire_cursor cursor, const kp_wire_field* first,
                         kp_wire_span* head) {
  kp_wire_span* last = head;
  kp_wire_field field;
  while (kp_wire_next(&cursor, &field)) {
    if (field.number != first->number || field.type != KP_WIRE_BYTES) continue;
    void* memory;
    KP_PASS(kp_onnx_walk_take(walk, 1, sizeof(kp_wire_span), &memory));
    kp_wire_span* const next = memory;
    *next = (kp_wire_span){field.data, field.data + field.size, NULL};
    last->next = next;
    last = next;
  }
  return NULL;
}

static kp_status* decode_submessage(kp_onnx_walk* walk, const kp_onnx_field* row,
                                    const kp_wire_field* field, const kp_wire_cursor* cursor,
                                    survey* s, void* out, const kp_onnx_place* at) {
  kp_wire_span body = {field->data, field->data + field->size, NULL};
  if (s->counts[field->number] > 1) KP_PASS(gather(walk, *cursor, field, &body));
  s->seen &= ~bit_of(field->number);  // further occurrences are part of this one
  const kp_onnx_place step = {at, row->name, SIZE_MAX};
  void* target = (char*)out + row->offset;
  if (row->kind == KP_FIELD_POINTER) {
    void* const slot = target;
    KP_PASS(kp_onnx_walk_take(walk, 1, row->message->size, &target));
    memcpy(slot, &target, sizeof target);
  }
  return decode_message(walk, row->message, &body, target, &step);
}

static kp_status* note_typed(kp_onnx_walk* walk, uint32_t number, const kp_wire_span* body,
                             kp_onnx_tensor* tensor) {
  tensor->typed_fields |= (uint16_t)(1u << number);
  if (tensor->body) return NULL;
  void* memory;
  KP_PASS(kp_onnx_walk_take(walk, 1, sizeof *body, &memory));
  memcpy(memory, body, sizeof *body);
  tensor->body = memory;
  return NULL;
}

static kp_status* decode_field(kp_onnx_walk* walk, const kp_onnx_field* row,
                               const kp_wire_field* field, const kp_wire_cursor* cursor,
                               const kp_wire_span* body, survey* s, void* out,
                               const kp_onnx_place* at) {
  if (row->kind == KP_FIELD_TYPED) return note_typed(walk, field->number, body, out);
  if (row->flags & KP_FIELD_REPEATED) return decode_elements(walk, row, field, out, at);
  if (row->flags & KP_FIELD_HAS) *(bool*)((char*)out + row->extra) = true;
  if (row->message) return decode_submessage(walk, row, field, cursor, s, out, at);
  void* const target = (char*)out + row->offset;
  if (row->wire == KP_WIRE_BYTES) return decode_text(walk, row, field, at, target);
  store_number(row, field->value, target);
  return NULL;
}

static kp_status* decode_fields(kp_onnx_walk* walk, const kp_onnx_message* message,
                                const kp_wire_span* body, survey* s, void* out,
                                const kp_onnx_place* at) {
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
    KP_PASS(decode_field(walk, row, &field, &cursor, body, s, out, at));
  }
  return NULL;  // the survey has seen every byte, so there is no error left
}

static kp_status* decode_message(kp_onnx_walk* walk, const kp_onnx_message* message,
                                 const kp_wire_span* body, void* out, const kp_onnx_place* at) {
  if (walk->depth == walk->max_depth)
    return kp_onnx_walk_fail(walk, KAPELL_LIMIT, at, NULL, body->begin,
                             "messages are nested too deep");
  survey s;
  s.seen = 0;
  s.oneof_at = NULL;
  s.oneof = 0;
  s.selector = 0;
  KP_PASS(survey_message(walk, message, body, at, &s));
  if (message->has_selector) KP_PASS(choose_member(walk, message, body, at, &s, out));
  if (message->required) KP_PASS(check_required(walk, message, body, at, &s, out));
  KP_PASS(prepare_out(walk, message, &s, out));
  ++walk->depth;
  KP_PASS(decode_fields(walk, message, body, &s, out, at));
  --walk->depth;
  return NULL;
}

kp_status* kp_onnx_decode(const kp_onnx_message* message, const void* bytes, size_t byte_count,
                          const kp_onnx_decode_options* options, kp_arena* arena, void* out) {
  kp_onnx_walk walk = kp_onnx_walk_start(bytes, options, arena);
  const kp_wire_span body = {bytes, byte_count ? (const uint8_t*)bytes + byte_count : bytes, NULL};
  const kp_onnx_place root = {NULL, options && options->root ? options->root : "", SIZE_MAX};
  return decode_message(&walk, message, &body, out, &root);
}
