// The placement report for people: what each provider got, totals, then what stood in the way, grouped.
#include "base/size.h"
#include "plan/reasons.h"
#include "plan/report.h"

static void print_bytes(uint64_t bytes, kp_strbuf* out) {
  static const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double amount = (double)bytes;
  size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < KP_COUNT_OF(units); ++unit) amount /= 1024;
  kp_strbuf_printf(out, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
}

static void print_flops(double flops, kp_strbuf* out) {
  static const char* const units[] = {"", " k", " M", " G", " T", " P"};
  size_t unit = 0;
  for (; flops >= 1000 && unit + 1 < KP_COUNT_OF(units); ++unit) flops /= 1000;
  kp_strbuf_printf(out, unit ? "%.1f%sFLOPs" : "%.0f%s FLOPs", flops, units[unit]);
}

static void text_provider(const kapell_placement* placement, const kapell_placed_provider* p,
                          kp_strbuf* out) {
  kp_strbuf_printf(out, "%-10s ", p->asked);
  if (!p->available) {
    kp_strbuf_printf(out, "not available: %s\n", p->reason ? p->reason : "no reason known");
  } else if (!p->in_use) {
    kp_strbuf_printf(out, "runs nothing: %s\n", p->reason ? p->reason : "no reason known");
  } else {
    kp_strbuf_printf(out, "%zu of %zu nodes in %zu partition%s", p->nodes, placement->node_count,
                     p->partitions, p->partitions == 1 ? "" : "s");
    if (placement->flops > 0) {
      kp_strbuf_printf(out, ", %.1f %% of FLOPs (", 100.0 * p->flops / placement->flops);
      print_flops(p->flops, out);
      kp_strbuf_puts(out, ")");
    }
    if (p->weight_bytes) {
      kp_strbuf_puts(out, ", weights ");
      print_bytes(p->weight_bytes, out);
    }
    kp_strbuf_puts(out, "\n");
  }
  if (p->fix && !p->in_use) kp_strbuf_printf(out, "%-10s to fix it: %s\n", "", p->fix);
}

// Reasons why |provider| does not run nodes, grouped, one a line.
static kp_status* text_reasons(const kapell_placement* placement, const char* provider,
                               kp_strbuf* out) {
  kp_reasons g;
  KP_PASS(kp_reasons_init(&g, placement->node_count));
  for (size_t n = 0; n < placement->node_count; ++n) {
    const kapell_placed_node* node = &placement->nodes[n];
    for (size_t r = 0; r < node->refusal_count; ++r)
      if (strcmp(node->refusals[r].provider, provider) == 0)
        kp_reasons_add(&g, node->op, node->refusals[r].reason, node->name);
  }
  if (g.count) {
    kp_strbuf_printf(out, "not on %s:\n  ", provider);
    kp_reasons_print(&g, 40, "\n  ", out);
    kp_strbuf_puts(out, "\n");
  }
  kp_reasons_free(&g);
  return NULL;
}

// Nodes that are run within one of another operator, grouped by what they became.
static kp_status* text_fused(const kapell_placement* placement, kp_strbuf* out) {
  kp_reasons g;
  size_t nodes = 0;
  KP_PASS(kp_reasons_init(&g, placement->node_count));
  for (size_t n = 0; n < placement->node_count; ++n) {
    const kapell_placed_node* node = &placement->nodes[n];
    if (!node->run_as || node->fused_with == SIZE_MAX) continue;
    ++nodes;
    if (node->fused_with == n)
      kp_reasons_add(&g, node->run_as, node->rewrite ? node->rewrite : "fused", node->name);
  }
  if (nodes) {
    kp_strbuf_printf(out, "%-10s %zu nodes are run within others:\n  ", "fused", nodes);
    kp_reasons_print(&g, 40, "\n  ", out);
    kp_strbuf_puts(out, "\n");
  }
  kp_reasons_free(&g);
  return NULL;
}

static void text_copy(const kapell_placed_copy* copy, kp_strbuf* out) {
  kp_strbuf_printf(out, "  %s -> %s '%.120s', ", copy->from, copy->to, copy->value);
  if (copy->bytes < 0)
    kp_strbuf_puts(out, "as many bytes as the run tells");
  else
    print_bytes((uint64_t)copy->bytes, out);
  if (copy->bytes >= 0 && !copy->exact) kp_strbuf_puts(out, " at symbols of 1");
  if (copy->producer) kp_strbuf_printf(out, ", made by '%.80s'", copy->producer);
  if (copy->consumer) kp_strbuf_printf(out, ", read by '%.80s'", copy->consumer);
  if (copy->path[0]) kp_strbuf_printf(out, ", in %.120s", copy->path);
  kp_strbuf_puts(out, "\n");
}

static void text_copies(const kapell_placement* placement, kp_strbuf* out) {
  if (!placement->copy_list_count && !placement->body_copies) return;
  kp_strbuf_printf(out, "%-10s %zu a run, between host and devices", "copies", placement->copies);
  if (placement->copies) {
    kp_strbuf_puts(out, ": ");
    print_bytes(placement->copied_bytes, out);
    if (placement->unknown_copies) kp_strbuf_puts(out, " where symbolic dimensions are 1");
  }
  if (placement->body_copies)
    kp_strbuf_printf(out, ", and %zu in bodies of control flow each time they run",
                     placement->body_copies);
  kp_strbuf_puts(out, "\n");
  for (size_t i = 0; i < placement->copy_list_count && i < 20; ++i)
    text_copy(&placement->copy_list[i], out);
  if (placement->copy_list_count > 20)
    kp_strbuf_printf(out, "  and %zu more\n", placement->copy_list_count - 20);
}

static size_t count_how(const kapell_placement* placement, const char* how) {
  size_t count = 0;
  for (size_t n = 0; n < placement->node_count; ++n)
    count += strcmp(placement->nodes[n].how, how) == 0;
  return count;
}

void kp_report_text(const kapell_placement* placement, kp_strbuf* out) {
  const size_t folded = count_how(placement, "folded"), executor = count_how(placement, "executor");
  for (size_t p = 0; p < placement->provider_count; ++p)
    text_provider(placement, &placement->providers[p], out);
  if (folded)
    kp_strbuf_printf(out, "%-10s %zu nodes: constants, or not needed for the outputs\n", "folded",
                     folded);
  if (executor)
    kp_strbuf_printf(out, "%-10s %zu nodes: control flow, its bodies are placed like the rest\n",
                     "executor", executor);
  text_copies(placement, out);
  kp_status* status = text_fused(placement, out);
  for (size_t p = 0; !status && p < placement->provider_count; ++p)
    if (placement->providers[p].available)
      status = text_reasons(placement, placement->providers[p].name, out);
  if (status) out->failed = true;
  kp_status_ignore(status);
}
