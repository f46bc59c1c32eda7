// The table of the messages: see fields.h. Rows are in the order of the field numbers.
// Source: onnx.proto, IR version 14; onnx-data.proto.
#include "onnx/fields.h"

#include "onnx/data_messages.h"

// clang-format off
#define AT(s, member) offsetof(s, member)
// A row: the field's number and name, the struct's member, and what else .flags, .select and .limit say.
#define ROW(n, text, k, w, at, ...) [n] = {.name = text, .kind = KP_FIELD_##k, .wire = KP_WIRE_##w, .offset = (at), __VA_ARGS__}
#define INT64(n, text, s, m, ...)        ROW(n, text, INT64, VARINT, AT(s, m), __VA_ARGS__)
#define INT32(n, text, s, m, ...)        ROW(n, text, INT32, VARINT, AT(s, m), __VA_ARGS__)
#define BOOL(n, text, s, m, ...)         ROW(n, text, BOOL, VARINT, AT(s, m), __VA_ARGS__)
#define FLOAT(n, text, s, m, ...)        ROW(n, text, FLOAT, FIXED32, AT(s, m), __VA_ARGS__)
#define STRING(n, text, s, m, ...)       ROW(n, text, STRING, BYTES, AT(s, m), __VA_ARGS__)
#define BYTES(n, text, s, m, ...)        ROW(n, text, BYTES, BYTES, AT(s, m), __VA_ARGS__)
#define MESSAGE(n, text, s, m, msg, ...) ROW(n, text, MESSAGE, BYTES, AT(s, m), .message = &(msg), __VA_ARGS__)
#define POINTER(n, text, s, m, msg, ...) ROW(n, text, POINTER, BYTES, AT(s, m), .message = &(msg), __VA_ARGS__)
#define INLINE(n, text, msg, ...)        ROW(n, text, MESSAGE, BYTES, 0, .message = &(msg), __VA_ARGS__)
#define TYPED(n, text, w)                ROW(n, text, TYPED, w, AT(kp_onnx_tensor, body), )
#define LIST(s, count)        .flags = KP_FIELD_REPEATED, .extra = AT(s, count)
#define HAS(s, has)           .flags = KP_FIELD_HAS, .extra = AT(s, has)
#define ROWS(rows)            .field_count = sizeof(rows) / sizeof((rows)[0]), .fields = (rows)

static const kp_onnx_message entry_message;
static const kp_onnx_message dim_message;
static const kp_onnx_message value_info_message;
static const kp_onnx_message attr_message;
static const kp_onnx_message node_message;

// --- small messages ------------------------------------------------------------------------------------------------------
static const kp_onnx_field entry_fields[] = {
  STRING(1, "key", kp_onnx_entry, key),
  BYTES(2, "value", kp_onnx_entry, value),
};
static const kp_onnx_message entry_message = {.name = "StringStringEntryProto", .size = sizeof(kp_onnx_entry), ROWS(entry_fields)};

static const kp_onnx_field opset_fields[] = {
  STRING(1, "domain", kp_onnx_opset, domain),
  INT64(2, "version", kp_onnx_opset, version),
};
static const kp_onnx_message opset_message = {.name = "OperatorSetIdProto", .size = sizeof(kp_onnx_opset), ROWS(opset_fields)};

// --- types ---------------------------------------------------------------------------------------------------------------
// TypeProto's members are messages of their own in the file and share one struct here.
static const kp_onnx_field dim_fields[] = {
  INT64(1, "dim_value", kp_onnx_dim, value, .flags = KP_FIELD_ONEOF | KP_FIELD_NON_NEGATIVE),
  STRING(2, "dim_param", kp_onnx_dim, param, .flags = KP_FIELD_ONEOF),
  STRING(3, "denotation", kp_onnx_dim, denotation),
};
static const kp_onnx_message dim_message = {
  .name = "Dimension", .size = sizeof(kp_onnx_dim), ROWS(dim_fields), .has_non_negative = true};

static const kp_onnx_field shape_fields[] = {
  MESSAGE(1, "dim", kp_onnx_type, dims, dim_message, LIST(kp_onnx_type, rank)),
};
static const kp_onnx_message shape_message = {.name = "TensorShapeProto", .size = sizeof(kp_onnx_type), ROWS(shape_fields)};

