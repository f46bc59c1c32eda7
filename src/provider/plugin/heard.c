// What a library logs: it goes to Kapell's log under the provider's name, and while the library is asked what it can run its lines are
// kept, since for most libraries they are the only place where a reason stands.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "provider/plugin/internal.h"

#define MOST_LINES 65536  // kept of one question

// What the thread that asks collects; other threads may be in runs of the same provider.
static _Thread_local kp_plugin_heard* listening;

static void keep(kp_plugin_heard* heard, const char* message) {
  if (heard->count == heard->capacity && heard->capacity < MOST_LINES) {
    const uint32_t capacity = heard->capacity ? heard->capacity * 2 : 32;
    const char** grown = kp_arena_new_array(&heard->arena, const char*, capacity);
    if (grown && heard->count) memcpy(grown, heard->lines, heard->count * sizeof *grown);
    if (grown) heard->lines = grown, heard->capacity = capacity;
  }
  const char* copy = heard->count < heard->capacity
                         ? kp_arena_strndup(&heard->arena, message, strlen(message))
                         : NULL;
  if (copy) heard->lines[heard->count++] = copy;
}

static void hear(void* param, OrtLoggingLevel severity, const char* category, const char* id,
                 const char* location, const char* message) {
  const kp_plugin_provider* provider = param;
  char text[2048];
  (void)category, (void)id;
  if (listening) keep(listening, message);
  snprintf(text, sizeof text, "%s: %s", provider->type->type.short_name, message);
  kp_ort_log(&kp_ort_host_logger, severity, location, text);
}

static OrtLoggingLevel level_in_force(void) {
  const kapell_log_level level = kp_log_level();
  if (level <= KAPELL_LOG_DEBUG) return ORT_LOGGING_LEVEL_VERBOSE;
  if (level == KAPELL_LOG_INFO) return ORT_LOGGING_LEVEL_INFO;
  return level == KAPELL_LOG_WARNING ? ORT_LOGGING_LEVEL_WARNING : ORT_LOGGING_LEVEL_ERROR;
}

void kp_plugin_logger_init(kp_plugin_provider* provider) {
  provider->logger = (OrtLogger){.function = hear, .param = provider, .severity = level_in_force()};
}

static void set_severity(kp_plugin_provider* provider, OrtLoggingLevel severity) {
  __atomic_store_n(&provider->logger.severity, severity, __ATOMIC_RELAXED);
}

void kp_plugin_listen_begin(kp_plugin_provider* provider, kp_plugin_heard* heard) {
  *heard = (kp_plugin_heard){.count = 0};
  listening = heard;
  set_severity(provider, ORT_LOGGING_LEVEL_VERBOSE);
}

void kp_plugin_listen_end(kp_plugin_provider* provider) {
  listening = NULL;
  set_severity(provider, level_in_force());
}

// --- nodes that lines name --------------------------------------------------------------------------------------------------
typedef struct named {
  const char* name;
  kp_node_id node;
} named;

static int by_name(const void* a, const void* b) {
  return strcmp(((const named*)a)->name, ((const named*)b)->name);
}

static bool ends_word(char c) {
  return isspace((unsigned char)c) || strchr("'\"`,;()[]{}<>=", c) != NULL;
}

// Refuses the nodes called |word| of |length| letters; one behind which a line goes on with a colon or full stop is meant, too.
static void refuse_word(const named* names, uint32_t count, char* word, size_t length,
                        const char* line, kp_claims* claims) {
  for (; length; --length) {
    const char after = word[length];
    word[length] = 0;
    const named wanted = {word, 0};
    const named* found = bsearch(&wanted, names, count, sizeof *names, by_name);
    word[length] = after;
    if (found) {
      kp_claims_refuse(claims, found->node, KP_SOURCE_LOG, "%s", line);
      return;
    }
    if (!strchr(":.!", word[length - 1])) return;
  }
}

static void refuse_line(const named* names, uint32_t count, const char* line, kp_claims* claims) {
  char* copy = kp_strdup(line);
  for (char* at = copy; at && *at;) {
    size_t length = 0;
    while (at[length] && !ends_word(at[length])) ++length;
    if (length) refuse_word(names, count, at, length, line, claims);
    at += length + (at[length] != 0);
  }
  kp_free(copy);
}

kp_status* kp_plugin_refuse_heard(kp_plugin_heard* heard, const kp_graph* graph,
                                  kp_claims* claims) {
  named* names = NULL;
  uint32_t count = 0;
  if (heard->count) names = kp_alloc_zero((size_t)graph->node_count + 1, sizeof *names);
  for (kp_node_id n = 0; names && n < graph->node_count; ++n)
    if (kp_claims_is_free(claims, n) && graph->nodes[n].name[0])
      names[count++] = (named){graph->nodes[n].name, n};
  if (count) qsort(names, count, sizeof *names, by_name);
  for (uint32_t i = 0; count && i < heard->count; ++i)
    refuse_line(names, count, heard->lines[i], claims);
  const bool lost = heard->count && !names;
  kp_free(names);
  kp_arena_free(&heard->arena);
  return lost ? KP_ERROR(OUT_OF_MEMORY, "reasons of %u nodes", graph->node_count) : NULL;
}
