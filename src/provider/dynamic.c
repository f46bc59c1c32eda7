// Providers that come and go while the program runs: those of registered libraries (plugin/). Neighbour: registry.c, which has those
// built in and known, and asks here first.
//
// Locks: |lock| guards both lists. A type's retain is called under it, so that a type cannot go between being found and being held.
#include "provider/dynamic.h"

#include <ctype.h>
#include <pthread.h>
#include <strings.h>

#include "base/alloc.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const kp_provider_type** types;
static size_t type_count;
static char** texts;  // of kp_provider_text; few, and never freed
static size_t text_count;

const char* kp_provider_text(const char* text) {
  const char* found = NULL;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < text_count && !found; ++i)
    if (strcmp(texts[i], text) == 0) found = texts[i];
  char** grown = found ? NULL : kp_realloc_array(texts, text_count + 1, sizeof(*texts));
  if (grown) {
    texts = grown;
    found = texts[text_count] = kp_strdup(text);
    if (found) ++text_count;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static bool same(kp_str name, const char* text) {
  return strlen(text) == name.length && strncasecmp(name.data, text, name.length) == 0;
}

// With |lock|.
static const kp_provider_type* look_up(kp_str name) {
  for (size_t i = 0; i < type_count; ++i)
    if (same(name, types[i]->name) || same(name, types[i]->short_name)) return types[i];
  return NULL;
}

// Neither the grammar of lists (plan/chain.h) nor keys like "NAME.key" could carry other names.
static kp_status* check_name(const char* name) {
  const size_t length = strlen(name), bad = strcspn(name, ",;?:<>=%\"'\\");
  bool odd =
      length == 0 || isspace((unsigned char)name[0]) || isspace((unsigned char)name[length - 1]);
  for (size_t i = 0; i < length; ++i) odd = odd || (unsigned char)name[i] < 0x20;
  if (!odd && bad == length && length <= 256) return NULL;
  return kp_status_hint(
      KP_ERROR(INVALID_ARGUMENT,
               "a provider cannot be called '%s': lists of providers could not carry that name",
               name),
      "use letters, digits, '.', '-' and '_'; some libraries take the name that they are "
      "registered under");
}

static kp_status* check_taken(const kp_provider_type* type) {
  const char* own = kp_provider_own(kp_str_of(type->name));
  const kp_provider_type* other = look_up(kp_str_of(type->name));
  if (!other) other = look_up(kp_str_of(type->short_name));
  if (!other && !(own && kp_provider_is_builtin(own))) return NULL;
  return kp_status_hint(
      KP_ERROR(INVALID_ARGUMENT, "there is a provider called '%s' already", type->name), "%s",
      other ? "unregister the library that it comes from first"
            : "it is built in; register the library under another name");
}

kp_status* kp_provider_add(const kp_provider_type* type) {
  KP_PASS(check_name(type->name));
  pthread_mutex_lock(&lock);
  kp_status* status = check_taken(type);
  const kp_provider_type** grown =
      status ? NULL : kp_realloc_array(types, type_count + 1, sizeof(*types));
  if (!status && !grown) status = KP_ERROR(OUT_OF_MEMORY, "the provider '%s'", type->name);
  if (grown) {
    types = grown;
    types[type_count++] = type;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

void kp_provider_remove(const kp_provider_type* type) {
  pthread_mutex_lock(&lock);
  size_t at = 0;
  while (at < type_count && types[at] != type) ++at;
  if (at < type_count) {
    memmove(types + at, types + at + 1, (type_count - at - 1) * sizeof(*types));
    --type_count;
  }
  pthread_mutex_unlock(&lock);
}

const char* kp_dynamic_canonical(kp_str name) {
  pthread_mutex_lock(&lock);
  const kp_provider_type* type = look_up(name);
  const char* canonical = type ? type->name : NULL;
  pthread_mutex_unlock(&lock);
  return canonical;
}

const char* kp_dynamic_short(const char* canonical) {
  pthread_mutex_lock(&lock);
  const kp_provider_type* type = look_up(kp_str_of(canonical));
  const char* short_name = type ? type->short_name : NULL;
  pthread_mutex_unlock(&lock);
  return short_name;
}

const char* kp_dynamic_name(size_t index) {
  const char* name = NULL;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < type_count && !name; ++i)
    if (!kp_provider_has_row(types[i]->name) && index-- == 0) name = types[i]->name;
  pthread_mutex_unlock(&lock);
  return name;
}

const kp_provider_type* kp_dynamic_find(const char* canonical) {
  pthread_mutex_lock(&lock);
  const kp_provider_type* type = look_up(kp_str_of(canonical));
  if (type && type->retain) type->retain(type);
  pthread_mutex_unlock(&lock);
  return type;
}
