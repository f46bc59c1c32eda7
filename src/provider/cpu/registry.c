// Finds the row of a node among the operators' tables (op/tables.inl) and says what stands in its way.
//
// The rows are hashed by domain and name at first use, into static memory; rows of one name form a chain, newest first.
#include <pthread.h>
#include <stdio.h>

#include "graph/schema.h"
#include "provider/cpu/op.h"
#include "provider/host.h"

#define KP_TABLE(family) extern const kp_op_table kp_ops_##family;
#include "provider/cpu/op/tables.inl"
#undef KP_TABLE

#define MAX_ROWS 2048
#define BUCKETS 1024

static const kp_op_def* rows[MAX_ROWS];
static uint16_t next_row[MAX_ROWS];  // index + 1; 0 ends the chain
static uint16_t buckets[BUCKETS];
static uint16_t row_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char* row_domain(const kp_op_def* op) { return op->domain ? op->domain : ""; }

static uint32_t bucket_of(const char* domain, const char* name) {
  const uint64_t seed = kp_hash_bytes(domain, strlen(domain), 7);
  return (uint32_t)(kp_hash_bytes(name, strlen(name), seed) % BUCKETS);
}

static void add_table(const kp_op_table* table) {
  for (size_t i = 0; i < table->count && row_count < MAX_ROWS; ++i) {
    const kp_op_def* op = &table->ops[i];
    uint16_t* link = &buckets[bucket_of(row_domain(op), op->name)];
    while (*link && rows[*link - 1]->since > op->since) link = &next_row[*link - 1];
    rows[row_count] = op;
    next_row[row_count] = *link;
    *link = ++row_count;
  }
}

static void build(void) {
#define KP_TABLE(family) add_table(&kp_ops_##family);
#include "provider/cpu/op/tables.inl"
#undef KP_TABLE
}

const kp_op_def* kp_op_find(const kp_node* node) {
  if (node->custom) return &kp_op_custom;
  pthread_once(&once, build);
  const char* domain = strcmp(node->domain, "ai.onnx") == 0 ? "" : node->domain;
  for (uint16_t i = buckets[bucket_of(domain, node->op)]; i; i = next_row[i - 1]) {
    const kp_op_def* op = rows[i - 1];
    if (op->since <= node->version && strcmp(op->name, node->op) == 0 &&
        strcmp(row_domain(op), domain) == 0)
      return op;
  }
  return NULL;
}

size_t kp_op_count(void) {
  pthread_once(&once, build);
  return row_count;
}

const kp_op_def* kp_op_at(size_t index) { return index < kp_op_count() ? rows[index] : NULL; }

kapell_type kp_query_type(const kp_op_query* query, uint32_t index) {
  const kp_value* value = kp_node_input(query->graph, query->node, index);
  return value && value->type.kind == KAPELL_KIND_TENSOR ? value->type.element : KAPELL_UNDEFINED;
}

int32_t kp_query_rank(const kp_op_query* query, uint32_t index) {
  const kp_value* value = kp_node_input(query->graph, query->node, index);
  return value && value->type.kind == KAPELL_KIND_TENSOR ? value->type.rank : -1;
}

kp_reason kp_query_no(const kp_op_query* query, const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char* copy = kp_arena_strndup(query->arena, text, strlen(text));
  return copy ? copy : "out of memory while looking at the node";
}

// The type that a row's |types| speak of.
static kapell_type main_type(const kp_op_query* query) {
  if (query->node->input_count) return kp_query_type(query, 0);
  const kp_value* value = kp_node_output(query->graph, query->node, 0);
  return value && value->type.kind == KAPELL_KIND_TENSOR ? value->type.element : KAPELL_UNDEFINED;
}

kp_reason kp_op_check(const kp_op_query* query) {
  const kp_node* node = query->node;
  const kp_op_def* op = kp_op_find(node);
  if (!op) {
    const char* domain = node->domain[0] ? node->domain : "ai.onnx";
    return kp_query_no(query, "%s::%s-%d has no kernel", domain, node->op, (int)node->version);
  }
  const kapell_type type = main_type(query);
  if (op->types && type != KAPELL_UNDEFINED) {
    KP_REQUIRE(query, op->types & kp_type_mask(type), "%s has no kernel for %s", node->op,
               kp_type_name(type));
  }
  return op->supports ? op->supports(query) : KP_SUPPORTED;
}

bool kp_cpu_has_kernel(const kp_node* node) { return kp_op_find(node) != NULL; }

bool kp_cpu_wants_expansion(const kp_graph* graph, const kp_node* node) {
  if (!node->schema || !node->schema->has_function) return false;
  kp_arena arena = {0};
  const kp_op_query query = {graph, node, &arena};
  const bool wants = kp_op_check(&query) != KP_SUPPORTED;
  kp_arena_free(&arena);
  return wants;
}
