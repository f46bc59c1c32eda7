// Attributes of operators: made by clients, or lent from a node.
#include <string.h>

#include "base/alloc.h"
#include "base/size.h"
#include "ort/kernel.h"

// By ONNX's own kind; the others do not exist in the C API.
static const OrtOpAttrType types[] = {
    [KP_ONNX_ATTR_FLOAT] = ORT_OP_ATTR_FLOAT,   [KP_ONNX_ATTR_INT] = ORT_OP_ATTR_INT,
    [KP_ONNX_ATTR_STRING] = ORT_OP_ATTR_STRING, [KP_ONNX_ATTR_TENSOR] = ORT_OP_ATTR_TENSOR,
    [KP_ONNX_ATTR_GRAPH] = ORT_OP_ATTR_GRAPH,   [KP_ONNX_ATTR_FLOATS] = ORT_OP_ATTR_FLOATS,
    [KP_ONNX_ATTR_INTS] = ORT_OP_ATTR_INTS,     [KP_ONNX_ATTR_STRINGS] = ORT_OP_ATTR_STRINGS};

OrtOpAttrType kp_ort_attr_type(const kp_attr* attr) {
  return (size_t)attr->type < KP_COUNT_OF(types) ? types[attr->type] : ORT_OP_ATTR_UNDEFINED;
}

// --- making ----------------------------------------------------------------------------------------------------------------------
static bool copy_text(kp_arena* arena, const char* text, size_t length, kp_str* out) {
  out->data = kp_arena_strndup(arena, text ? text : "", length);
  out->length = length;
  return out->data != NULL;
}

static bool copy_list(OrtOpAttr* made, const kp_attr* from) {
  switch (from->type) {
    case KP_ONNX_ATTR_FLOATS:
      made->attr.floats = kp_arena_memdup(&made->arena, from->floats, from->count * sizeof(float));
      return made->attr.floats != NULL;
    case KP_ONNX_ATTR_INTS:
      made->attr.ints = kp_arena_memdup(&made->arena, from->ints, from->count * sizeof(int64_t));
      return made->attr.ints != NULL;
    case KP_ONNX_ATTR_STRINGS: {
      kp_str* strings = kp_arena_new_array(&made->arena, kp_str, from->count + 1);
      made->attr.strings = strings;
      for (size_t i = 0; strings && i < from->count; ++i)
        if (!copy_text(&made->arena, from->strings[i].data, from->strings[i].length, &strings[i]))
          return false;
      return strings != NULL;
    }
    case KP_ONNX_ATTR_STRING:
      return copy_text(&made->arena, from->s.data, from->s.length, &made->attr.s);
    case KP_ONNX_ATTR_TENSOR:
      made->tensor = kp_value_retain(from->tensor);
      return true;
    default:
      return true;
  }
}

OrtStatus* kp_ort_attr_copy(const kp_attr* from, OrtOpAttr** out) {
  OrtOpAttr* made = kp_alloc_zero(1, sizeof *made);
  if (!made) return kp_ort_no_memory();
  made->attr = *from;
  made->attr.name = kp_arena_strndup(&made->arena, from->name, strlen(from->name));
  if (!made->attr.name || !copy_list(made, from)) {
    ort_ReleaseOpAttr(made);
    return kp_ort_no_memory();
  }
  *out = made;
  return NULL;
}

static OrtStatus* from_texts(const char* const* texts, kp_attr* attr, OrtOpAttr** out) {
  kp_str* strings = kp_alloc_zero(attr->count, sizeof *strings);
  if (!strings) return kp_ort_no_memory();
  for (size_t i = 0; i < attr->count; ++i) strings[i] = kp_str_of(texts[i] ? texts[i] : "");
  attr->strings = strings;
  OrtStatus* status = kp_ort_attr_copy(attr, out);
  kp_free(strings);
  return status;
}

OrtStatus* ort_CreateOpAttr(const char* name, const void* data, int size, OrtOpAttrType type,
                            OrtOpAttr** op_attr) {
  KP_ORT_NEED(op_attr);
  *op_attr = NULL;
  KP_ORT_NEED(name);
  if (size < 0) return kp_ort_error(ORT_INVALID_ARGUMENT, "attribute '%s': size %d", name, size);
  if (size || type == ORT_OP_ATTR_INT || type == ORT_OP_ATTR_FLOAT || type == ORT_OP_ATTR_TENSOR)
    KP_ORT_NEED(data);
  kp_attr attr = {.name = name, .count = (size_t)size};
  switch (type) {
    case ORT_OP_ATTR_INT:
      attr.type = KP_ONNX_ATTR_INT;
      memcpy(&attr.i, data, sizeof attr.i);
      break;
    case ORT_OP_ATTR_FLOAT:
      attr.type = KP_ONNX_ATTR_FLOAT;
      memcpy(&attr.f, data, sizeof attr.f);
      break;
    case ORT_OP_ATTR_INTS:
      attr.type = KP_ONNX_ATTR_INTS;
      attr.ints = data;
      break;
    case ORT_OP_ATTR_FLOATS:
      attr.type = KP_ONNX_ATTR_FLOATS;
      attr.floats = data;
      break;
    case ORT_OP_ATTR_STRING:
      attr.type = KP_ONNX_ATTR_STRING;
      attr.s = (kp_str){data, (size_t)size};
      break;
    case ORT_OP_ATTR_STRINGS:
      attr.type = KP_ONNX_ATTR_STRINGS;
      return from_texts(data, &attr, op_attr);
    case ORT_OP_ATTR_TENSOR: {
      OrtStatus* status = NULL;
      attr.type = KP_ONNX_ATTR_TENSOR;
      attr.tensor = kp_ort_value_tensor(data, &status);
      if (!attr.tensor) return status;
      break;
    }
    default:
      return kp_ort_error(ORT_FAIL, "attribute '%s': type %d cannot be made", name, (int)type);
  }
  return kp_ort_attr_copy(&attr, op_attr);
}