static const kp_onnx_field tensor_type_fields[] = {
  INT32(1, "elem_type", kp_onnx_type, element),
  INLINE(2, "shape", shape_message, HAS(kp_onnx_type, has_shape)),
};
static const kp_onnx_message tensor_type_message = {
  .name = "TypeProto.Tensor", .size = sizeof(kp_onnx_type), ROWS(tensor_type_fields)};

static const kp_onnx_field element_type_fields[] = {
  POINTER(1, "elem_type", kp_onnx_type, inner, kp_onnx_type_message),
};
static const kp_onnx_message element_type_message = {
  .name = "TypeProto.Sequence", .size = sizeof(kp_onnx_type), ROWS(element_type_fields), .required = 1u << 1};

static const kp_onnx_field map_type_fields[] = {
  INT32(1, "key_type", kp_onnx_type, element),
  POINTER(2, "value_type", kp_onnx_type, inner, kp_onnx_type_message),
};
static const kp_onnx_message map_type_message = {
  .name = "TypeProto.Map", .size = sizeof(kp_onnx_type), ROWS(map_type_fields), .required = 1u << 2};

static const kp_onnx_field opaque_type_fields[] = {
  STRING(1, "domain", kp_onnx_type, opaque_domain),
  STRING(2, "name", kp_onnx_type, opaque_name),
};
static const kp_onnx_message opaque_type_message = {
  .name = "TypeProto.Opaque", .size = sizeof(kp_onnx_type), ROWS(opaque_type_fields)};

static const kp_onnx_field type_fields[] = {
  INLINE(1, "tensor_type", tensor_type_message, .flags = KP_FIELD_ONEOF, .select = KP_ONNX_TYPE_TENSOR),
  INLINE(4, "sequence_type", element_type_message, .flags = KP_FIELD_ONEOF, .select = KP_ONNX_TYPE_SEQUENCE),
  INLINE(5, "map_type", map_type_message, .flags = KP_FIELD_ONEOF, .select = KP_ONNX_TYPE_MAP),
  STRING(6, "denotation", kp_onnx_type, denotation),
  INLINE(7, "opaque_type", opaque_type_message, .flags = KP_FIELD_ONEOF, .select = KP_ONNX_TYPE_OPAQUE),
  INLINE(8, "sparse_tensor_type", tensor_type_message, .flags = KP_FIELD_ONEOF, .select = KP_ONNX_TYPE_SPARSE),
  INLINE(9, "optional_type", element_type_message, .flags = KP_FIELD_ONEOF, .select = KP_ONNX_TYPE_OPTIONAL),
};
const kp_onnx_message kp_onnx_type_message = {
  .name = "TypeProto", .size = sizeof(kp_onnx_type), ROWS(type_fields), .has_selector = true,
  .selector = AT(kp_onnx_type, kind), .last_member = KP_ONNX_TYPE_OPAQUE};

static const kp_onnx_field value_info_fields[] = {
  STRING(1, "name", kp_onnx_value_info, name),
  MESSAGE(2, "type", kp_onnx_value_info, type, kp_onnx_type_message),
  BYTES(3, "doc_string", kp_onnx_value_info, doc),
  MESSAGE(4, "metadata_props", kp_onnx_value_info, metadata, entry_message, LIST(kp_onnx_value_info, metadata_count)),
};
static const kp_onnx_message value_info_message = {
  .name = "ValueInfoProto", .size = sizeof(kp_onnx_value_info), ROWS(value_info_fields)};

// --- tensors -------------------------------------------------------------------------------------------------------------
static const kp_onnx_field tensor_fields[] = {
  INT64(1, "dims", kp_onnx_tensor, dims, LIST(kp_onnx_tensor, rank)),
  INT32(2, "data_type", kp_onnx_tensor, type),
  BYTES(3, "segment", kp_onnx_tensor, segment, HAS(kp_onnx_tensor, has_segment)),
  TYPED(4, "float_data", FIXED32),
  TYPED(5, "int32_data", VARINT),
  BYTES(6, "string_data", kp_onnx_tensor, strings, LIST(kp_onnx_tensor, string_count)),
  TYPED(7, "int64_data", VARINT),
  STRING(8, "name", kp_onnx_tensor, name),
  BYTES(9, "raw_data", kp_onnx_tensor, raw, HAS(kp_onnx_tensor, has_raw)),
  TYPED(10, "double_data", FIXED64),
  TYPED(11, "uint64_data", VARINT),
  BYTES(12, "doc_string", kp_onnx_tensor, doc),
  MESSAGE(13, "external_data", kp_onnx_tensor, external_data, entry_message, LIST(kp_onnx_tensor, external_count)),
  BOOL(14, "data_location", kp_onnx_tensor, external),
  MESSAGE(16, "metadata_props", kp_onnx_tensor, metadata, entry_message, LIST(kp_onnx_tensor, metadata_count)),
};
const kp_onnx_message kp_onnx_tensor_message = {.name = "TensorProto", .size = sizeof(kp_onnx_tensor), ROWS(tensor_fields)};

