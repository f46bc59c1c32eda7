// Values of all kinds: how they are made, what they say of themselves, how they go through a session.
#include "client.h"

typedef struct element {
  const char* model;  // what copies values of this type
  ONNXTensorElementDataType type;
  size_t bytes;
} element;

static const element elements[] = {
    {"identity_float32.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4},
    {"identity_uint8.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1},
    {"identity_int8.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1},
    {"identity_uint16.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, 2},
    {"identity_int16.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, 2},
    {"identity_int32.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4},
    {"identity_int64.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8},
    {"identity_bool.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1},
    {"identity_float16.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2},
    {"identity_float64.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8},
    {"identity_uint32.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, 4},
    {"identity_uint64.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, 8},
    {"identity_bfloat16.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, 2},
    {"identity_float8e4m3fn.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN, 1},
    {"identity_float8e4m3fnuz.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ, 1},
    {"identity_float8e5m2.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2, 1},
    {"identity_float8e5m2fnuz.onnx", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ, 1},
};

static bool type_of(const OrtValue* value, ONNXTensorElementDataType* type, size_t* rank,
                    int64_t* dims) {
  OrtTensorTypeAndShapeInfo* info;
  if (!succeeded(api->GetTensorTypeAndShape(value, &info), "GetTensorTypeAndShape", __LINE__))
    return false;
  const bool right =
      succeeded(api->GetTensorElementType(info, type), "GetTensorElementType", __LINE__) &&
      succeeded(api->GetDimensionsCount(info, rank), "GetDimensionsCount", __LINE__) &&
      succeeded(api->GetDimensions(info, dims, *rank), "GetDimensions", __LINE__);
  api->ReleaseTensorTypeAndShapeInfo(info);
  return right;
}

static void one_type(const element* e) {
  unsigned char bytes[24];
  for (size_t i = 0; i < sizeof bytes; ++i)
    bytes[i] = e->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL ? i % 2 : (unsigned char)(i * 7 + 1);
  const int64_t count = 3;
  OrtValue* in = tensor_over(bytes, e->bytes * 3, e->type, &count, 1);
  OrtSession* session = open_model(e->model, NULL);
  if (!in || !session) return;
  OrtValue* out;
  OK(run1(session, "x", in, "y", &out));
  ONNXTensorElementDataType type;
  size_t rank, size;
  int64_t dims[8];
  CHECK(type_of(out, &type, &rank, dims) && type == e->type && rank == 1 && dims[0] == 3);
  const void* data;
  OK(api->GetTensorData(out, &data));
  CHECK(memcmp(data, bytes, e->bytes * 3) == 0);
  OK(api->GetTensorSizeInBytes(out, &size));
  CHECK(size == e->bytes * 3);
  OrtTypeInfo* info;
  const OrtTensorTypeAndShapeInfo* tensor;
  OK(api->SessionGetInputTypeInfo(session, 0, &info));
  OK(api->CastTypeInfoToTensorInfo(info, &tensor));
  OK(api->GetTensorElementType(tensor, &type));
  CHECK(type == e->type);
  api->ReleaseTypeInfo(info);
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
}

static void element_types(void) {
  for (size_t i = 0; i < COUNT(elements) && !failure[0]; ++i) {
    one_type(&elements[i]);
    if (failure[0])
      snprintf(failure + strlen(failure), sizeof failure - strlen(failure), " (%s)",
               elements[i].model);
  }
}

// Four-bit tensors hold two elements a byte, the first in the low half.
static void four_bits(void) {
  static const struct {
    const char *narrow, *widen;
    ONNXTensorElementDataType type;
    float numbers[5];
    unsigned char packed[3];
  } cases[] = {{"narrow_int4.onnx",
                "widen_int4.onnx",
                ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4,
                {-8, 7, -1, 0, 3},
                {0x78, 0x0f, 0x03}},
               {"narrow_uint4.onnx",
                "widen_uint4.onnx",
                ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4,
                {15, 0, 1, 2, 9},
                {0x0f, 0x21, 0x09}}};
  for (size_t i = 0; i < COUNT(cases); ++i) {
    float numbers[5];
    memcpy(numbers, cases[i].numbers, sizeof numbers);
    OrtSession *narrow = open_model(cases[i].narrow, NULL),
               *widen = open_model(cases[i].widen, NULL);
    CHECK(narrow && widen);
    OrtValue *in = floats(numbers, 5), *packed, *out;
    OK(run1(narrow, "x", in, "y", &packed));
    ONNXTensorElementDataType type;
    size_t rank, size;
    int64_t dims[8];
    const void* data;
    CHECK(type_of(packed, &type, &rank, dims) && type == cases[i].type && dims[0] == 5);
    OK(api->GetTensorData(packed, &data));
    OK(api->GetTensorSizeInBytes(packed, &size));
    CHECK(size == 3 && memcmp(data, cases[i].packed, 2) == 0 &&
          (((const unsigned char*)data)[2] & 15) == cases[i].packed[2]);
    unsigned char mine[3];
    memcpy(mine, cases[i].packed, 3);
    const int64_t count = 5;
    OrtValue* made = tensor_over(mine, 3, cases[i].type, &count, 1);
    OK(run1(widen, "x", made, "y", &out));
    CHECK(holds(out, cases[i].numbers, 5));
    api->ReleaseValue(in);
    api->ReleaseValue(packed);
    api->ReleaseValue(made);
    api->ReleaseValue(out);
    api->ReleaseSession(narrow);
    api->ReleaseSession(widen);
  }
}

static void tensors(void) {
  const int64_t dims[3] = {2, 0, 3}, negative[1] = {-1};
  OrtValue* value;
  int flag;
  ONNXTensorElementDataType type;
  size_t rank, count;
  int64_t got[8];
  OK(api->CreateTensorAsOrtValue(heap, dims, 3, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value));
  OK(api->IsTensor(value, &flag));
  CHECK(flag == 1);
  OK(api->HasValue(value, &flag));
  CHECK(flag == 1);
  CHECK(type_of(value, &type, &rank, got) && type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 &&
        rank == 3 && got[1] == 0);
  api->ReleaseValue(value);
  OK(api->CreateTensorAsOrtValue(heap, NULL, 0, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, &value));
  CHECK(type_of(value, &type, &rank, got) && rank == 0);
  OrtTypeInfo* info;
  enum ONNXType kind;
  OK(api->GetTypeInfo(value, &info));
  OK(api->GetOnnxTypeFromTypeInfo(info, &kind));
  CHECK(kind == ONNX_TYPE_TENSOR);
  const OrtTensorTypeAndShapeInfo* tensor;
  OK(api->CastTypeInfoToTensorInfo(info, &tensor));
  OK(api->GetTensorShapeElementCount(tensor, &count));
  CHECK(count == 1);
  api->ReleaseTypeInfo(info);
  const OrtMemoryInfo* where;
  const char* name;
  OK(api->GetTensorMemoryInfo(value, &where));
  OK(api->MemoryInfoGetName(where, &name));
  CHECK(strcmp(name, "Cpu") == 0);
  api->ReleaseValue(value);
  value = NULL;
  OrtStatus* status =
      api->CreateTensorAsOrtValue(heap, negative, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value);
  CHECK(status != NULL && value == NULL);
  api->ReleaseStatus(status);
  float room[4] = {1, 2, 3, 4};
  const int64_t six = 6, square[2] = {2, 2}, inside[2] = {1, 0}, outside[2] = {1, 2};
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->CreateTensorWithDataAsOrtValue(memory, room, sizeof room, &six, 1,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  value = tensor_over(room, sizeof room, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, square, 2);
  void* at;
  OK(api->TensorAt(value, inside, 2, &at));
  CHECK(at == &room[2]);
  FAILS(ORT_INVALID_ARGUMENT, "", api->TensorAt(value, outside, 2, &at));
  FAILS(ORT_INVALID_ARGUMENT, "", api->TensorAt(value, inside, 1, &at));
  void* data;
  OK(api->GetTensorMutableData(value, &data));
  CHECK(data == room);
  const int64_t* shape;
  OK(api->GetTensorElementTypeAndShapeDataReference(value, &type, &shape, &rank));
  CHECK(type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && rank == 2 && shape[0] == 2 && shape[1] == 2);
  api->ReleaseValue(value);
  api->ReleaseValue(NULL);
}

static void string_tensors(void) {
  const char* words[3] = {"one", "", "gr\xc3\xbcn"};
  const char* more[3] = {"1", "2", "3"};
  OrtSession* session = open_model("text.onnx", NULL);
  const char* inputs[2] = {"x", "y"};
  const char* outputs[1] = {"z"};
  OrtValue* values[2] = {strings(words, 3), strings(more, 3)};
  OrtValue* out = NULL;
  CHECK(session && values[0] && values[1]);
  OK(api->Run(session, NULL, inputs, (const OrtValue* const*)values, 2, outputs, 1, &out));
  size_t length, offsets[3];
  char text[64];
  OK(api->GetStringTensorDataLength(out, &length));
  CHECK(length == 4 + 1 + 6);
  OK(api->GetStringTensorContent(out, text, length, offsets, 3));
  CHECK(memcmp(text, "one12gr\xc3\xbcn3", length) == 0 && offsets[0] == 0 && offsets[1] == 4 &&
        offsets[2] == 5);
  FAILS(ORT_FAIL, "", api->GetStringTensorContent(out, text, length, offsets, 2));
  OrtStatus* status = api->GetStringTensorContent(out, text, length - 1, offsets, 3);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  OK(api->GetStringTensorElementLength(out, 2, &length));
  CHECK(length == 6);
  OK(api->GetStringTensorElement(out, length, 2, text));
  CHECK(memcmp(text, "gr\xc3\xbcn3", 6) == 0);
  FAILS(ORT_INVALID_ARGUMENT, "", api->GetStringTensorElementLength(out, 3, &length));
  OK(api->FillStringTensorElement(values[0], "changed", 1));
  FAILS(ORT_INVALID_ARGUMENT, "", api->FillStringTensorElement(values[0], "x", 3));
  FAILS(ORT_INVALID_ARGUMENT, "", api->FillStringTensor(values[0], words, 2));
  char* buffer;
  OK(api->GetResizedStringTensorElementBuffer(values[0], 0, 5, &buffer));
  memcpy(buffer, "a\0bcd", 5);
  OK(api->GetStringTensorElementLength(values[0], 0, &length));
  OK(api->GetStringTensorElement(values[0], 5, 0, text));
  CHECK(length == 5 && memcmp(text, "a\0bcd", 5) == 0);
  api->ReleaseValue(out);
  out = NULL;
  OK(api->Run(session, NULL, inputs, (const OrtValue* const*)values, 2, outputs, 1, &out));
  OK(api->GetStringTensorElementLength(out, 0, &length));
  CHECK(length == 6);
  api->ReleaseValue(out);
  float number = 0;
  const int64_t one = 1;
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->CreateTensorWithDataAsOrtValue(memory, &number, 4, &one, 1,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &out));
  api->ReleaseValue(values[0]);
  api->ReleaseValue(values[1]);
  api->ReleaseSession(session);
}

static void sequences_out(void) {
  OrtSession* session = open_model("split.onnx", NULL);
  OrtTypeInfo *type, *inner;
  const OrtSequenceTypeInfo* sequence;
  enum ONNXType kind;
  OK(api->SessionGetOutputTypeInfo(session, 0, &type));
  OK(api->CastTypeInfoToSequenceTypeInfo(type, &sequence));
  CHECK(sequence);
  OK(api->GetSequenceElementType(sequence, &inner));
  OK(api->GetOnnxTypeFromTypeInfo(inner, &kind));
  CHECK(kind == ONNX_TYPE_TENSOR);
  api->ReleaseTypeInfo(inner);
  api->ReleaseTypeInfo(type);
  float x[3] = {5, 6, 7};
  OrtValue *in = floats(x, 3), *out, *item;
  OK(run1(session, "x", in, "s", &out));
  size_t count;
  OK(api->GetValueType(out, &kind));
  CHECK(kind == ONNX_TYPE_SEQUENCE);
  OK(api->GetValueCount(out, &count));
  CHECK(count == 3);
  for (int i = 0; i < 3; ++i) {
    OK(api->GetValue(out, i, heap, &item));
    CHECK(holds(item, &x[i], 1));
    api->ReleaseValue(item);
  }
  OrtStatus* status = api->GetValue(out, 3, heap, &item);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  int flag;
  OK(api->IsTensor(out, &flag));
  CHECK(flag == 0);
  OK(api->GetTypeInfo(out, &type));
  OK(api->GetOnnxTypeFromTypeInfo(type, &kind));
  CHECK(kind == ONNX_TYPE_SEQUENCE);
  api->ReleaseTypeInfo(type);
  void* data;
  status = api->GetTensorMutableData(out, &data);
  CHECK(status != NULL);  // it is no tensor
  api->ReleaseStatus(status);
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
}

static void sequences_in(void) {
  OrtSession* session = open_model("join.onnx", NULL);
  float a[2] = {1, 2}, b[1] = {3};
  const float want[3] = {1, 2, 3};
  OrtValue *items[2] = {floats(a, 2), floats(b, 1)}, *sequence, *out;
  OK(api->CreateValue((const OrtValue* const*)items, 2, ONNX_TYPE_SEQUENCE, &sequence));
  api->ReleaseValue(items[0]);  // the sequence keeps what it needs
  OK(run1(session, "s", sequence, "y", &out));
  CHECK(holds(out, want, 3));
  api->ReleaseValue(out);
  out = NULL;
  const char *input = "s", *output = "y";
  FAILS(ORT_INVALID_ARGUMENT, "",
        api->Run(session, NULL, &input, (const OrtValue* const*)&items[1], 1, &output, 1,
                 &out));  // no sequence
  OrtValue* none;
  FAILS(ORT_FAIL, "",
        api->CreateValue((const OrtValue* const*)items, 0, ONNX_TYPE_SEQUENCE, &none));
  api->ReleaseValue(items[1]);
  api->ReleaseValue(sequence);
  api->ReleaseSession(session);
}

static void mixed_sequence(void) {
  float a[1] = {1};
  double b[1] = {2};
  const int64_t one = 1;
  OrtValue* items[2] = {floats(a, 1),
                        tensor_over(b, 8, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, &one, 1)};
  OrtValue* sequence;
  FAILS(ORT_FAIL, "",
        api->CreateValue((const OrtValue* const*)items, 2, ONNX_TYPE_SEQUENCE, &sequence));
  api->ReleaseValue(items[0]);
  api->ReleaseValue(items[1]);
}

static void maps_out(void) {
  OrtSession* session = open_model("labels.onnx", NULL);
  OrtTypeInfo *type, *inner, *value_type;
  const OrtSequenceTypeInfo* sequence;
  const OrtMapTypeInfo* map;
  enum ONNXType kind;
  ONNXTensorElementDataType key_type;
  OK(api->SessionGetOutputTypeInfo(session, 0, &type));
  OK(api->CastTypeInfoToSequenceTypeInfo(type, &sequence));
  OK(api->GetSequenceElementType(sequence, &inner));
  OK(api->GetOnnxTypeFromTypeInfo(inner, &kind));
  CHECK(kind == ONNX_TYPE_MAP);
  OK(api->CastTypeInfoToMapTypeInfo(inner, &map));
  OK(api->GetMapKeyType(map, &key_type));
  CHECK(key_type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
  OK(api->GetMapValueType(map, &value_type));
  OK(api->GetOnnxTypeFromTypeInfo(value_type, &kind));
  CHECK(kind == ONNX_TYPE_TENSOR);
  api->ReleaseTypeInfo(value_type);
  api->ReleaseTypeInfo(inner);
  api->ReleaseTypeInfo(type);
  float x[6] = {1, 2, 3, 4, 5, 6};
  const int64_t dims[2] = {2, 3};
  OrtValue *in = tensor_over(x, sizeof x, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dims, 2), *out, *row,
           *keys, *values;
  OK(run1(session, "x", in, "z", &out));
  size_t count, length, offsets[3];
  OK(api->GetValueCount(out, &count));
  CHECK(count == 2);
  OK(api->GetValue(out, 1, heap, &row));
  OK(api->GetValueType(row, &kind));
  CHECK(kind == ONNX_TYPE_MAP);
  OK(api->GetValueCount(row, &count));
  CHECK(count == 2);  // keys and values
  OK(api->GetValue(row, 0, heap, &keys));
  OK(api->GetValue(row, 1, heap, &values));
  OK(api->GetStringTensorDataLength(keys, &length));
  CHECK(length == 11);
  char text[11];
  OK(api->GetStringTensorContent(keys, text, length, offsets, 3));
  CHECK(memcmp(text, "onethreetwo", 11) == 0);  // in the order of the keys
  const float want[3] = {4, 6, 5};
  CHECK(holds(values, want, 3));
  OrtValue* third;
  OrtStatus* status = api->GetValue(row, 2, heap, &third);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  api->ReleaseValue(out);  // the parts outlive the whole
  CHECK(holds(values, want, 3));
  api->ReleaseValue(keys);
  api->ReleaseValue(values);
  api->ReleaseValue(row);
  api->ReleaseValue(in);
  api->ReleaseSession(session);
}

static void maps_in(void) {
  OrtSession *by_text = open_model("lookup.onnx", NULL),
             *by_number = open_model("lookup_ids.onnx", NULL);
  CHECK(by_text && by_number);
  const char* words[2] = {"three", "one"};
  int64_t numbers[2] = {20, 10};
  float amounts[2] = {0.5f, 2};
  const int64_t two = 2;
  OrtValue *parts[2] = {strings(words, 2), floats(amounts, 2)}, *map, *out;
  const float by_text_want[3] = {2, 0, 0.5f}, by_number_want[3] = {2, 0.5f, 0};
  OK(api->CreateValue((const OrtValue* const*)parts, 2, ONNX_TYPE_MAP, &map));
  OK(run1(by_text, "m", map, "y", &out));
  CHECK(holds(out, by_text_want, 3));
  api->ReleaseValue(out);
  OrtStatus* status = run1(by_number, "m", map, "y", &out);
  CHECK(status != NULL);  // keys of another type
  api->ReleaseStatus(status);
  api->ReleaseValue(map);
  api->ReleaseValue(parts[0]);
  parts[0] = tensor_over(numbers, sizeof numbers, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &two, 1);
  OK(api->CreateValue((const OrtValue* const*)parts, 2, ONNX_TYPE_MAP, &map));
  OK(run1(by_number, "m", map, "y", &out));
  CHECK(holds(out, by_number_want, 3));
  OrtTypeInfo* type;
  const OrtMapTypeInfo* info;
  ONNXTensorElementDataType key_type;
  OK(api->GetTypeInfo(map, &type));
  OK(api->CastTypeInfoToMapTypeInfo(type, &info));
  OK(api->GetMapKeyType(info, &key_type));
  CHECK(key_type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
  api->ReleaseTypeInfo(type);
  api->ReleaseValue(out);
  api->ReleaseValue(map);
  OrtValue* bad;
  FAILS(ORT_FAIL, "", api->CreateValue((const OrtValue* const*)parts, 1, ONNX_TYPE_MAP, &bad));
  api->ReleaseValue(parts[0]);
  api->ReleaseValue(parts[1]);
  api->ReleaseSession(by_text);
  api->ReleaseSession(by_number);
}

static void optionals(void) {
  OrtSession* session = open_model("optional.onnx", NULL);
  OrtTypeInfo *type, *inner;
  const OrtOptionalTypeInfo* optional;
  enum ONNXType kind;
  OK(api->SessionGetOutputTypeInfo(session, 0, &type));
  OK(api->GetOnnxTypeFromTypeInfo(type, &kind));
  CHECK(kind == ONNX_TYPE_OPTIONAL);
  OK(api->CastTypeInfoToOptionalTypeInfo(type, &optional));
  OK(api->GetOptionalContainedTypeInfo(optional, &inner));
  OK(api->GetOnnxTypeFromTypeInfo(inner, &kind));
  CHECK(kind == ONNX_TYPE_TENSOR);
  api->ReleaseTypeInfo(inner);
  api->ReleaseTypeInfo(type);
  float x[2] = {1, 2};
  OrtValue *in = floats(x, 2), *out;
  int has;
  OK(run1(session, "x", in, "o", &out));
  OK(api->HasValue(out, &has));
  CHECK(has == 1 && holds(out, x, 2));
  api->ReleaseValue(in);
  api->ReleaseValue(out);
  api->ReleaseSession(session);
}

static void sparse_coo(void) {
  OrtSession* session = open_model("sparse.onnx", NULL);
  OrtTypeInfo* type;
  enum ONNXType kind;
  OK(api->SessionGetInputTypeInfo(session, 0, &type));
  OK(api->GetOnnxTypeFromTypeInfo(type, &kind));
  CHECK(kind == ONNX_TYPE_SPARSETENSOR);
  api->ReleaseTypeInfo(type);
  float stored[3] = {1, 2, 3}, dense[6] = {1, 2, 3, 4, 5, 6};
  int64_t indices[6] = {0, 0, 1, 1, 2, 2};  // the diagonal
  const int64_t dims[2] = {3, 3}, dense_dims[2] = {3, 2}, three = 3;
  const float want[6] = {1, 2, 6, 8, 15, 18};
  OrtValue *a,
      *out = NULL,
      *b = tensor_over(dense, sizeof dense, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, dense_dims, 2);
  OK(api->CreateSparseTensorWithValuesAsOrtValue(memory, stored, dims, 2, &three, 1,
                                                 ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &a));
  OK(api->UseCooIndices(a, indices, 6));
  int flag;
  enum OrtSparseFormat format;
  OK(api->IsSparseTensor(a, &flag));
  CHECK(flag == 1);
  OK(api->GetSparseTensorFormat(a, &format));
  CHECK(format == ORT_SPARSE_COO);
  const char* inputs[2] = {"a", "b"};
  const char* outputs[1] = {"y"};
  const OrtValue* values[2] = {a, b};
  OK(api->Run(session, NULL, inputs, values, 2, outputs, 1, &out));
  CHECK(holds(out, want, 6));
  api->ReleaseValue(out);
  api->ReleaseValue(a);
  OK(api->CreateSparseTensorAsOrtValue(heap, dims, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &a));
  OK(api->FillSparseTensorCoo(a, memory, &three, 1, stored, indices, 6));
  OrtTensorTypeAndShapeInfo* info;
  size_t count;
  const void* data;
  OK(api->GetSparseTensorValuesTypeAndShape(a, &info));
  OK(api->GetTensorShapeElementCount(info, &count));
  CHECK(count == 3);
  api->ReleaseTensorTypeAndShapeInfo(info);
  OK(api->GetSparseTensorValues(a, &data));
  CHECK(data != stored && memcmp(data, stored, sizeof stored) == 0);  // a copy
  OK(api->GetSparseTensorIndicesTypeShape(a, ORT_SPARSE_COO_INDICES, &info));
  api->ReleaseTensorTypeAndShapeInfo(info);
  OK(api->GetSparseTensorIndices(a, ORT_SPARSE_COO_INDICES, &count, &data));
  CHECK(count == 6 && memcmp(data, indices, sizeof indices) == 0);
  values[0] = a;
  out = NULL;
  OK(api->Run(session, NULL, inputs, values, 2, outputs, 1, &out));
  CHECK(holds(out, want, 6));
  api->ReleaseValue(out);
  api->ReleaseValue(a);
  api->ReleaseValue(b);
  api->ReleaseSession(session);
}

static void sparse_others(void) {
  float stored[3] = {1, 2, 3};
  const int64_t inner[3] = {0, 1, 2}, outer[4] = {0, 1, 2, 3}, dims[2] = {3, 3}, three = 3;
  OrtValue* value;
  enum OrtSparseFormat format;
  size_t count;
  const void* data;
  OK(api->CreateSparseTensorAsOrtValue(heap, dims, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  OK(api->FillSparseTensorCsr(value, memory, &three, 1, stored, inner, 3, outer, 4));
  OK(api->GetSparseTensorFormat(value, &format));
  CHECK(format == ORT_SPARSE_CSRC);
  OK(api->GetSparseTensorIndices(value, ORT_SPARSE_CSR_OUTER_INDICES, &count, &data));
  CHECK(count == 4 && memcmp(data, outer, sizeof outer) == 0);
  api->ReleaseValue(value);
  const int64_t block_dims[2] = {2, 2}, values_dims[3] = {1, 2, 1}, index_dims[2] = {2, 1};
  const int32_t blocks[2] = {0, 1};
  float two[2] = {1, 2};
  OK(api->CreateSparseTensorAsOrtValue(heap, block_dims, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                       &value));
  OK(api->FillSparseTensorBlockSparse(value, memory, values_dims, 3, two, index_dims, 2, blocks));
  OK(api->GetSparseTensorFormat(value, &format));
  CHECK(format == ORT_SPARSE_BLOCK_SPARSE);
  api->ReleaseValue(value);
}

// An allocator of the client's that counts.
typedef struct counting {
  OrtAllocator base;
  int live, made;
} counting;

static void* counting_alloc(OrtAllocator* self, size_t size) {
  counting* mine = (counting*)self;
  ++mine->live;
  ++mine->made;
  return malloc(size ? size : 1);
}

static void counting_free(OrtAllocator* self, void* block) {
  if (!block) return;
  --((counting*)self)->live;
  free(block);
}

static const OrtMemoryInfo* counting_info(const OrtAllocator* self) {
  (void)self;
  return memory;
}

static counting new_counting(void) {
  counting made;
  memset(&made, 0, sizeof made);
  made.base.version = ORT_API_VERSION;
  made.base.Alloc = counting_alloc;
  made.base.Free = counting_free;
  made.base.Info = counting_info;
  return made;
}

static void own_allocator(void) {
  counting mine = new_counting();
  const int64_t dims = 10;
  OrtValue* value;
  OK(api->CreateTensorAsOrtValue(&mine.base, &dims, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                 &value));
  CHECK(mine.live == 1);
  api->ReleaseValue(value);
  CHECK(mine.live == 0);
  OrtSession* session = open_model("add.onnx", NULL);
  char* name;
  OK(api->SessionGetInputName(session, 0, &mine.base, &name));
  CHECK(mine.live == 1 && strcmp(name, "a") == 0);
  OK(api->AllocatorFree(&mine.base, name));
  CHECK(mine.live == 0);
  api->ReleaseSession(session);
  float* data = (float*)mine.base.Alloc(&mine.base, 40);
  OK(api->CreateTensorWithDataAndDeleterAsOrtValue(&mine.base, data, 40, &dims, 1,
                                                   ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &value));
  api->ReleaseValue(value);
  CHECK(mine.live == 0);  // it was given away with the value
}

static void allocators(void) {
  OrtAllocator *again, *own;
  OK(api->GetAllocatorWithDefaultOptions(&again));
  CHECK(again == heap);
  void* block;
  OK(api->AllocatorAlloc(heap, 100, &block));
  memset(block, 1, 100);
  OK(api->AllocatorFree(heap, block));
  OK(api->AllocatorAlloc(heap, 0, &block));
  OK(api->AllocatorFree(heap, block));
  OK(api->AllocatorFree(heap, NULL));
  const OrtMemoryInfo* info;
  OK(api->AllocatorGetInfo(heap, &info));
  const char* name;
  OK(api->MemoryInfoGetName(info, &name));
  CHECK(strcmp(name, "Cpu") == 0);
  OrtSession* session = open_model("add.onnx", NULL);
  OK(api->CreateAllocator(session, memory, &own));
  OK(api->AllocatorAlloc(own, 1000, &block));
  memset(block, 2, 1000);
  OK(api->AllocatorFree(own, block));
  api->ReleaseAllocator(own);
  api->ReleaseAllocator(NULL);
  OrtMemoryInfo* gpu;
  OK(api->CreateMemoryInfo("Cuda", OrtDeviceAllocator, 0, OrtMemTypeDefault, &gpu));
  OrtStatus* status = api->CreateAllocator(session, gpu, &own);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  api->ReleaseMemoryInfo(gpu);
  api->ReleaseSession(session);
}

static void memory_infos(void) {
  OrtMemoryInfo *a, *b;
  int number;
  OrtMemType kind;
  OrtAllocatorType allocator;
  OrtMemoryInfoDeviceType device;
  OK(api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &a));
  OK(api->CreateMemoryInfo("Cpu", OrtDeviceAllocator, 0, OrtMemTypeDefault, &b));
  OK(api->CompareMemoryInfo(a, b, &number));
  CHECK(number == 0);
  api->ReleaseMemoryInfo(b);
  OK(api->CompareMemoryInfo(a, memory, &number));
  CHECK(number == -1);  // one is an arena's
  OK(api->MemoryInfoGetId(a, &number));
  OK(api->MemoryInfoGetMemType(a, &kind));
  OK(api->MemoryInfoGetType(a, &allocator));
  CHECK(number == 0 && kind == OrtMemTypeDefault && allocator == OrtDeviceAllocator);
  api->MemoryInfoGetDeviceType(a, &device);
  CHECK(device == OrtMemoryInfoDeviceType_CPU);
  api->ReleaseMemoryInfo(a);
  OrtStatus* status =
      api->CreateMemoryInfo("NoSuchDevice", OrtDeviceAllocator, 0, OrtMemTypeDefault, &a);
  CHECK(status != NULL);
  api->ReleaseStatus(status);
  OK(api->CreateMemoryInfo_V2("mine", OrtMemoryInfoDeviceType_GPU, 0x10de, 1,
                              OrtDeviceMemoryType_HOST_ACCESSIBLE, 64, OrtDeviceAllocator, &a));
  api->MemoryInfoGetDeviceType(a, &device);
  CHECK(device == OrtMemoryInfoDeviceType_GPU && api->MemoryInfoGetVendorId(a) == 0x10de);
  CHECK(api->MemoryInfoGetDeviceMemType(a) == OrtDeviceMemoryType_HOST_ACCESSIBLE);
  api->ReleaseMemoryInfo(a);
}

static void shape_infos(void) {
  OrtTensorTypeAndShapeInfo* info;
  ONNXTensorElementDataType type;
  const int64_t dims[3] = {-1, 3, 4};
  int64_t got[3];
  size_t count;
  const char* names[3] = {"n", "", ""};
  OK(api->CreateTensorTypeAndShapeInfo(&info));
  OK(api->SetTensorElementType(info, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8));
  OK(api->SetDimensions(info, dims, 3));
  OK(api->SetSymbolicDimensions(info, names, 3));
  OK(api->GetTensorElementType(info, &type));
  OK(api->GetDimensionsCount(info, &count));
  OK(api->GetDimensions(info, got, 3));
  CHECK(type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 && count == 3 &&
        memcmp(dims, got, sizeof got) == 0);
  OK(api->GetSymbolicDimensions(info, names, 3));
  CHECK(strcmp(names[0], "n") == 0 && strcmp(names[1], "") == 0);
  api->ReleaseTensorTypeAndShapeInfo(info);
  api->ReleaseTensorTypeAndShapeInfo(NULL);
}

const client_test value_tests[] = {
    {"element_types", element_types},
    {"four_bits", four_bits},
    {"tensors", tensors},
    {"string_tensors", string_tensors},
    {"sequences_out", sequences_out},
    {"sequences_in", sequences_in},
    {"mixed_sequence", mixed_sequence},
    {"maps_out", maps_out},
    {"maps_in", maps_in},
    {"optionals", optionals},
    {"sparse_coo", sparse_coo},
    {"sparse_others", sparse_others},
    {"own_allocator", own_allocator},
    {"allocators", allocators},
    {"memory_infos", memory_infos},
    {"shape_infos", shape_infos},
    {NULL, NULL},
};
