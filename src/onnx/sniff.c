// Recognises what people hand over instead of an ONNX model: see sniff.h.
#include "onnx/sniff.h"

#include <string.h>
#include <strings.h>

#include "base/size.h"
#include "onnx/fields.h"

typedef struct magic {
  size_t offset;
  const char* bytes;
  size_t size;
  kp_onnx_guess guess;
} magic;

#define MAGIC(offset, text) offset, text, sizeof(text) - 1
#define EXPORT_HINT "export the model to ONNX: torch.onnx.export(model, args, \"model.onnx\")"
#define TENSORFLOW_HINT "convert it: python -m tf2onnx.convert"

static const magic magics[] = {
    {MAGIC(0, "version https://git-lfs.github.com/spec"),
     {"a Git-LFS pointer, not the file it stands for",
      "run 'git lfs pull' in the repository it came from"}},
    {MAGIC(4, "TFL3"),
     {"a TensorFlow Lite model", "convert it: python -m tf2onnx.convert --tflite"}},
    {MAGIC(0, "GGUF"), {"a GGUF file (llama.cpp)", "export the original model to ONNX"}},
    {MAGIC(0, "\x89HDF\r\n\x1a\n"), {"an HDF5 file (Keras)", TENSORFLOW_HINT}},
    {MAGIC(0, "\x93NUMPY"), {"a NumPy array", "it can be an input of a model"}},
    {MAGIC(0, "\x1f\x8b"), {"a gzip archive", "unpack it first"}},
    {MAGIC(0, "BZh"), {"a bzip2 archive", "unpack it first"}},
    {MAGIC(0,
           "\xfd"
           "7zXZ"),
     {"an xz archive", "unpack it first"}},
    {MAGIC(0, "\x28\xb5\x2f\xfd"), {"a zstd archive", "unpack it first"}},
    {MAGIC(0, "7z\xbc\xaf\x27\x1c"), {"a 7-Zip archive", "unpack it first"}},
    {MAGIC(257, "ustar"), {"a tar archive", "unpack it first"}},
    {MAGIC(0,
           "\x7f"
           "ELF"),
     {"a program or library (ELF)", NULL}},
    {MAGIC(0, "\x89PNG"), {"a picture (PNG)", "it can be an input of a model"}},
    {MAGIC(0, "\xff\xd8\xff"), {"a picture (JPEG)", "it can be an input of a model"}},
    {MAGIC(0, "%PDF"), {"a PDF document", NULL}},
    {MAGIC(0, "ftrt"), {"a TensorRT engine", "use the .onnx file that it was built from"}},
};

static bool contains(const char* bytes, size_t size, const char* text) {
  return memmem(bytes, size, text, strlen(text)) != NULL;
}

static kp_onnx_guess sniff_zip(const char* bytes, size_t size) {
  const size_t head = kp_min_size(size, 1024);
  if (contains(bytes, head, "data.pkl") || contains(bytes, head, "/.format_version") ||
      contains(bytes, head, "archive/"))
    return (kp_onnx_guess){"a PyTorch checkpoint or TorchScript archive (zip)", EXPORT_HINT};
  if (contains(bytes, head, ".npy"))
    return (kp_onnx_guess){"an archive of NumPy arrays (.npz)", "it can hold inputs of a model"};
  return (kp_onnx_guess){"a zip archive",
                         "unpack it; if PyTorch or Keras wrote it, export the model to ONNX"};
}

// A length in eight bytes, then that much JSON.
static bool is_safetensors(const unsigned char* bytes, size_t size) {
  uint64_t length;
  if (size < 10) return false;
  memcpy(&length, bytes, sizeof length);
  return length >= 2 && length < ((uint64_t)1 << 32) && bytes[8] == '{' &&
         (bytes[9] == '"' || bytes[9] == '}' || bytes[9] == ' ');
}

// The protocol's opcode, then what a pickle begins with: a frame, a number, a global name or an empty container.
static bool is_pickle(const unsigned char* bytes, size_t size) {
  return size > 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5 &&
         memchr(
             "\x95\x8a"
             "c}]",
             bytes[2], 5) != NULL;
}

static bool starts_with(const char* bytes, size_t size, const char* text) {
  const size_t length = strlen(text);
  return size >= length && strncasecmp(bytes, text, length) == 0;
}

// UTF-8 without control characters, as far as a head of it tells (which may end inside a character).
static bool is_text(const char* bytes, size_t size) {
  size = kp_min_size(size, 512);
  for (size_t i = 0; i < size; ++i) {
    const unsigned char c = (unsigned char)bytes[i];
    if (c < 0x20 && c != '\n' && c != '\r' && c != '\t') return false;
  }
  for (size_t cut = 0; cut < 4 && cut <= size; ++cut) {
    if (kp_str_utf8_valid((kp_str){bytes, size - cut})) return true;
  }
  return false;
}

