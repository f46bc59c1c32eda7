// Writes and reads the text of a placement lock.
#include "plan/lock.h"

static const char kTitle[] = "kapell-lock 1";

// --- writing -----------------------------------------------------------------------------------------------------------------
static void quote(const char* text, kp_strbuf* out) { kp_strbuf_json(out, kp_str_of(text)); }

static void write_node(const kapell_placed_node* node, kp_strbuf* out) {
  if (node->provider)
    kp_strbuf_printf(out, "node %d %s ", node->partition, node->provider);
  else
    kp_strbuf_printf(out, "node - %s ", node->how);
  quote(node->op, out);
  kp_strbuf_puts(out, " ");
  quote(node->name, out);
  if (node->path[0]) {
    kp_strbuf_puts(out, " in ");
    quote(node->path, out);
  }
  kp_strbuf_puts(out, "\n");
}

static void write_copy(const kapell_placed_copy* copy, kp_strbuf* out) {
  kp_strbuf_printf(out, "copy %s %s ", copy->from, copy->to);
  quote(copy->value, out);
  if (copy->bytes < 0)
    kp_strbuf_puts(out, " bytes ?");
  else
    kp_strbuf_printf(out, " bytes %lld%s", (long long)copy->bytes, copy->exact ? "" : "*");
  if (copy->consumer) {
    kp_strbuf_puts(out, " for ");
    quote(copy->consumer, out);
  }
  if (copy->path[0]) {
    kp_strbuf_puts(out, " in ");
    quote(copy->path, out);
  }
  kp_strbuf_puts(out, "\n");
}

void kp_lock_write(const kapell_placement* placement, kp_strbuf* out) {
  kp_strbuf_printf(out,
                   "%s\n# Who runs which node of the model. Written by 'kapell place --lock', "
                   "compared by 'kapell check --lock'.\nlist ",
                   kTitle);
  quote(placement->list, out);
  kp_strbuf_puts(out, "\n");
  for (size_t p = 0; p < placement->provider_count; ++p)
    kp_strbuf_printf(out, "provider %s nodes %zu partitions %zu\n", placement->providers[p].name,
                     placement->providers[p].nodes, placement->providers[p].partitions);
  kp_strbuf_printf(out, "copies %zu in-bodies %zu\n", placement->copies, placement->body_copies);
  for (size_t i = 0; i < placement->copy_list_count; ++i) write_copy(&placement->copy_list[i], out);
  for (size_t n = 0; n < placement->node_count; ++n) write_node(&placement->nodes[n], out);
}

// --- reading -----------------------------------------------------------------------------------------------------------------
// The next word of |rest|, which may be a quoted text; empty at the end.
static kp_str next_word(kp_str* rest) {
  while (rest->length && rest->data[0] == ' ') ++rest->data, --rest->length;
  size_t n = 0;
  const bool quoted = rest->length && rest->data[0] == '"';
  for (; n < rest->length; ++n) {
    if (!quoted && rest->data[n] == ' ') break;
    if (quoted && rest->data[n] == '\\') {
      ++n;
    } else if (quoted && n && rest->data[n] == '"') {
      ++n;
      break;
    }
  }
  if (n > rest->length) n = rest->length;
  const kp_str word = {rest->data, n};
  rest->data += n;
  rest->length -= n;
  return word;
}

static bool read_node(kp_str rest, kp_lock_node* out) {
  const kp_str partition = next_word(&rest);
  out->partition = -1;
  if (!kp_str_is(partition, "-") && (!kp_parse_i64(partition, &out->partition) ||
                                     out->partition < 0 || out->partition > UINT32_MAX))
    return false;
  out->provider = next_word(&rest);
  out->op = next_word(&rest);
  out->name = next_word(&rest);
  out->path = (kp_str){0};
  const kp_str in = next_word(&rest);
  if (in.length) out->path = next_word(&rest);
  return out->name.length && (!in.length || (kp_str_is(in, "in") && out->path.length));
}

static bool read_line(kp_lock* lock, kp_str line) {
  kp_str rest = line;
  const kp_str word = next_word(&rest);
  if (word.length == 0 || word.data[0] == '#') return true;
  if (kp_str_is(word, "node")) {
    kp_lock_node* node = &lock->nodes[lock->node_count];
    node->index = (uint32_t)lock->node_count++;
    return read_node(rest, node);
  }
  if (kp_str_is(word, "copy")) return lock->copies[lock->copy_count++] = line, true;
  if (kp_str_is(word, "list")) lock->list = next_word(&rest);
  return kp_str_is(word, "list") || kp_str_is(word, "provider") || kp_str_is(word, "copies");
}

static kp_str take_line(kp_str* rest) {
  const char* end = memchr(rest->data, '\n', rest->length);
  kp_str line = {rest->data, end ? (size_t)(end - rest->data) : rest->length};
  const size_t taken = line.length + (end != NULL);
  rest->data += taken;
  rest->length -= taken;
  if (line.length && line.data[line.length - 1] == '\r') --line.length;
  return line;
}

kp_status* kp_lock_read(kp_str text, kp_lock* lock) {
  *lock = (kp_lock){0};
  size_t lines = 1, number = 1;
  for (size_t i = 0; i < text.length; ++i) lines += text.data[i] == '\n';
  lock->nodes = kp_arena_new_array(&lock->arena, kp_lock_node, lines);
  lock->copies = kp_arena_new_array(&lock->arena, kp_str, lines);
  if (!lock->nodes || !lock->copies || lines > UINT32_MAX)
    return KP_ERROR(OUT_OF_MEMORY, "a placement lock of %zu lines", lines);
  if (text.length == 0 || !kp_str_is(take_line(&text), kTitle))
    return kp_status_hint(
        KP_ERROR(INVALID_ARGUMENT, "no placement lock: its first line is not '%s'", kTitle),
        "write one with 'kapell place MODEL --lock FILE'");
  while (text.length) {
    const kp_str line = take_line(&text);
    ++number;
    if (read_line(lock, line)) continue;
    return kp_status_hint(KP_ERROR(INVALID_ARGUMENT, "line %zu of the placement lock: '%.*s'",
                                   number, (int)(line.length > 200 ? 200 : line.length), line.data),
                          "write it anew with 'kapell place MODEL --lock FILE'");
  }
  return NULL;
}
