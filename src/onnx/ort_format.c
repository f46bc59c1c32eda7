// The schema of ONNX Runtime's format as tables, and the decoder that walks them: see ort_format.h. Recursion follows the nesting
// of FlatBuffers' tables and is bounded by max_depth; what several places of the file share is read, and paid for, once a place.
// Source: ONNX Runtime's ort.fbs, versions 1 to 6 of the format, each of which only adds fields.
#include "onnx/ort_format.h"

#include "base/size.h"
#include "onnx/flat.h"
#include "onnx/walk.h"

#define REFERENCE sizeof(uint32_t)

typedef struct decoder {
  kp_onnx_walk walk;
  kp_flat flat;
  size_t
      text;  // bytes of strings and raw data that were referred to; bounded as the structure's memory is
} decoder;

typedef struct message message;

// A row is a field of a table in the file, and where it goes. Rows are decoded in their order.
typedef struct field {
  const char* name;  // as in ort.fbs, for messages
  uint8_t slot;
  uint8_t kind;    // kp_field_kind
  uint8_t flags;   // KP_FIELD_REPEATED, KP_FIELD_HAS, KP_FIELD_NON_NEGATIVE, REQUIRED
  uint8_t width;   // bytes of a number in the file
  uint8_t select;  // not 0: belongs to the table only when its tag has this value
  uint16_t offset, extra;
  uint32_t limit;  // most elements of a repeated field; 0 = any
  const message* message;
} field;

enum { REQUIRED = 128 };

struct message {
  uint16_t size;  // of the struct
  const field* fields;
  size_t field_count;
  const field* tag;  // NULL: it has none
  int64_t last_tag;  // largest that is known
  const void*
      initial;  // the struct before decoding; NULL: zeros, or what the table around it has set
  // Reads the table where rows alone do not say it all; NULL: read_fields does.
  kp_status* (*read)(decoder* d, const kp_flat_table* table, void* out, const kp_onnx_place* at);
};

// --- errors and bounds ---------------------------------------------------------------------------------------------------
static kp_status* fail(const decoder* d, kapell_code code, const kp_onnx_place* at,
                       const char* name, size_t byte, const char* what) {
  return kp_onnx_walk_fail(&d->walk, code, at, name, d->flat.data + byte, what);
}

static kp_status* check(const decoder* d, const kp_onnx_place* at, const char* name, size_t byte,
                        const char* error) {
  return error ? fail(d, KAPELL_INVALID_MODEL, at, name, byte, error) : NULL;
}

// One string that a million places refer to costs its length each time that one of them looks at it.
static kp_status* count_text(decoder* d, size_t bytes) {
  const size_t most = d->walk.max_memory;
  if (most && bytes > most - d->text)
    return KP_ERROR(LIMIT, "the model refers to more than %zu bytes of strings and data", most);
  d->text += bytes;
  return NULL;
}

// --- values --------------------------------------------------------------------------------------------------------------
static kp_status* read_table(decoder* d, const message* m, size_t at, void* out,
                             const kp_onnx_place* place);

static kp_status* read_text(decoder* d, const field* row, size_t at, kp_str* out,
                            const kp_onnx_place* place) {
  kp_flat_vector text;
  KP_PASS(check(d, place, row->name, at, kp_flat_get_vector(&d->flat, at, 1, &text)));
  KP_PASS(count_text(d, text.count));
  *out = (kp_str){(const char*)d->flat.data + text.at, text.count};
  if (row->kind == KP_FIELD_BYTES) return NULL;
  return kp_onnx_walk_check_name(&d->walk, place, row->name, d->flat.data + text.at, *out);
}

static size_t number_size(const field* row) {
  return row->kind == KP_FIELD_INT64 ? sizeof(int64_t) : sizeof(int32_t);
}

static void read_number(const decoder* d, const field* row, size_t at, void* target) {
  int64_t value = kp_flat_number(d->flat.data + at, row->width);
  if ((row->flags & KP_FIELD_NON_NEGATIVE) && value < 0) value = -1;
  const int32_t low = (int32_t)value;  // FLOAT's bits too
  memcpy(target, row->kind == KP_FIELD_INT64 ? (const void*)&value : &low, number_size(row));
}