static const kp_onnx_field sparse_fields[] = {
  MESSAGE(1, "values", kp_onnx_sparse, values, kp_onnx_tensor_message),
  MESSAGE(2, "indices", kp_onnx_sparse, indices, kp_onnx_tensor_message),
  INT64(3, "dims", kp_onnx_sparse, dims, LIST(kp_onnx_sparse, rank)),
};
const kp_onnx_message kp_onnx_sparse_message = {.name = "SparseTensorProto", .size = sizeof(kp_onnx_sparse), ROWS(sparse_fields)};

// --- nodes ---------------------------------------------------------------------------------------------------------------
static const kp_onnx_field attr_fields[] = {
  STRING(1, "name", kp_onnx_attr, name),
  FLOAT(2, "f", kp_onnx_attr, f, .select = KP_ONNX_ATTR_FLOAT),
  INT64(3, "i", kp_onnx_attr, i, .select = KP_ONNX_ATTR_INT),
  BYTES(4, "s", kp_onnx_attr, s, .select = KP_ONNX_ATTR_STRING),
  POINTER(5, "t", kp_onnx_attr, t, kp_onnx_tensor_message, .select = KP_ONNX_ATTR_TENSOR),
  POINTER(6, "g", kp_onnx_attr, g, kp_onnx_graph_message, .select = KP_ONNX_ATTR_GRAPH),
  FLOAT(7, "floats", kp_onnx_attr, floats, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_FLOATS),
  INT64(8, "ints", kp_onnx_attr, ints, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_INTS),
  BYTES(9, "strings", kp_onnx_attr, strings, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_STRINGS),
  MESSAGE(10, "tensors", kp_onnx_attr, tensors, kp_onnx_tensor_message, LIST(kp_onnx_attr, count),
    .select = KP_ONNX_ATTR_TENSORS),
  MESSAGE(11, "graphs", kp_onnx_attr, graphs, kp_onnx_graph_message, LIST(kp_onnx_attr, count),
    .select = KP_ONNX_ATTR_GRAPHS),
  BYTES(13, "doc_string", kp_onnx_attr, doc),
  POINTER(14, "tp", kp_onnx_attr, tp, kp_onnx_type_message, .select = KP_ONNX_ATTR_TYPE_PROTO),
  MESSAGE(15, "type_protos", kp_onnx_attr, tps, kp_onnx_type_message, LIST(kp_onnx_attr, count),
    .select = KP_ONNX_ATTR_TYPE_PROTOS),
  INT32(20, "type", kp_onnx_attr, type),
  STRING(21, "ref_attr_name", kp_onnx_attr, ref_name),
  POINTER(22, "sparse_tensor", kp_onnx_attr, sparse, kp_onnx_sparse_message, .select = KP_ONNX_ATTR_SPARSE_TENSOR),
  MESSAGE(23, "sparse_tensors", kp_onnx_attr, sparses, kp_onnx_sparse_message, LIST(kp_onnx_attr, count),
    .select = KP_ONNX_ATTR_SPARSE_TENSORS),
};
static const kp_onnx_message attr_message = {
  .name = "AttributeProto", .size = sizeof(kp_onnx_attr), ROWS(attr_fields), .has_selector = true, .selector_field = 20,
  .selector = AT(kp_onnx_attr, type), .last_member = KP_ONNX_ATTR_TYPE_PROTOS,
  .required = 1u << 5 | 1u << 6 | 1u << 14 | 1u << 22,  // t, g, tp, sparse_tensor
  .excuse_field = 21};                                  // a reference to a function's attribute has no value

