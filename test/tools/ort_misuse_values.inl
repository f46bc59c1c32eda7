// Wrong calls about values and memory (ort_misuse.c includes this).

CASE(tensor_no_bytes) { return make(FLOAT, 1, 0, 0, NULL, 0); }

CASE(tensor_few_bytes) { return make(FLOAT, 1, 5, 0, room, 19); }

CASE(tensor_many_bytes) { return make(FLOAT, 1, 5, 0, room, 21); }

CASE(tensor_negative) { return make(FLOAT, 1, -1, 0, room, 4); }

CASE(tensor_overflow) { return make(FLOAT, 2, INT64_C(1) << 40, INT64_C(1) << 40, room, 4); }

CASE(tensor_wraps) { return make(FLOAT, 2, INT64_C(1) << 62, 4, room, 0); }

CASE(tensor_scalar) { return make(FLOAT, 0, 0, 0, room, 4); }

CASE(tensor_undefined) { return make(ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, 1, 1, 0, room, 4); }

CASE(tensor_unknown_type) { return make((ONNXTensorElementDataType)99, 1, 1, 0, room, 4); }

CASE(tensor_of_strings) { return make(ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, 1, 1, 0, room, 4); }

CASE(tensor_complex) { return make(ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64, 1, 1, 0, room, 8); }

CASE(allocate_negative) {
  const int64_t d = -3;
  OrtValue* v;
  return api->CreateTensorAsOrtValue(heap, &d, 1, FLOAT, &v);
}

CASE(allocate_huge) {
  const int64_t d[] = {INT64_C(1) << 40, INT64_C(1) << 40};
  OrtValue* v;
  return api->CreateTensorAsOrtValue(heap, d, 2, FLOAT, &v);
}

CASE(allocate_undefined) {
  const int64_t d = 1;
  OrtValue* v;
  return api->CreateTensorAsOrtValue(heap, &d, 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, &v);
}

CASE(data_of_sequence) {
  void* p;
  return api->GetTensorMutableData(sequence_of(floats(1, 1, 0)), &p);
}

CASE(shape_of_sequence) {
  OrtTensorTypeAndShapeInfo* i;
  return api->GetTensorTypeAndShape(sequence_of(floats(1, 1, 0)), &i);
}

CASE(size_of_sequence) {
  size_t n;
  return api->GetTensorSizeInBytes(sequence_of(floats(1, 1, 0)), &n);
}

CASE(size_of_strings) {
  size_t n;
  return api->GetTensorSizeInBytes(text_tensor(), &n);
}

CASE(count_of_tensor) {
  size_t n;
  return api->GetValueCount(floats(1, 1, 0), &n);
}

CASE(item_of_tensor) {
  OrtValue* v;
  return api->GetValue(floats(1, 1, 0), 0, heap, &v);
}

CASE(item_past_end) {
  OrtValue* v;
  return api->GetValue(sequence_of(floats(1, 1, 0)), 1, heap, &v);
}

CASE(item_negative) {
  OrtValue* v;
  return api->GetValue(sequence_of(floats(1, 1, 0)), -1, heap, &v);
}

CASE(value_of_no_kind) {
  OrtValue *f = floats(1, 1, 0), *v;
  return api->CreateValue((const OrtValue* const*)&f, 1, ONNX_TYPE_TENSOR, &v);
}

CASE(value_of_nothing) {
  OrtValue *f = floats(1, 1, 0), *v;
  return api->CreateValue((const OrtValue* const*)&f, 0, ONNX_TYPE_SEQUENCE, &v);
}

CASE(sequence_of_sequences) {
  OrtValue *s = sequence_of(floats(1, 1, 0)), *v;
  return api->CreateValue((const OrtValue* const*)&s, 1, ONNX_TYPE_SEQUENCE, &v);
}

CASE(map_of_float_keys) { return make_pair(floats(1, 2, 0), floats(1, 2, 0)); }

CASE(map_of_two_lengths) { return make_pair(text_tensor(), floats(1, 3, 0)); }

CASE(map_of_matrices) { return make_pair(text_tensor(), floats(2, 2, 1)); }

CASE(map_of_sequence) { return make_pair(text_tensor(), sequence_of(floats(1, 2, 0))); }

CASE(map_of_strings) { return make_pair(text_tensor(), text_tensor()); }

CASE(fill_floats) {
  const char* s[] = {"a", "b"};
  return api->FillStringTensor(floats(1, 2, 0), s, 2);
}

CASE(fill_too_few) {
  const char* s[] = {"a", "b"};
  return api->FillStringTensor(text_tensor(), s, 1);
}

CASE(fill_past_end) { return api->FillStringTensorElement(text_tensor(), "a", 2); }

CASE(resize_past_end) {
  char* b;
  return api->GetResizedStringTensorElementBuffer(text_tensor(), 2, 1, &b);
}

CASE(length_of_floats) {
  size_t n;
  return api->GetStringTensorDataLength(floats(1, 2, 0), &n);
}

CASE(content_small) {
  const char* s[] = {"abc", "d"};
  char b[8];
  size_t o[2];
  OrtValue* v = text_tensor();
  PASS(api->FillStringTensor(v, s, 2));
  return api->GetStringTensorContent(v, b, 3, o, 2);
}

CASE(content_few_offsets) {
  char b[8];
  size_t o[2];
  return api->GetStringTensorContent(text_tensor(), b, 8, o, 1);
}

CASE(element_small) {
  const char* s[] = {"abc", "d"};
  char b[8];
  OrtValue* v = text_tensor();
  PASS(api->FillStringTensor(v, s, 2));
  return api->GetStringTensorElement(v, 2, 0, b);
}