static bool is_number(const field* row) {
  return row->kind == KP_FIELD_INT64 || row->kind == KP_FIELD_INT32 || row->kind == KP_FIELD_FLOAT;
}

// The value whose number or reference stands at |at|.
static kp_status* read_value(decoder* d, const field* row, size_t at, void* target,
                             const kp_onnx_place* place, size_t index) {
  const kp_onnx_place step = {place, row->name, index};
  if (is_number(row)) {
    read_number(d, row, at, target);
    return NULL;
  }
  if (row->kind == KP_FIELD_STRING || row->kind == KP_FIELD_BYTES)
    return read_text(d, row, at, target, place);
  if (row->kind == KP_FIELD_POINTER) {
    void* const slot = target;
    KP_PASS(kp_onnx_walk_take(&d->walk, 1, row->message->size, &target));
    memcpy(slot, &target, sizeof target);
  }
  return read_table(d, row->message, at, target, &step);
}

static size_t element_size(const field* row) {
  return kp_onnx_element_size(row->kind, row->message ? row->message->size : 0);
}

static kp_status* read_vector(decoder* d, const field* row, size_t at, void* out,
                              const kp_onnx_place* place) {
  const size_t width = is_number(row) ? row->width : REFERENCE;
  const size_t size = element_size(row);
  kp_flat_vector vector;
  void* array;
  KP_PASS(check(d, place, row->name, at, kp_flat_get_vector(&d->flat, at, width, &vector)));
  if (row->limit && vector.count > row->limit)
    return fail(d, KAPELL_LIMIT, place, row->name, vector.at,
                "more elements than any operator has (10000)");
  KP_PASS(kp_onnx_walk_take(&d->walk, vector.count, size, &array));
  for (size_t i = 0; i < vector.count; ++i)
    KP_PASS(read_value(d, row, vector.at + i * width, (char*)array + i * size, place, i));
  memcpy((char*)out + row->offset, &array, sizeof array);
  memcpy((char*)out + row->extra, &vector.count, sizeof vector.count);
  return NULL;
}

// --- tables --------------------------------------------------------------------------------------------------------------
static kp_status* read_field(decoder* d, const field* row, const kp_flat_table* table, void* out,
                             const kp_onnx_place* place) {
  size_t at;
  const bool in_place = is_number(row) && !(row->flags & KP_FIELD_REPEATED);
  const size_t width = in_place ? row->width : REFERENCE;
  KP_PASS(
      check(d, place, row->name, table->at, kp_flat_find(&d->flat, table, row->slot, width, &at)));
  if (!at && (row->flags & REQUIRED))
    return fail(d, KAPELL_INVALID_MODEL, place, row->name, table->at, "is missing");
  if (!at && in_place) memset((char*)out + row->offset, 0, number_size(row));  // the default
  if (!at) return NULL;
  if (row->flags & KP_FIELD_REPEATED) return read_vector(d, row, at, out, place);
  if (row->flags & KP_FIELD_HAS) *(bool*)((char*)out + row->extra) = true;
  return read_value(d, row, at, (char*)out + row->offset, place, SIZE_MAX);
}

static kp_status* read_tag(const decoder* d, const message* m, const kp_flat_table* table,
                           const kp_onnx_place* place, int64_t* out_tag) {
  size_t at;
  *out_tag = 0;
  if (!m->tag) return NULL;
  KP_PASS(check(d, place, m->tag->name, table->at,
                kp_flat_find(&d->flat, table, m->tag->slot, m->tag->width, &at)));
  if (at) *out_tag = kp_flat_number(d->flat.data + at, m->tag->width);
  if (*out_tag >= 0 && *out_tag <= m->last_tag) return NULL;
  return fail(d, KAPELL_UNSUPPORTED_MODEL, place, m->tag->name, at,
              "a kind that this build does not know in this format");
}

static kp_status* read_fields(decoder* d, const message* m, const kp_flat_table* table, void* out,
                              const kp_onnx_place* place) {
  int64_t tag;
  if (m->initial) memcpy(out, m->initial, m->size);
  KP_PASS(read_tag(d, m, table, place, &tag));
  for (size_t i = 0; i < m->field_count; ++i) {
    const field* const row = &m->fields[i];
    if (!row->select || row->select == tag) KP_PASS(read_field(d, row, table, out, place));
  }
  return NULL;
}

