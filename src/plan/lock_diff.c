// Compares a placement with its lock: nodes that moved, partitions that split, copies that came or went, and why.
#include <stdlib.h>

#include "plan/lock.h"

typedef struct change_counts {
  size_t moved, added, gone, split, copies_new, copies_gone;
} change_counts;

typedef struct lock_diff {
  const kapell_placement* placement;
  kp_lock was, now;
  kp_lock_node **was_of,
      **now_of;  // parallel to now.nodes: the same node in the lock, or NULL; and the reverse
  change_counts counts;
  kp_strbuf* out;
} lock_diff;

// --- matching ----------------------------------------------------------------------------------------------------------------
static int compare_text(kp_str a, kp_str b) {
  const size_t n = a.length < b.length ? a.length : b.length;
  const int order = n ? memcmp(a.data, b.data, n) : 0;
  return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_names(const kp_lock_node* a, const kp_lock_node* b) {
  int order = compare_text(a->path, b->path);
  if (!order) order = compare_text(a->name, b->name);
  return order ? order : compare_text(a->op, b->op);
}

static int by_name(const void* a, const void* b) {
  const kp_lock_node *x = *(kp_lock_node*const*)a, *y = *(kp_lock_node*const*)b;
  const int order = compare_names(x, y);
  return order ? order : (x->index > y->index) - (x->index < y->index);
}

static kp_lock_node** sorted_nodes(lock_diff* d, kp_lock* lock) {
  kp_lock_node** sorted = kp_arena_new_array(&d->now.arena, kp_lock_node*, lock->node_count + 1);
  for (size_t i = 0; sorted && i < lock->node_count; ++i) sorted[i] = &lock->nodes[i];
  if (sorted) qsort(sorted, lock->node_count, sizeof(*sorted), by_name);
  return sorted;
}

// Nodes are the same by path, name and operator; of several such, the first is the first.
static kp_status* match_nodes(lock_diff* d) {
  d->was_of = kp_arena_new_array(&d->now.arena, kp_lock_node*, d->now.node_count + 1);
  d->now_of = kp_arena_new_array(&d->now.arena, kp_lock_node*, d->was.node_count + 1);
  kp_lock_node **was = sorted_nodes(d, &d->was), **now = sorted_nodes(d, &d->now);
  if (!d->was_of || !d->now_of || !was || !now) return KP_ERROR(OUT_OF_MEMORY, "a placement lock");
  for (size_t i = 0, k = 0; i < d->was.node_count && k < d->now.node_count;) {
    const int order = compare_names(was[i], now[k]);
    if (order == 0) {
      d->was_of[now[k]->index] = was[i];
      d->now_of[was[i]->index] = now[k];
    }
    i += order <= 0;
    k += order >= 0;
  }
  return NULL;
}

// --- why ---------------------------------------------------------------------------------------------------------------------
static const kapell_placed_provider* find_provider(const kapell_placement* p, kp_str name) {
  for (size_t i = 0; i < p->provider_count; ++i)
    if (kp_str_is(name, p->providers[i].name)) return &p->providers[i];
  return NULL;
}

// Why node |index| is not where |was| had it.
static void explain(const lock_diff* d, kp_str was, uint32_t index, kp_strbuf* out) {
  const kapell_placed_node* node = &d->placement->nodes[index];
  for (size_t r = 0; r < node->refusal_count; ++r) {
    if (!kp_str_is(was, node->refusals[r].provider)) continue;
    kp_strbuf_printf(out, "%s", node->refusals[r].reason);
    return;
  }
  const kapell_placed_provider* provider = find_provider(d->placement, was);
  if (kp_str_is(was, "folded") || kp_str_is(was, "executor"))
    kp_strbuf_printf(out, "it was %.*s", KP_STR_ARG(was));
  else if (!provider)
    kp_strbuf_printf(out, "the list '%s' does not name %.*s", d->placement->list, KP_STR_ARG(was));
  else if (!provider->available)
    kp_strbuf_printf(out, "%s is not available: %s", provider->name,
                     provider->reason ? provider->reason : "no reason known");
  else if (!node->provider)
    kp_strbuf_printf(out, "it is %s now", node->how);
  else
    kp_strbuf_printf(out, "%s comes before %s and takes it now", node->provider, provider->name);
}

// --- changes -----------------------------------------------------------------------------------------------------------------
static void print_node(const lock_diff* d, char sign, const kp_lock_node* n) {
  kp_strbuf_printf(d->out, "%c %.*s %.*s on %.*s", sign, KP_STR_ARG(n->op), KP_STR_ARG(n->name),
                   KP_STR_ARG(n->provider));
  if (n->path.length) kp_strbuf_printf(d->out, " in %.*s", KP_STR_ARG(n->path));
}

static void compare_nodes(lock_diff* d) {
  for (size_t i = 0; i < d->was.node_count; ++i) {
    if (d->now_of[i]) continue;
    ++d->counts.gone;
    print_node(d, '-', &d->was.nodes[i]);
    kp_strbuf_puts(d->out, ": the model has no such node now\n");
  }
  for (size_t i = 0; i < d->now.node_count; ++i) {
    const kp_lock_node *now = &d->now.nodes[i], *was = d->was_of[i];
    if (was && kp_str_equal(was->provider, now->provider)) continue;
    d->counts.added += was == NULL;
    d->counts.moved += was != NULL;
    if (was) print_node(d, '-', was), kp_strbuf_puts(d->out, "\n");
    print_node(d, '+', now);
    kp_strbuf_puts(d->out, was ? ": " : ": the lock has no such node");
    if (was) explain(d, was->provider, now->index, d->out);
    kp_strbuf_puts(d->out, "\n");
  }
}

// Nodes that were in one partition and are in several of the same provider now: said once for each pair.
static kp_status* compare_partitions(lock_diff* d) {
  size_t most = 0;
  for (size_t i = 0; i < d->was.node_count; ++i)
    if (d->was.nodes[i].partition + 1 > (int64_t)most) most = (size_t)d->was.nodes[i].partition + 1;
  if (most > d->was.node_count)  // written by somebody else: numbers are dense in ours
    return KP_ERROR(INVALID_ARGUMENT, "the placement lock numbers a partition %zu of %zu nodes",
                    most - 1, d->was.node_count);
  const kp_lock_node** first = kp_arena_new_array(&d->now.arena, const kp_lock_node*,
                                                  most + 1);  // node seen last, as it is now
  if (!first) return KP_ERROR(OUT_OF_MEMORY, "a placement lock");
  for (size_t i = 0; i < d->was.node_count; ++i) {
    const kp_lock_node *was = &d->was.nodes[i], *now = d->now_of[i];
    if (was->partition < 0 || !now || now->partition < 0) continue;
    if (!kp_str_equal(was->provider, now->provider)) continue;
    const kp_lock_node* before = first[was->partition];
    first[was->partition] = now;
    if (!before || before->partition == now->partition) continue;
    ++d->counts.split;
    kp_strbuf_printf(
        d->out, "! partition %lld of %.*s is split: %.*s is in %lld now, %.*s in %lld\n",
        (long long)was->partition, KP_STR_ARG(was->provider), KP_STR_ARG(before->name),
        (long long)before->partition, KP_STR_ARG(now->name), (long long)now->partition);
  }
  return NULL;
}

static int by_text(const void* a, const void* b) {
  return compare_text(*(const kp_str*)a, *(const kp_str*)b);
}

static void compare_copies(lock_diff* d) {
  kp_lock *was = &d->was, *now = &d->now;
  if (was->copy_count) qsort(was->copies, was->copy_count, sizeof(kp_str), by_text);
  if (now->copy_count) qsort(now->copies, now->copy_count, sizeof(kp_str), by_text);
  for (size_t i = 0, k = 0; i < was->copy_count || k < now->copy_count;) {
    const int order = i == was->copy_count   ? 1
                      : k == now->copy_count ? -1
                                             : compare_text(was->copies[i], now->copies[k]);
    if (order < 0) kp_strbuf_printf(d->out, "- %.*s\n", KP_STR_ARG(was->copies[i]));
    if (order > 0) kp_strbuf_printf(d->out, "+ %.*s\n", KP_STR_ARG(now->copies[k]));
    d->counts.copies_gone += order < 0;
    d->counts.copies_new += order > 0;
    i += order <= 0;
    k += order >= 0;
  }
}

static void count(kp_strbuf* out, size_t number, const char* one, const char* many) {
  if (number)
    kp_strbuf_printf(out, "%s%zu %s", out->length ? ", " : "", number, number == 1 ? one : many);
}

static kp_status* sum_up(lock_diff* d) {
  const change_counts* c = &d->counts;
  kp_strbuf sum = {0};
  count(&sum, c->moved, "node moved", "nodes moved");
  count(&sum, c->added, "node is new", "nodes are new");
  count(&sum, c->gone, "node is gone", "nodes are gone");
  count(&sum, c->split, "partition is split", "cuts through partitions");
  count(&sum, c->copies_new, "copy is new", "copies are new");
  count(&sum, c->copies_gone, "copy is gone", "copies are gone");
  if (!sum.length && !sum.failed) return NULL;
  if (d->was.list.length && !kp_str_equal(d->was.list, d->now.list))
    kp_strbuf_printf(&sum, "; the provider list was %.*s and is %.*s", KP_STR_ARG(d->was.list),
                     KP_STR_ARG(d->now.list));
  kp_status* status = KP_ERROR(PLACEMENT_CHANGED, "the placement is not that of its lock: %s",
                               sum.data ? sum.data : "out of memory");
  kp_strbuf_free(&sum);
  return kp_status_hint(
      status, "if the change is wanted, write the lock anew: 'kapell place MODEL --lock FILE'");
}

static kp_status* compare(lock_diff* d) {
  KP_PASS(match_nodes(d));
  compare_nodes(d);
  KP_PASS(compare_partitions(d));
  compare_copies(d);
  return sum_up(d);
}

kp_status* kp_lock_check(const kapell_placement* placement, kp_str text, kp_strbuf* diff) {
  lock_diff d = {.placement = placement, .out = diff};
  kp_strbuf current = {0};
  kp_lock_write(placement, &current);
  kp_status* status = kp_lock_read(text, &d.was);
  if (!status) status = kp_lock_read((kp_str){current.data, current.length}, &d.now);
  if (!status && (current.failed || d.now.node_count != placement->node_count))
    status = KP_ERROR(OUT_OF_MEMORY, "a placement lock");
  if (!status) status = compare(&d);
  kp_arena_free(&d.was.arena);
  kp_arena_free(&d.now.arena);
  kp_strbuf_free(&current);
  return status;
}