static kp_onnx_guess sniff_text(const char* bytes, size_t size) {
  while (size && (*bytes == ' ' || *bytes == '\n' || *bytes == '\r' || *bytes == '\t'))
    ++bytes, --size;
  const size_t head = kp_min_size(size, 512);
  if (starts_with(bytes, size, "<!doctype html") || starts_with(bytes, size, "<html") ||
      starts_with(bytes, size, "<head"))
    return (kp_onnx_guess){"an HTML page",
                           "the download gave a web page; use the address of the file itself"};
  if (starts_with(bytes, size, "<?xml") && contains(bytes, head, "<net"))
    return (kp_onnx_guess){"an OpenVINO model (XML)", "use the .onnx file that it was made from"};
  if (starts_with(bytes, size, "<?xml"))
    return (kp_onnx_guess){"an XML document", "if a download gave it, it may be an error page"};
  const bool names_fields =
      contains(bytes, head, "ir_version") || contains(bytes, head, "opset_import");
  if (names_fields && *bytes != '{')
    return (kp_onnx_guess){"an ONNX model as text",
                           "write it as binary: onnx.save(onnx.parser.parse_model(text)) or "
                           "google.protobuf.text_format"};
  if (size && (*bytes == '{' || *bytes == '['))
    return (kp_onnx_guess){names_fields ? "an ONNX model as JSON" : "JSON",
                           names_fields ? "write it as binary" : NULL};
  return (kp_onnx_guess){"text", NULL};
}

// --- protobuf files of other kinds -----------------------------------------------------------------------------------------
typedef struct fields_seen {
  uint32_t varint, bytes;  // bit n: field n with that wire type
  const uint8_t* second;   // contents of the first field 2 with bytes
  size_t second_size;
  const uint8_t* first;  // likewise field 1
  size_t first_size;
  bool valid;
} fields_seen;

static fields_seen look_at_fields(const void* bytes, size_t byte_count) {
  const kp_wire_span body = {bytes, (const uint8_t*)bytes + byte_count, NULL};
  kp_wire_cursor cursor = kp_wire_open(&body);
  kp_wire_field field;
  fields_seen seen = {0};
  for (size_t i = 0; i < 1000 && kp_wire_next(&cursor, &field); ++i) {
    const uint32_t bit = 1u << (field.number < 31 ? field.number : 31);
    if (field.type == KP_WIRE_VARINT) seen.varint |= bit;
    if (field.type != KP_WIRE_BYTES) continue;
    if (field.number == 1 && !(seen.bytes & bit))
      seen.first = field.data, seen.first_size = field.size;
    if (field.number == 2 && !(seen.bytes & bit))
      seen.second = field.data, seen.second_size = field.size;
    seen.bytes |= bit;
  }
  seen.valid = cursor.error == NULL;
  return seen;
}

static kp_onnx_guess sniff_protobuf(const void* bytes, size_t byte_count) {
  const fields_seen seen = look_at_fields(bytes, byte_count);
  const kp_onnx_guess none = {0};
  if (!seen.valid) return none;
  // SavedModel: a schema version, then meta graphs, which begin with a message of their own.
  if (seen.varint == 1u << 1 && seen.bytes == 1u << 2 && seen.second_size && seen.second[0] == 0x0a)
    return (kp_onnx_guess){"a TensorFlow SavedModel", TENSORFLOW_HINT};
  // GraphDef: nodes, each with a name and an operator; then library and versions.
  if (seen.varint == 0 && (seen.bytes & ~(1u << 1 | 1u << 2 | 1u << 4)) == 0 &&
      seen.first_size > 2 && seen.first[0] == 0x0a) {
    const fields_seen node = look_at_fields(seen.first, seen.first_size);
    if (node.valid && (node.bytes & 1u << 2))
      return (kp_onnx_guess){"a TensorFlow graph (GraphDef)", TENSORFLOW_HINT};
  }
  const uint32_t tensor_data =
      1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 | 1u << 10 | 1u << 11;
  if ((seen.varint & 1u << 2) && (seen.bytes & tensor_data))
    return (kp_onnx_guess){"an ONNX tensor, not a model", "it can be an input of a model"};
  return none;
}

kp_onnx_guess kp_onnx_sniff(const void* bytes, size_t byte_count) {
  if (byte_count == 0)
    return (kp_onnx_guess){"an empty file", "the download or export may have been cut short"};
  for (size_t i = 0; i < KP_COUNT_OF(magics); ++i) {
    const magic* const m = &magics[i];
    if (byte_count >= m->offset + m->size &&
        memcmp((const char*)bytes + m->offset, m->bytes, m->size) == 0)
      return m->guess;
  }
  const char* const text = bytes;
  if (starts_with(text, byte_count, "PK\003\004")) return sniff_zip(text, byte_count);
  if (is_pickle(bytes, byte_count))
    return (kp_onnx_guess){"a Python pickle (PyTorch, scikit-learn)", EXPORT_HINT " or skl2onnx"};
  if (is_safetensors(bytes, byte_count))
    return (kp_onnx_guess){"a safetensors file: weights without a graph",
                           "export the model they belong to to ONNX"};
  if (is_text(text, byte_count)) return sniff_text(text, byte_count);
  return sniff_protobuf(bytes, byte_count);
}

bool kp_onnx_begins_like_model(const void* bytes, size_t byte_count) {
  if (byte_count == 0) return false;
  const kp_wire_span body = {bytes, (const uint8_t*)bytes + byte_count, NULL};
  kp_wire_cursor cursor = kp_wire_open(&body);
  kp_wire_field field = {0};
  // A first field that is cut off still has its number and type.
  (void)kp_wire_next(&cursor, &field);
  const kp_onnx_field* const row = kp_onnx_find_field(&kp_onnx_model_message, field.number);
  return row && field.type == (kp_wire_type)row->wire;
}