static kp_status* read_table(decoder* d, const message* m, size_t at, void* out,
                             const kp_onnx_place* place) {
  kp_flat_table table;
  if (d->walk.depth == d->walk.max_depth)
    return fail(d, KAPELL_LIMIT, place, NULL, at, "tables are nested too deep");
  KP_PASS(check(d, place, NULL, at, kp_flat_get_table(&d->flat, at, &table)));
  ++d->walk.depth;
  KP_PASS(m->read ? m->read(d, &table, out, place) : read_fields(d, m, &table, out, place));
  --d->walk.depth;
  return NULL;
}

// --- the schema ----------------------------------------------------------------------------------------------------------
// clang-format off
#define AT(s, member) offsetof(s, member)
// A row: slot and name, the struct's member, and what else .flags, .select and .limit say.
#define ROW(n, text, k, at, ...)         {.slot = (n), .name = text, .kind = KP_FIELD_##k, .offset = (at), __VA_ARGS__}
#define INT64(n, text, s, m, ...)        ROW(n, text, INT64, AT(s, m), .width = 8, __VA_ARGS__)
#define INT32(n, text, s, m, ...)        ROW(n, text, INT32, AT(s, m), .width = 4, __VA_ARGS__)
#define FLOAT(n, text, s, m, ...)        ROW(n, text, FLOAT, AT(s, m), .width = 4, __VA_ARGS__)
#define STRING(n, text, s, m, ...)       ROW(n, text, STRING, AT(s, m), __VA_ARGS__)
#define BYTES(n, text, s, m, ...)        ROW(n, text, BYTES, AT(s, m), __VA_ARGS__)
#define MESSAGE(n, text, s, m, msg, ...) ROW(n, text, MESSAGE, AT(s, m), .message = &(msg), __VA_ARGS__)
#define POINTER(n, text, s, m, msg, ...) ROW(n, text, POINTER, AT(s, m), .message = &(msg), __VA_ARGS__)
#define INLINE(n, text, msg, ...)        ROW(n, text, MESSAGE, 0, .message = &(msg), __VA_ARGS__)
#define LIST(s, count)                   .flags = KP_FIELD_REPEATED, .extra = AT(s, count)
#define NEEDED                           .flags = REQUIRED
#define ROWS(rows)                       .field_count = sizeof(rows) / sizeof((rows)[0]), .fields = (rows)

static const message type_message, graph_message;

static const field entry_fields[] = {
  STRING(0, "key", kp_onnx_entry, key),
  BYTES(1, "value", kp_onnx_entry, value),
};
static const message entry_message = {.size = sizeof(kp_onnx_entry), ROWS(entry_fields)};

static const field opset_fields[] = {
  STRING(0, "domain", kp_onnx_opset, domain),
  INT64(1, "version", kp_onnx_opset, version),
};
static const message opset_message = {.size = sizeof(kp_onnx_opset), ROWS(opset_fields)};

static const field dim_tag = {.name = "dim_type", .slot = 0, .width = 1};
static const field dim_value_fields[] = {
  INT64(1, "dim_value", kp_onnx_dim, value, .select = 1, .flags = KP_FIELD_NON_NEGATIVE),
  STRING(2, "dim_param", kp_onnx_dim, param, .select = 2),
};
static const message dim_value_message = {.size = sizeof(kp_onnx_dim), ROWS(dim_value_fields), .tag = &dim_tag, .last_tag = 2};

static const kp_onnx_dim unknown_dim = {.value = -1};
static const field dim_fields[] = {
  INLINE(0, "value", dim_value_message),
  STRING(1, "denotation", kp_onnx_dim, denotation),
};
static const message dim_message = {.size = sizeof(kp_onnx_dim), ROWS(dim_fields), .initial = &unknown_dim};

static const field shape_fields[] = {
  MESSAGE(0, "dim", kp_onnx_type, dims, dim_message, LIST(kp_onnx_type, rank)),
};
static const message shape_message = {.size = sizeof(kp_onnx_type), ROWS(shape_fields)};