void ort_ReleaseOpAttr(OrtOpAttr* object) {
  if (!object) return;
  kp_value_release(object->tensor);
  kp_arena_free(&object->arena);
  kp_free(object);
}

// --- reading ---------------------------------------------------------------------------------------------------------------------
OrtStatus* ort_OpAttr_GetType(const OrtOpAttr* attribute, OrtOpAttrType* type) {
  KP_ORT_NEED(attribute);
  KP_ORT_NEED(type);
  *type = kp_ort_attr_type(&attribute->attr);
  if (*type != ORT_OP_ATTR_UNDEFINED) return NULL;
  return kp_ort_error(ORT_INVALID_ARGUMENT, "attribute '%s' is of kind %d, which the API has not",
                      attribute->attr.name, (int)attribute->attr.type);
}

OrtStatus* ort_OpAttr_GetName(const OrtOpAttr* attribute, const char** name) {
  KP_ORT_NEED(attribute);
  KP_ORT_NEED(name);
  *name = attribute->attr.name;
  return NULL;
}

OrtStatus* ort_OpAttr_GetTensorAttributeAsOrtValue(const OrtOpAttr* attribute, OrtValue** tensor) {
  KP_ORT_NEED(tensor);
  *tensor = NULL;
  KP_ORT_NEED(attribute);
  if (attribute->attr.type != KP_ONNX_ATTR_TENSOR)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "attribute '%s' is no tensor", attribute->attr.name);
  return kp_ort_value_wrap(kp_value_retain(attribute->attr.tensor), tensor);
}

// |size| bytes at |from| for a buffer of |capacity| bytes; *out_size is what is needed in any case.
static OrtStatus* give(const char* what, const void* from, size_t size, void* data, size_t capacity,
                       size_t* out_size) {
  *out_size = size;
  if (capacity < size || (size && !data))
    return kp_ort_error(ORT_INVALID_ARGUMENT, "Size of data not large enough to hold %s.", what);
  if (size) memcpy(data, from, size);
  return NULL;
}

// All texts one after the other, each ended by a NUL.
static OrtStatus* give_strings(const kp_attr* attr, char* data, size_t capacity, size_t* out_size) {
  size_t size = 0;
  for (size_t i = 0; i < attr->count; ++i) size += attr->strings[i].length + 1;
  *out_size = size;
  if (capacity < size || (size && !data))
    return kp_ort_error(ORT_INVALID_ARGUMENT,
                        "Size of data not large enough to hold the array of strings.");
  for (size_t i = 0; i < attr->count; ++i) {
    const size_t length = attr->strings[i].length;
    if (length) memcpy(data, attr->strings[i].data, length);
    data[length] = 0;
    data += length + 1;
  }
  return NULL;
}

OrtStatus* ort_ReadOpAttr(const OrtOpAttr* op_attr, OrtOpAttrType type, void* data, size_t size,
                          size_t* out) {
  KP_ORT_NEED(out);
  *out = 0;
  KP_ORT_NEED(op_attr);
  const kp_attr* attr = &op_attr->attr;
  if (kp_ort_attr_type(attr) != type)
    return kp_ort_error(ORT_INVALID_ARGUMENT, "attribute '%s' is of type %d, type %d was asked for",
                        attr->name, (int)kp_ort_attr_type(attr), (int)type);
  switch (type) {
    case ORT_OP_ATTR_INT:
      return give("the int64", &attr->i, sizeof attr->i, data, size, out);
    case ORT_OP_ATTR_FLOAT:
      return give("the float", &attr->f, sizeof attr->f, data, size, out);
    case ORT_OP_ATTR_INTS:
      return give("the array of int64", attr->ints, attr->count * sizeof *attr->ints, data, size,
                  out);
    case ORT_OP_ATTR_FLOATS:
      return give("the array of floats", attr->floats, attr->count * sizeof *attr->floats, data,
                  size, out);
    case ORT_OP_ATTR_STRING:
      return give("the string", attr->s.data, attr->s.length, data, size, out);
    case ORT_OP_ATTR_STRINGS:
      return give_strings(attr, data, size, out);
    default:
      return kp_ort_error(
          ORT_INVALID_ARGUMENT,
          "attribute '%s' is a tensor or a graph: OpAttr_GetTensorAttributeAsOrtValue "
          "and Node_GetSubgraphs read those",
          attr->name);
  }
}