static const kp_onnx_field index_group_fields[] = {
  INT64(1, "key", kp_onnx_index_group, key),
  INT64(2, "value", kp_onnx_index_group, values, LIST(kp_onnx_index_group, value_count)),
};
static const kp_onnx_message index_group_message = {
  .name = "IntIntListEntryProto", .size = sizeof(kp_onnx_index_group), ROWS(index_group_fields)};

static const kp_onnx_field simple_sharding_fields[] = {
  INT64(1, "dim_value", kp_onnx_simple_sharding, value, .flags = KP_FIELD_ONEOF | KP_FIELD_NON_NEGATIVE),
  STRING(2, "dim_param", kp_onnx_simple_sharding, param, .flags = KP_FIELD_ONEOF),
  INT64(3, "num_shards", kp_onnx_simple_sharding, shard_count),
};
static const kp_onnx_message simple_sharding_message = {
  .name = "SimpleShardedDimProto", .size = sizeof(kp_onnx_simple_sharding), ROWS(simple_sharding_fields),
  .has_non_negative = true};

static const kp_onnx_field sharded_dim_fields[] = {
  INT64(1, "axis", kp_onnx_sharded_dim, axis),
  MESSAGE(2, "simple_sharding", kp_onnx_sharded_dim, shardings, simple_sharding_message, LIST(kp_onnx_sharded_dim,
    sharding_count)),
};
static const kp_onnx_message sharded_dim_message = {
  .name = "ShardedDimProto", .size = sizeof(kp_onnx_sharded_dim), ROWS(sharded_dim_fields)};

static const kp_onnx_field sharding_fields[] = {
  STRING(1, "tensor_name", kp_onnx_sharding, tensor),
  INT64(2, "device", kp_onnx_sharding, devices, LIST(kp_onnx_sharding, device_count)),
  MESSAGE(3, "index_to_device_group_map", kp_onnx_sharding, groups, index_group_message, LIST(kp_onnx_sharding,
    group_count)),
  MESSAGE(4, "sharded_dim", kp_onnx_sharding, dims, sharded_dim_message, LIST(kp_onnx_sharding, dim_count)),
};
static const kp_onnx_message sharding_message = {
  .name = "ShardingSpecProto", .size = sizeof(kp_onnx_sharding), ROWS(sharding_fields)};

static const kp_onnx_field node_device_fields[] = {
  STRING(1, "configuration_id", kp_onnx_node_device, configuration),
  MESSAGE(2, "sharding_spec", kp_onnx_node_device, shardings, sharding_message, LIST(kp_onnx_node_device, sharding_count)),
  INT32(3, "pipeline_stage", kp_onnx_node_device, pipeline_stage),
};
static const kp_onnx_message node_device_message = {
  .name = "NodeDeviceConfigurationProto", .size = sizeof(kp_onnx_node_device), ROWS(node_device_fields)};

// No operator has a hundred attributes; a list of millions would take memory before anybody looked at the names.
#define MAX_ATTRIBUTES 10000

static const kp_onnx_field node_fields[] = {
  STRING(1, "input", kp_onnx_node, inputs, LIST(kp_onnx_node, input_count)),
  STRING(2, "output", kp_onnx_node, outputs, LIST(kp_onnx_node, output_count)),
  STRING(3, "name", kp_onnx_node, name),
  STRING(4, "op_type", kp_onnx_node, op_type),
  MESSAGE(5, "attribute", kp_onnx_node, attrs, attr_message, LIST(kp_onnx_node, attr_count), .limit = MAX_ATTRIBUTES),
  BYTES(6, "doc_string", kp_onnx_node, doc),
  STRING(7, "domain", kp_onnx_node, domain),
  STRING(8, "overload", kp_onnx_node, overload),
  MESSAGE(9, "metadata_props", kp_onnx_node, metadata, entry_message, LIST(kp_onnx_node, metadata_count)),
  MESSAGE(10, "device_configurations", kp_onnx_node, devices, node_device_message, LIST(kp_onnx_node, device_count)),
};
static const kp_onnx_message node_message = {.name = "NodeProto", .size = sizeof(kp_onnx_node), ROWS(node_fields)};

// --- graphs --------------------------------------------------------------------------------------------------------------
static const kp_onnx_field annotation_fields[] = {
  STRING(1, "tensor_name", kp_onnx_annotation, tensor),
  MESSAGE(2, "quant_parameter_tensor_names", kp_onnx_annotation, quant_params, entry_message, LIST(kp_onnx_annotation,
    quant_param_count)),
};
static const kp_onnx_message annotation_message = {
  .name = "TensorAnnotation", .size = sizeof(kp_onnx_annotation), ROWS(annotation_fields)};