static const field tensor_type_fields[] = {
  INT32(0, "elem_type", kp_onnx_type, element),
  INLINE(1, "shape", shape_message, .flags = KP_FIELD_HAS, .extra = AT(kp_onnx_type, has_shape)),
};
static const message tensor_type_message = {.size = sizeof(kp_onnx_type), ROWS(tensor_type_fields)};

static const field sequence_type_fields[] = {
  POINTER(0, "elem_type", kp_onnx_type, inner, type_message, NEEDED),
};
static const message sequence_type_message = {.size = sizeof(kp_onnx_type), ROWS(sequence_type_fields)};

static const field map_type_fields[] = {
  INT32(0, "key_type", kp_onnx_type, element),
  POINTER(1, "value_type", kp_onnx_type, inner, type_message, NEEDED),
};
static const message map_type_message = {.size = sizeof(kp_onnx_type), ROWS(map_type_fields)};

// The union's members, and what model.h calls them.
static const kp_onnx_type_kind type_kinds[] = {
  KP_ONNX_TYPE_NONE, KP_ONNX_TYPE_TENSOR, KP_ONNX_TYPE_SEQUENCE, KP_ONNX_TYPE_MAP};
static const field type_tag = {.name = "value_type", .slot = 1, .width = 1};
static const field type_fields[] = {
  STRING(0, "denotation", kp_onnx_type, denotation),
  INLINE(2, "tensor_type", tensor_type_message, .select = 1, NEEDED),
  INLINE(2, "sequence_type", sequence_type_message, .select = 2, NEEDED),
  INLINE(2, "map_type", map_type_message, .select = 3, NEEDED),
  ROW(1, "value_type", INT32, AT(kp_onnx_type, kind), .width = 1),
};
static kp_status* read_type(decoder* d, const kp_flat_table* table, void* out, const kp_onnx_place* at);
static const message type_message = {
  .size = sizeof(kp_onnx_type), ROWS(type_fields), .tag = &type_tag, .last_tag = 3, .read = read_type};

static const field value_info_fields[] = {
  STRING(0, "name", kp_onnx_value_info, name),
  BYTES(1, "doc_string", kp_onnx_value_info, doc),
  MESSAGE(2, "type", kp_onnx_value_info, type, type_message),
};
static const message value_info_message = {.size = sizeof(kp_onnx_value_info), ROWS(value_info_fields)};

// What the file says of a tensor, a node and a graph beyond model.h's structs, which come first.
typedef struct stored_tensor {
  kp_onnx_tensor tensor;
  int64_t external_offset;
  bool has_external;
} stored_tensor;

typedef struct stored_node {
  kp_onnx_node node;
  int32_t type;
} stored_node;

typedef struct stored_graph {
  kp_onnx_graph graph;
  const kp_str *inputs, *outputs;
  kp_onnx_value_info* infos;  // of every value
  size_t input_count, output_count, info_count;
} stored_graph;

static const field tensor_fields[] = {
  STRING(0, "name", stored_tensor, tensor.name),
  BYTES(1, "doc_string", stored_tensor, tensor.doc),
  INT64(2, "dims", stored_tensor, tensor.dims, LIST(stored_tensor, tensor.rank)),
  INT32(3, "data_type", stored_tensor, tensor.type),
  BYTES(4, "raw_data", stored_tensor, tensor.raw, .flags = KP_FIELD_HAS, .extra = AT(stored_tensor, tensor.has_raw)),
  BYTES(5, "string_data", stored_tensor, tensor.strings, LIST(stored_tensor, tensor.string_count)),
  INT64(6, "external_data_offset", stored_tensor, external_offset, .flags = KP_FIELD_HAS, .extra = AT(stored_tensor, has_external)),
};
static kp_status* read_tensor(decoder* d, const kp_flat_table* table, void* out, const kp_onnx_place* at);
static const message stored_tensor_message = {.size = sizeof(stored_tensor), ROWS(tensor_fields)};
static const message tensor_message = {.size = sizeof(kp_onnx_tensor), .read = read_tensor};

static const field sparse_fields[] = {
  MESSAGE(0, "values", kp_onnx_sparse, values, tensor_message, NEEDED),
  MESSAGE(1, "indices", kp_onnx_sparse, indices, tensor_message, NEEDED),
  INT64(2, "dims", kp_onnx_sparse, dims, LIST(kp_onnx_sparse, rank)),
};
static const message sparse_message = {.size = sizeof(kp_onnx_sparse), ROWS(sparse_fields)};

