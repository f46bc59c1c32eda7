// Protobuf's wire format: see wire.h.
#include "onnx/wire.h"

#include <string.h>

#include "base/size.h"

// Nesting of groups inside one skipped field. ONNX has none; protobuf's own limit for all nesting is 100.
#define MAX_GROUP_DEPTH 64

static uint64_t load_little(const uint8_t* data, size_t size) {
  uint64_t value = 0;
  memcpy(&value, data, size);  // little-endian machines only, as all of onnx/
  return value;
}

bool kp_wire_varint(const uint8_t** at, const uint8_t* end, uint64_t* out_value) {
  const uint8_t* p = *at;
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (p == end) return false;
    const uint8_t byte = *p++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) {
      *at = p;
      *out_value = value;
      return true;
    }
  }
  return false;
}

static bool fail(kp_wire_cursor* cursor, const uint8_t* at, const char* what) {
  cursor->error = what;
  cursor->error_at = at;
  return false;
}

// Tags have 32 bits: five bytes, the last of them with four bits.
static bool read_tag(kp_wire_cursor* cursor, kp_wire_field* field) {
  uint64_t tag;
  field->at = cursor->at;
  if (!kp_wire_varint(&cursor->at, cursor->end, &tag))
    return fail(cursor, field->at, "the tag of a field is cut off");
  if (tag > UINT32_MAX || cursor->at - field->at > 5)
    return fail(cursor, field->at, "the tag of a field has more than 32 bits");
  field->number = (uint32_t)(tag >> 3);
  field->type = (kp_wire_type)(tag & 7);
  if (field->number == 0) return fail(cursor, field->at, "field number 0");
  return true;
}

static bool take(kp_wire_cursor* cursor, kp_wire_field* field, uint64_t size, const char* cut_off) {
  if (size > (uint64_t)(cursor->end - cursor->at)) return fail(cursor, field->at, cut_off);
  field->data = cursor->at;
  field->size = (size_t)size;
  cursor->at += size;
  return true;
}

// The value behind a tag, groups excepted.
static bool read_value(kp_wire_cursor* cursor, kp_wire_field* field) {
  uint64_t length;
  switch (field->type) {
    case KP_WIRE_VARINT:
      field->data = cursor->at;
      if (!kp_wire_varint(&cursor->at, cursor->end, &field->value))
        return fail(cursor, field->at, "a varint is cut off or longer than ten bytes");
      field->size = (size_t)(cursor->at - field->data);
      return true;
    case KP_WIRE_FIXED64:
      if (!take(cursor, field, 8, "a 64-bit value is cut off")) return false;
      field->value = load_little(field->data, 8);
      return true;
    case KP_WIRE_FIXED32:
      if (!take(cursor, field, 4, "a 32-bit value is cut off")) return false;
      field->value = load_little(field->data, 4);
      return true;
    case KP_WIRE_BYTES:
      if (!kp_wire_varint(&cursor->at, cursor->end, &length))
        return fail(cursor, field->at, "the length of a field is cut off or longer than ten bytes");
      return take(cursor, field, length, "a field's length runs past the end of its message");
    default:
      return fail(cursor, field->at, "a field has no valid wire type");
  }
}

static bool skip_group(kp_wire_cursor* cursor, kp_wire_field* group) {
  uint32_t open[MAX_GROUP_DEPTH] = {group->number};
  size_t depth = 1;
  const uint8_t* const begin = cursor->at;
  while (depth > 0) {
    if (cursor->at == cursor->end) return fail(cursor, group->at, "a group has no end");
    kp_wire_field field;
    if (!read_tag(cursor, &field)) return false;
    if (field.type == KP_WIRE_GROUP) {
      if (depth == MAX_GROUP_DEPTH) return fail(cursor, field.at, "groups are nested too deep");
      open[depth++] = field.number;
    } else if (field.type == KP_WIRE_END_GROUP) {
      if (open[--depth] != field.number)
        return fail(cursor, field.at, "the end of a group has another number than its start");
    } else if (!read_value(cursor, &field)) {
      return false;
    }
  }
  group->data = begin;
  group->size = (size_t)(cursor->at - begin);
  return true;
}

bool kp_wire_next(kp_wire_cursor* cursor, kp_wire_field* out_field) {
  if (cursor->error) return false;
  while (cursor->at == cursor->end) {
    const kp_wire_span* const next = cursor->rest;
    if (!next) return false;
    cursor->at = next->begin;
    cursor->end = next->end;
    cursor->rest = next->next;
  }
  if (!read_tag(cursor, out_field)) return false;
  if (out_field->type == KP_WIRE_GROUP) return skip_group(cursor, out_field);
  return read_value(cursor, out_field);
}

static const char* count_varints(const uint8_t* data, size_t size, size_t* out_count) {
  const uint8_t* const end = data + size;
  size_t count = 0, run = 0;
  for (const uint8_t* at = data; at != end; ++at) {
    if (++run > 10) return "a varint is longer than ten bytes";
    if (*at & 0x80) continue;
    ++count;
    run = 0;
  }
  if (run) return "a varint is cut off";
  *out_count = count;
  return NULL;
}

const char* kp_wire_count_packed(const uint8_t* data, size_t size, kp_wire_type type,
                                 size_t* out_count) {
  if (type == KP_WIRE_VARINT) return count_varints(data, size, out_count);
  const size_t width = type == KP_WIRE_FIXED32 ? 4 : 8;
  if (size % width) return "the size of a packed field is no multiple of its elements'";
  *out_count = size / width;
  return NULL;
}

uint64_t kp_wire_packed_next(const uint8_t** at, const uint8_t* end, kp_wire_type type) {
  uint64_t value = 0;
  if (type == KP_WIRE_VARINT) {
    if (!kp_wire_varint(at, end, &value)) *at = end;
    return value;
  }
  const size_t width = type == KP_WIRE_FIXED32 ? 4 : 8;
  value = load_little(*at, width);
  *at += width;
  return value;
}
