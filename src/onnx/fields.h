// onnx.proto as a table: which field number of which message goes to which member of model.h's structs, and how. The reader
// (decode.c) and the writer (encode.c) both walk it, so that a field added here is read, written and counted.
#ifndef KP_ONNX_FIELDS_H_
#define KP_ONNX_FIELDS_H_

#include "onnx/model.h"
#include "onnx/wire.h"

typedef enum kp_field_kind {
  KP_FIELD_NONE = 0,  // no such number: skipped
  KP_FIELD_INT64,
  KP_FIELD_INT32,  // int32 and enums
  KP_FIELD_BOOL,   // an enum whose value 1 sets a bool (data_location)
  KP_FIELD_FLOAT,
  KP_FIELD_STRING,   // kp_str that must not hold a NUL byte: names
  KP_FIELD_BYTES,    // kp_str
  KP_FIELD_MESSAGE,  // a struct at |offset|
  KP_FIELD_POINTER,  // a pointer to a struct of its own
  KP_FIELD_TYPED     // TensorProto's *_data: stays in the file, noted in typed_fields and body
} kp_field_kind;

enum {
  KP_FIELD_REPEATED = 1,  // a pointer at |offset|, a size_t at |extra|
  KP_FIELD_HAS = 2,       // a bool at |extra| says that the field is there
  KP_FIELD_ONEOF = 4,     // of the message's one oneof: the last member in the file is the only one
  KP_FIELD_NON_NEGATIVE = 8,  // INT64 with -1 for "not given"; negative numbers mean the same
};

typedef struct kp_onnx_message kp_onnx_message;

typedef struct kp_onnx_field {
  const char* name;  // as in onnx.proto, for messages
  uint8_t kind;      // kp_field_kind
  uint8_t flags;
  uint8_t select;  // not 0: belongs to the message only when its selector has this value
  uint8_t wire;    // kp_wire_type of a single value
  uint16_t offset, extra;
  uint32_t limit;  // most elements of a repeated field; 0 = any
  const kp_onnx_message* message;
} kp_onnx_field;

#define KP_ONNX_MAX_FIELD 26  // the highest field number of onnx.proto and onnx-data.proto

struct kp_onnx_message {
  const char* name;
  uint16_t size;                // of the struct
  uint16_t field_count;         // rows, the one for number 0 included
  const kp_onnx_field* fields;  // by field number
  // Members that exclude one another: an int at |selector| says which there is (their |select|). In the file that is the field
  // |selector_field|, or (0) the member of the oneof that came last.
  bool has_selector;
  uint8_t selector_field;
  uint8_t last_member;  // largest value of the selector that is known
  uint16_t selector;
  // Bit n: field n, a POINTER, must be there (where its |select| applies), so that nobody meets a NULL; unless the message
  // has the field |excuse_field| (0: none).
  uint32_t required;
  uint8_t excuse_field;
  bool has_non_negative;  // some field has KP_FIELD_NON_NEGATIVE
};

static inline const kp_onnx_field* kp_onnx_find_field(const kp_onnx_message* message,
                                                      uint32_t number) {
  if (number >= message->field_count) return NULL;
  const kp_onnx_field* const field = &message->fields[number];
  return field->kind == KP_FIELD_NONE ? NULL : field;
}

extern const kp_onnx_message kp_onnx_model_message;
extern const kp_onnx_message kp_onnx_graph_message;
extern const kp_onnx_message kp_onnx_tensor_message;
extern const kp_onnx_message kp_onnx_sparse_message;
extern const kp_onnx_message kp_onnx_type_message;
extern const kp_onnx_message kp_onnx_sequence_message;  // data_messages.h has the structs of these
extern const kp_onnx_message kp_onnx_map_message;
extern const kp_onnx_message kp_onnx_optional_message;

#endif  // KP_ONNX_FIELDS_H_