// --- nodes and graphs ----------------------------------------------------------------------------------------------------
static const field attr_tag = {.name = "type", .slot = 2, .width = 4};
static const field attr_fields[] = {
  STRING(0, "name", kp_onnx_attr, name),
  BYTES(1, "doc_string", kp_onnx_attr, doc),
  INT32(2, "type", kp_onnx_attr, type),
  FLOAT(3, "f", kp_onnx_attr, f, .select = KP_ONNX_ATTR_FLOAT),
  INT64(4, "i", kp_onnx_attr, i, .select = KP_ONNX_ATTR_INT),
  BYTES(5, "s", kp_onnx_attr, s, .select = KP_ONNX_ATTR_STRING, NEEDED),
  POINTER(6, "t", kp_onnx_attr, t, tensor_message, .select = KP_ONNX_ATTR_TENSOR, NEEDED),
  POINTER(7, "g", kp_onnx_attr, g, graph_message, .select = KP_ONNX_ATTR_GRAPH, NEEDED),
  FLOAT(8, "floats", kp_onnx_attr, floats, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_FLOATS),
  INT64(9, "ints", kp_onnx_attr, ints, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_INTS),
  BYTES(10, "strings", kp_onnx_attr, strings, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_STRINGS),
  MESSAGE(11, "tensors", kp_onnx_attr, tensors, tensor_message, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_TENSORS),
  MESSAGE(12, "graphs", kp_onnx_attr, graphs, graph_message, LIST(kp_onnx_attr, count), .select = KP_ONNX_ATTR_GRAPHS),
};
static const message attr_message = {
  .size = sizeof(kp_onnx_attr), ROWS(attr_fields), .tag = &attr_tag, .last_tag = KP_ONNX_ATTR_GRAPHS};

static const field node_fields[] = {
  STRING(0, "name", stored_node, node.name),
  BYTES(1, "doc_string", stored_node, node.doc),
  STRING(2, "domain", stored_node, node.domain),
  STRING(5, "op_type", stored_node, node.op_type),
  INT32(6, "type", stored_node, type),
  STRING(8, "inputs", stored_node, node.inputs, LIST(stored_node, node.input_count)),
  STRING(9, "outputs", stored_node, node.outputs, LIST(stored_node, node.output_count)),
  // As with .onnx files, a list of millions would take memory before anybody looked at the names.
  MESSAGE(10, "attributes", stored_node, node.attrs, attr_message, LIST(stored_node, node.attr_count), .limit = 10000),
};
static kp_status* read_node(decoder* d, const kp_flat_table* table, void* out, const kp_onnx_place* at);
static const message stored_node_message = {.size = sizeof(stored_node), ROWS(node_fields)};
static const message node_message = {.size = sizeof(kp_onnx_node), .read = read_node};

static const field graph_fields[] = {
  MESSAGE(0, "initializers", stored_graph, graph.initializers, tensor_message, LIST(stored_graph, graph.initializer_count)),
  MESSAGE(1, "node_args", stored_graph, infos, value_info_message, LIST(stored_graph, info_count)),
  MESSAGE(2, "nodes", stored_graph, graph.nodes, node_message, LIST(stored_graph, graph.node_count)),
  STRING(5, "inputs", stored_graph, inputs, LIST(stored_graph, input_count)),
  STRING(6, "outputs", stored_graph, outputs, LIST(stored_graph, output_count)),
  MESSAGE(7, "sparse_initializers", stored_graph, graph.sparse_initializers, sparse_message, LIST(stored_graph, graph.sparse_count)),
};
static kp_status* read_graph(decoder* d, const kp_flat_table* table, void* out, const kp_onnx_place* at);
static const message stored_graph_message = {.size = sizeof(stored_graph), ROWS(graph_fields)};
static const message graph_message = {.size = sizeof(kp_onnx_graph), .read = read_graph};