static const kp_onnx_field graph_fields[] = {
  MESSAGE(1, "node", kp_onnx_graph, nodes, node_message, LIST(kp_onnx_graph, node_count)),
  STRING(2, "name", kp_onnx_graph, name),
  MESSAGE(5, "initializer", kp_onnx_graph, initializers, kp_onnx_tensor_message, LIST(kp_onnx_graph, initializer_count)),
  BYTES(10, "doc_string", kp_onnx_graph, doc),
  MESSAGE(11, "input", kp_onnx_graph, inputs, value_info_message, LIST(kp_onnx_graph, input_count)),
  MESSAGE(12, "output", kp_onnx_graph, outputs, value_info_message, LIST(kp_onnx_graph, output_count)),
  MESSAGE(13, "value_info", kp_onnx_graph, value_infos, value_info_message, LIST(kp_onnx_graph, value_info_count)),
  MESSAGE(14, "quantization_annotation", kp_onnx_graph, annotations, annotation_message, LIST(kp_onnx_graph,
    annotation_count)),
  MESSAGE(15, "sparse_initializer", kp_onnx_graph, sparse_initializers, kp_onnx_sparse_message, LIST(kp_onnx_graph,
    sparse_count)),
  MESSAGE(16, "metadata_props", kp_onnx_graph, metadata, entry_message, LIST(kp_onnx_graph, metadata_count)),
};
const kp_onnx_message kp_onnx_graph_message = {.name = "GraphProto", .size = sizeof(kp_onnx_graph), ROWS(graph_fields)};

static const kp_onnx_field function_fields[] = {
  STRING(1, "name", kp_onnx_function, name),
  STRING(4, "input", kp_onnx_function, inputs, LIST(kp_onnx_function, input_count)),
  STRING(5, "output", kp_onnx_function, outputs, LIST(kp_onnx_function, output_count)),
  STRING(6, "attribute", kp_onnx_function, attr_names, LIST(kp_onnx_function, attr_name_count), .limit = MAX_ATTRIBUTES),
  MESSAGE(7, "node", kp_onnx_function, nodes, node_message, LIST(kp_onnx_function, node_count)),
  BYTES(8, "doc_string", kp_onnx_function, doc),
  MESSAGE(9, "opset_import", kp_onnx_function, opsets, opset_message, LIST(kp_onnx_function, opset_count)),
  STRING(10, "domain", kp_onnx_function, domain),
  MESSAGE(11, "attribute_proto", kp_onnx_function, attrs, attr_message, LIST(kp_onnx_function, attr_count),
    .limit = MAX_ATTRIBUTES),
  MESSAGE(12, "value_info", kp_onnx_function, value_infos, value_info_message, LIST(kp_onnx_function, value_info_count)),
  STRING(13, "overload", kp_onnx_function, overload),
  MESSAGE(14, "metadata_props", kp_onnx_function, metadata, entry_message, LIST(kp_onnx_function, metadata_count)),
};
static const kp_onnx_message function_message = {
  .name = "FunctionProto", .size = sizeof(kp_onnx_function), ROWS(function_fields)};

// --- the model -----------------------------------------------------------------------------------------------------------
static const kp_onnx_field training_fields[] = {
  MESSAGE(1, "initialization", kp_onnx_training, initialization, kp_onnx_graph_message),
  MESSAGE(2, "algorithm", kp_onnx_training, algorithm, kp_onnx_graph_message),
  MESSAGE(3, "initialization_binding", kp_onnx_training, initialization_bindings, entry_message, LIST(kp_onnx_training,
    initialization_binding_count)),
  MESSAGE(4, "update_binding", kp_onnx_training, update_bindings, entry_message, LIST(kp_onnx_training,
    update_binding_count)),
};
static const kp_onnx_message training_message = {
  .name = "TrainingInfoProto", .size = sizeof(kp_onnx_training), ROWS(training_fields)};

static const kp_onnx_field device_fields[] = {
  STRING(1, "name", kp_onnx_device, name),
  INT32(2, "num_devices", kp_onnx_device, count),
  STRING(3, "device", kp_onnx_device, devices, LIST(kp_onnx_device, device_count)),
};
static const kp_onnx_message device_message = {
  .name = "DeviceConfigurationProto", .size = sizeof(kp_onnx_device), ROWS(device_fields)};