CASE(element_past_end) {
  char b[8];
  return api->GetStringTensorElement(text_tensor(), 8, 2, b);
}

CASE(element_length_past_end) {
  size_t n;
  return api->GetStringTensorElementLength(text_tensor(), 2, &n);
}

CASE(at_wrong_rank) {
  const int64_t at[] = {0};
  void* p;
  return api->TensorAt(floats(2, 1, 4), at, 1, &p);
}

CASE(at_outside) {
  const int64_t at[] = {0, 4};
  void* p;
  return api->TensorAt(floats(2, 1, 4), at, 2, &p);
}

CASE(at_negative) {
  const int64_t at[] = {0, -1};
  void* p;
  return api->TensorAt(floats(2, 1, 4), at, 2, &p);
}

CASE(at_of_strings) {
  const int64_t at[] = {0};
  void* p;
  return api->TensorAt(text_tensor(), at, 1, &p);
}

CASE(dims_fewer) {
  int64_t d[1];
  return api->GetDimensions(shape_info(), d, 1);
}

CASE(dims_more) {
  int64_t d[3];
  return api->GetDimensions(shape_info(), d, 3);
}

CASE(symbols_fewer) {
  const char* d[1];
  return api->GetSymbolicDimensions(shape_info(), d, 1);
}

CASE(set_symbols_more) {
  const char* d[] = {"a", "b", "c"};
  OrtTensorTypeAndShapeInfo* i;
  PASS(api->CreateTensorTypeAndShapeInfo(&i));
  return api->SetSymbolicDimensions(i, d, 3);
}

CASE(element_type_unset) {
  ONNXTensorElementDataType t;
  OrtTensorTypeAndShapeInfo* i;
  PASS(api->CreateTensorTypeAndShapeInfo(&i));
  return api->GetTensorElementType(i, &t);
}

CASE(allocator_unknown) {
  OrtMemoryInfo* m;
  OrtAllocator* a;
  PASS(api->CreateMemoryInfo("Cuda", OrtDeviceAllocator, 0, OrtMemTypeDefault, &m));
  return api->CreateAllocator(open_model("add"), m, &a);
}

CASE(allocator_register_twice) {
  PASS(api->CreateAndRegisterAllocator(env, memory, NULL));
  return api->CreateAndRegisterAllocator(env, memory, NULL);
}

CASE(allocator_unregister_none) { return api->UnregisterAllocator(env, memory); }

CASE(arena_unknown_key) {
  const char* k[] = {"nothing"};
  const size_t v[] = {1};
  OrtArenaCfg* c;
  return api->CreateArenaCfgV2(k, v, 1, &c);
}

CASE(memory_unknown_name) {
  OrtMemoryInfo* m;
  return api->CreateMemoryInfo("Nothing", OrtDeviceAllocator, 0, OrtMemTypeDefault, &m);
}

CASE(memory_type_unknown) {
  OrtMemoryInfo* m;
  return api->CreateCpuMemoryInfo(OrtDeviceAllocator, (OrtMemType)55, &m);
}

CASE(sparse_of_dense) {
  enum OrtSparseFormat f;
  return api->GetSparseTensorFormat(floats(1, 2, 0), &f);
}

CASE(sparse_values_of_dense) {
  const void* p;
  return api->GetSparseTensorValues(floats(1, 2, 0), &p);
}

CASE(sparse_few_indices) {
  const int64_t d[] = {3, 3}, n = 3;
  int64_t i[] = {0, 1};
  OrtValue* v;
  PASS(api->CreateSparseTensorWithValuesAsOrtValue(memory, room, d, 2, &n, 1, FLOAT, &v));
  return api->UseCooIndices(v, i, 2);
}

CASE(sparse_indices_outside) {
  const int64_t d[] = {3, 3}, n = 2;
  int64_t i[] = {0, 99};
  OrtValue* v;
  PASS(api->CreateSparseTensorWithValuesAsOrtValue(memory, room, d, 2, &n, 1, FLOAT, &v));
  return api->UseCooIndices(v, i, 2);
}

CASE(attribute_unknown_type) {
  OrtOpAttr* a;
  return api->CreateOpAttr("a", room, 1, (OrtOpAttrType)99, &a);
}

CASE(attribute_read_as_another) {
  OrtOpAttr* a;
  int64_t n;
  size_t size;
  const float f = 1;
  PASS(api->CreateOpAttr("a", &f, 1, ORT_OP_ATTR_FLOAT, &a));
  return api->ReadOpAttr(a, ORT_OP_ATTR_INT, &n, sizeof n, &size);
}

CASE(pairs_null) {
  OrtKeyValuePairs* p;
  api->CreateKeyValuePairs(&p);
  api->AddKeyValuePair(p, NULL, "x");
  api->AddKeyValuePair(p, "x", NULL);
  api->RemoveKeyValuePair(p, NULL);
  const char *const *k, *const *v;
  size_t n;
  api->GetKeyValuePairs(p, &k, &v, &n);
  return n ? api->CreateStatus((OrtErrorCode)(100 + n), "") : NULL;
}

CASE(pairs_empty_key) {
  OrtKeyValuePairs* p;
  api->CreateKeyValuePairs(&p);
  api->AddKeyValuePair(p, "", "x");
  const char *const *k, *const *v;
  size_t n;
  api->GetKeyValuePairs(p, &k, &v, &n);
  return n ? api->CreateStatus((OrtErrorCode)(100 + n), "") : NULL;
}

CASE(copy_nothing) { return api->CopyTensors(env, NULL, NULL, NULL, 0); }