// --- the model -----------------------------------------------------------------------------------------------------------
static const field model_fields[] = {
  INT64(0, "ir_version", kp_onnx_model, ir_version),
  MESSAGE(1, "opset_import", kp_onnx_model, opsets, opset_message, LIST(kp_onnx_model, opset_count)),
  STRING(2, "producer_name", kp_onnx_model, producer_name),
  STRING(3, "producer_version", kp_onnx_model, producer_version),
  STRING(4, "domain", kp_onnx_model, domain),
  INT64(5, "model_version", kp_onnx_model, model_version),
  BYTES(6, "doc_string", kp_onnx_model, doc),
  MESSAGE(7, "graph", kp_onnx_model, graph, graph_message, .flags = KP_FIELD_HAS, .extra = AT(kp_onnx_model, has_graph)),
  BYTES(8, "graph_doc_string", kp_onnx_model, graph.doc),
  MESSAGE(9, "metadata_props", kp_onnx_model, metadata, entry_message, LIST(kp_onnx_model, metadata_count)),
};
static const message model_message = {.size = sizeof(kp_onnx_model), ROWS(model_fields)};

// Two readings of one table: the version is looked at before all else.
static const field version_fields[] = {
  STRING(0, "ort_version", kp_onnx_model, ort_format, NEEDED),
};
static const message version_message = {.size = sizeof(kp_onnx_model), ROWS(version_fields)};
static const field session_fields[] = {
  INLINE(1, "", model_message, NEEDED),
};
static const message session_message = {.size = sizeof(kp_onnx_model), ROWS(session_fields)};
static kp_status* read_session(decoder* d, const kp_flat_table* table, void* out, const kp_onnx_place* at);
static const message file_message = {.size = sizeof(kp_onnx_model), .read = read_session};
// clang-format on

// --- what rows alone do not say --------------------------------------------------------------------------------------------
static kp_status* read_type(decoder* d, const kp_flat_table* table, void* out,
                            const kp_onnx_place* at) {
  kp_onnx_type* const type = out;
  KP_PASS(read_fields(d, &type_message, table, type, at));
  type->kind = type_kinds[type->kind];  // no larger than the tag's largest
  return NULL;
}

static kp_status* read_tensor(decoder* d, const kp_flat_table* table, void* out,
                              const kp_onnx_place* at) {
  stored_tensor stored = {0};
  KP_PASS(read_fields(d, &stored_tensor_message, table, &stored, at));
  if (stored.has_external && stored.external_offset >= 0 && !stored.tensor.has_raw)
    return fail(d, KAPELL_UNSUPPORTED_MODEL, at, "external_data_offset", table->at,
                "data in another file, as in checkpoints of training");
  // The one form of data besides strings; without it, the size is what is wrong.
  stored.tensor.has_raw |= stored.tensor.type != KAPELL_STRING;
  *(kp_onnx_tensor*)out = stored.tensor;
  return NULL;
}

static kp_status* read_node(decoder* d, const kp_flat_table* table, void* out,
                            const kp_onnx_place* at) {
  stored_node stored = {0};
  KP_PASS(read_fields(d, &stored_node_message, table, &stored, at));
  if (stored.type != 0)
    return fail(d, KAPELL_UNSUPPORTED_MODEL, at, "type", table->at,
                "a node that was compiled for a provider; what it computes is not in the file");
  *(kp_onnx_node*)out = stored.node;
  return NULL;
}

// Which of the value infos belong to the graph's inputs and outputs.
typedef struct named_infos {
  kp_interner names;
  kp_ptr_map indices;  // name -> index of its info, or NO_INFO
} named_infos;

#define NO_INFO UINT32_MAX

static kp_status* list_names(named_infos* named, const kp_str* names, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const char* const name = kp_intern(&named->names, names[i]);
    if (!name) return KP_ERROR(OUT_OF_MEMORY, "names of a graph's inputs and outputs");
    KP_PASS(kp_ptr_map_put(&named->indices, name, NO_INFO));
  }
  return NULL;
}

static kp_status* find_infos(named_infos* named, const stored_graph* stored) {
  KP_PASS(list_names(named, stored->inputs, stored->input_count));
  KP_PASS(list_names(named, stored->outputs, stored->output_count));
  for (size_t i = 0; i < stored->info_count && i < NO_INFO; ++i) {
    const char* const name = kp_intern_find(&named->names, stored->infos[i].name);
    if (name) KP_PASS(kp_ptr_map_put(&named->indices, name, (uint32_t)i));
  }
  return NULL;
}