static const kp_onnx_field model_fields[] = {
  INT64(1, "ir_version", kp_onnx_model, ir_version),
  STRING(2, "producer_name", kp_onnx_model, producer_name),
  STRING(3, "producer_version", kp_onnx_model, producer_version),
  STRING(4, "domain", kp_onnx_model, domain),
  INT64(5, "model_version", kp_onnx_model, model_version),
  BYTES(6, "doc_string", kp_onnx_model, doc),
  MESSAGE(7, "graph", kp_onnx_model, graph, kp_onnx_graph_message, HAS(kp_onnx_model, has_graph)),
  MESSAGE(8, "opset_import", kp_onnx_model, opsets, opset_message, LIST(kp_onnx_model, opset_count)),
  MESSAGE(14, "metadata_props", kp_onnx_model, metadata, entry_message, LIST(kp_onnx_model, metadata_count)),
  MESSAGE(20, "training_info", kp_onnx_model, trainings, training_message, LIST(kp_onnx_model, training_count)),
  MESSAGE(25, "functions", kp_onnx_model, functions, function_message, LIST(kp_onnx_model, function_count)),
  MESSAGE(26, "configuration", kp_onnx_model, devices, device_message, LIST(kp_onnx_model, device_count)),
};
const kp_onnx_message kp_onnx_model_message = {.name = "ModelProto", .size = sizeof(kp_onnx_model), ROWS(model_fields)};

// --- onnx-data.proto -----------------------------------------------------------------------------------------------------
static const kp_onnx_field sequence_fields[] = {
  STRING(1, "name", kp_onnx_sequence, name),
  INT32(2, "elem_type", kp_onnx_sequence, type),
  MESSAGE(3, "tensor_values", kp_onnx_sequence, tensors, kp_onnx_tensor_message, LIST(kp_onnx_sequence, tensor_count)),
  MESSAGE(4, "sparse_tensor_values", kp_onnx_sequence, sparses, kp_onnx_sparse_message, LIST(kp_onnx_sequence, sparse_count)),
  MESSAGE(5, "sequence_values", kp_onnx_sequence, sequences, kp_onnx_sequence_message, LIST(kp_onnx_sequence, sequence_count)),
  MESSAGE(6, "map_values", kp_onnx_sequence, maps, kp_onnx_map_message, LIST(kp_onnx_sequence, map_count)),
  MESSAGE(7, "optional_values", kp_onnx_sequence, optionals, kp_onnx_optional_message, LIST(kp_onnx_sequence, optional_count)),
};
const kp_onnx_message kp_onnx_sequence_message = {
  .name = "SequenceProto", .size = sizeof(kp_onnx_sequence), ROWS(sequence_fields)};

static const kp_onnx_field map_fields[] = {
  STRING(1, "name", kp_onnx_map, name),
  INT32(2, "key_type", kp_onnx_map, key_type),
  INT64(3, "keys", kp_onnx_map, keys, LIST(kp_onnx_map, key_count)),
  BYTES(4, "string_keys", kp_onnx_map, string_keys, LIST(kp_onnx_map, string_key_count)),
  POINTER(5, "values", kp_onnx_map, values, kp_onnx_sequence_message),
};
const kp_onnx_message kp_onnx_map_message = {.name = "MapProto", .size = sizeof(kp_onnx_map), ROWS(map_fields)};

static const kp_onnx_field optional_fields[] = {
  STRING(1, "name", kp_onnx_optional, name),
  INT32(2, "elem_type", kp_onnx_optional, type),
  POINTER(3, "tensor_value", kp_onnx_optional, tensor, kp_onnx_tensor_message),
  POINTER(4, "sparse_tensor_value", kp_onnx_optional, sparse, kp_onnx_sparse_message),
  POINTER(5, "sequence_value", kp_onnx_optional, sequence, kp_onnx_sequence_message),
  POINTER(6, "map_value", kp_onnx_optional, map, kp_onnx_map_message),
  POINTER(7, "optional_value", kp_onnx_optional, optional, kp_onnx_optional_message),
};
const kp_onnx_message kp_onnx_optional_message = {
  .name = "OptionalProto", .size = sizeof(kp_onnx_optional), ROWS(optional_fields)};
// clang-format on
