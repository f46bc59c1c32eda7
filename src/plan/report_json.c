// The placement report as JSON. The keys are documented in docs/placement.md and stay stable.
#include "base/json.h"
#include "plan/report.h"

static void json_provider(kp_json* json, const kapell_placed_provider* p) {
  kp_json_begin_object(json);
  kp_json_member_string(json, "name", p->name);
  kp_json_member_string(json, "asked", p->asked);
  kp_json_member_bool(json, "available", p->available);
  kp_json_member_bool(json, "in_use", p->in_use);
  kp_json_member_string(json, "version", p->version);
  kp_json_member_string(json, "file", p->file);
  kp_json_member_string(json, "reason", p->reason);
  kp_json_member_string(json, "fix", p->fix);
  kp_json_member_int(json, "nodes", (int64_t)p->nodes);
  kp_json_member_int(json, "partitions", (int64_t)p->partitions);
  kp_json_member_double(json, "flops", p->flops);
  kp_json_member_int(json, "weight_bytes", (int64_t)p->weight_bytes);
  kp_json_end_object(json);
}

static void json_node(kp_json* json, const kapell_placed_node* n) {
  kp_json_begin_object(json);
  kp_json_member_string(json, "name", n->name);
  kp_json_member_string(json, "op", n->op);
  kp_json_member_string(json, "domain", n->domain);
  kp_json_member_string(json, "path", n->path);
  kp_json_member_string(json, "provider", n->provider);
  kp_json_member_string(json, "how", n->how);
  kp_json_member_int(json, "partition", n->partition);
  kp_json_member_double(json, "flops", n->flops);
  kp_json_member_string(json, "run_as", n->run_as);
  kp_json_member_string(json, "rewrite", n->rewrite);
  kp_json_key(json, "fused_with");
  if (n->fused_with == SIZE_MAX)
    kp_json_null(json);
  else
    kp_json_uint(json, n->fused_with);
  kp_json_key(json, "refusals");
  kp_json_begin_array(json);
  for (size_t i = 0; i < n->refusal_count; ++i) {
    kp_json_begin_object(json);
    kp_json_member_string(json, "provider", n->refusals[i].provider);
    kp_json_member_string(json, "reason", n->refusals[i].reason);
    kp_json_member_string(json, "source", n->refusals[i].source);
    kp_json_end_object(json);
  }
  kp_json_end_array(json);
  kp_json_end_object(json);
}

static void json_copy(kp_json* json, const kapell_placed_copy* c) {
  kp_json_begin_object(json);
  kp_json_member_string(json, "value", c->value);
  kp_json_member_string(json, "path", c->path);
  kp_json_member_string(json, "from", c->from);
  kp_json_member_string(json, "to", c->to);
  kp_json_key(json, "bytes");
  if (c->bytes < 0)
    kp_json_null(json);
  else
    kp_json_int(json, c->bytes);
  kp_json_member_bool(json, "exact", c->exact);
  kp_json_member_string(json, "producer", c->producer);
  kp_json_member_string(json, "consumer", c->consumer);
  kp_json_end_object(json);
}

void kp_report_json(const kapell_placement* placement, kp_strbuf* out) {
  kp_json json = {.buf = out};
  kp_json_begin_object(&json);
  kp_json_member_string(&json, "list", placement->list);
  kp_json_member_int(&json, "partitions", (int64_t)placement->partition_count);
  kp_json_member_int(&json, "copies", (int64_t)placement->copies);
  kp_json_member_int(&json, "body_copies", (int64_t)placement->body_copies);
  kp_json_member_int(&json, "copied_bytes", (int64_t)placement->copied_bytes);
  kp_json_member_int(&json, "unknown_copies", (int64_t)placement->unknown_copies);
  kp_json_member_double(&json, "flops", placement->flops);
  kp_json_key(&json, "copy_list");
  kp_json_begin_array(&json);
  for (size_t i = 0; i < placement->copy_list_count; ++i)
    json_copy(&json, &placement->copy_list[i]);
  kp_json_end_array(&json);
  kp_json_key(&json, "providers");
  kp_json_begin_array(&json);
  for (size_t i = 0; i < placement->provider_count; ++i)
    json_provider(&json, &placement->providers[i]);
  kp_json_end_array(&json);
  kp_json_key(&json, "nodes");
  kp_json_begin_array(&json);
  for (size_t i = 0; i < placement->node_count; ++i) json_node(&json, &placement->nodes[i]);
  kp_json_end_array(&json);
  kp_json_end_object(&json);
}