static kp_status* take_infos(decoder* d, const named_infos* named, const stored_graph* stored,
                             const kp_str* names, size_t count,
                             const kp_onnx_value_info** out_infos) {
  void* memory;
  KP_PASS(kp_onnx_walk_take(&d->walk, count, sizeof(kp_onnx_value_info), &memory));
  kp_onnx_value_info* const infos = memory;
  for (size_t i = 0; i < count; ++i) {
    const char* const name = kp_intern_find(&named->names, names[i]);
    uint32_t index = NO_INFO;
    if (name) (void)kp_ptr_map_get(&named->indices, name, &index);
    if (index != NO_INFO) infos[i] = stored->infos[index];
    infos[i].name = names[i];
  }
  *out_infos = infos;
  return NULL;
}

// model.h has the infos of inputs, outputs and all other values apart; that of an absent optional value says nothing.
static kp_status* part_infos(decoder* d, named_infos* named, stored_graph* stored) {
  kp_onnx_graph* const graph = &stored->graph;
  KP_PASS(find_infos(named, stored));
  KP_PASS(take_infos(d, named, stored, stored->inputs, stored->input_count, &graph->inputs));
  KP_PASS(take_infos(d, named, stored, stored->outputs, stored->output_count, &graph->outputs));
  graph->input_count = stored->input_count;
  graph->output_count = stored->output_count;
  for (size_t i = 0; i < stored->info_count; ++i) {
    const kp_str name = stored->infos[i].name;
    if (name.length && !kp_intern_find(&named->names, name))
      stored->infos[graph->value_info_count++] = stored->infos[i];
  }
  graph->value_infos = stored->infos;
  return NULL;
}

static kp_status* read_graph(decoder* d, const kp_flat_table* table, void* out,
                             const kp_onnx_place* at) {
  stored_graph stored = {0};
  named_infos named = {0};
  KP_PASS(read_fields(d, &stored_graph_message, table, &stored, at));
  kp_interner_init(&named.names);
  kp_status* const status = part_infos(d, &named, &stored);
  kp_interner_free(&named.names);
  kp_ptr_map_free(&named.indices);
  if (!status) *(kp_onnx_graph*)out = stored.graph;
  return status;
}

#define OLDEST_VERSION 1
#define NEWEST_VERSION 6

static kp_status* check_version(const kp_onnx_model* model) {
  int64_t version;
  if (kp_parse_i64(model->ort_format, &version) && version >= OLDEST_VERSION &&
      version <= NEWEST_VERSION)
    return NULL;
  kp_status* const status =
      KP_ERROR(UNSUPPORTED_MODEL,
               "The ORT format model version [%.*s] is not supported in this build, which reads %d "
               "to %d",
               KP_STR_ARG(model->ort_format), OLDEST_VERSION, NEWEST_VERSION);
  return kp_status_hint(status, "use the .onnx file that it was made from, or convert that again");
}

static kp_status* read_session(decoder* d, const kp_flat_table* table, void* out,
                               const kp_onnx_place* at) {
  KP_PASS(read_fields(d, &version_message, table, out, at));
  KP_PASS(check_version(out));
  return read_fields(d, &session_message, table, out, at);
}

// --- the file ------------------------------------------------------------------------------------------------------------
#define IDENTIFIER "ORTM"
#define IDENTIFIER_AT sizeof(uint32_t)

bool kp_onnx_is_ort_format(const void* bytes, size_t byte_count) {
  const size_t size = sizeof IDENTIFIER - 1;
  return byte_count > IDENTIFIER_AT + size &&
         memcmp((const char*)bytes + IDENTIFIER_AT, IDENTIFIER, size) == 0;
}

kp_status* kp_onnx_decode_ort_format(const void* bytes, size_t byte_count,
                                     const kp_onnx_decode_options* options, kp_arena* arena,
                                     kp_onnx_model* out_model) {
  decoder d = {.walk = kp_onnx_walk_start(bytes, options, arena), .flat = {bytes, byte_count}};
  const kp_onnx_place root = {NULL, "", SIZE_MAX};
  return read_table(&d, &file_message, 0, out_model, &root);
}
