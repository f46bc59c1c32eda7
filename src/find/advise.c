// Which command installs what is missing, on this system and into this Python environment.
#include <ctype.h>
#include <stdlib.h>

#include "base/size.h"
#include "find/find.h"

typedef struct library_row {
  const char *name, *pip, *apt, *dnf, *advice;
} library_row;

static const library_row rows[] = {
#define KP_LIBRARY(name, pip, apt, dnf, advice) {name, pip, apt, dnf, advice},
#include "find/libraries.inl"
};

// A '*' in |pattern| stands for any text.
static bool matches(const char* pattern, const char* name) {
  for (; *pattern && *pattern != '*'; ++pattern, ++name)
    if (*pattern != *name) return false;
  if (!*pattern) return !*name;
  do {
    if (matches(pattern + 1, name)) return true;
  } while (*name++);
  return false;
}

const char* kp_advise_pip(const kp_places* places, const char* requirements) {
  if (places->python && !places->managed)
    return kp_arena_printf(places->arena, "%s -m pip install %s", places->python, requirements);
  static const char* const first[] = {"", "apt-get install -y python3-venv && ",
                                      "dnf install -y python3 && "};
  const char* begin = places->python ? "" : first[places->manager];
  return kp_arena_printf(
      places->arena,
      "%s%spython3 -m venv ~/kapell-env && . ~/kapell-env/bin/activate && pip install %s",
      *begin && !places->administrator ? "sudo " : "", begin, requirements);
}

// "~nvidia-cublas-cu@" for CUDA 12: nvidia-cublas-cu12; for 13: nvidia-cublas.
static const char* package_for(const kp_places* places, const char* pattern, int cuda) {
  const bool bare = *pattern == '~' && cuda >= 13;
  pattern += *pattern == '~';
  const char* at = strchr(pattern, '@');
  if (!at) return pattern;
  if (bare) return kp_arena_strndup(places->arena, pattern, (size_t)(at - pattern) - strlen("-cu"));
  return kp_arena_printf(places->arena, "%.*s%d%s", (int)(at - pattern), pattern, cuda, at + 1);
}

// The number behind ".so.", "" where there is none.
static const char* major_of(const char* name) {
  const char* at = strstr(name, ".so.");
  return at && isdigit((unsigned char)at[4]) ? at + 4 : "";
}

static const char* advise_system(const kp_places* places, const library_row* row) {
  const bool apt = places->manager == KP_MANAGER_APT;
  const char* package = apt ? row->apt : places->manager == KP_MANAGER_DNF ? row->dnf : NULL;
  if (!package)
    return kp_arena_printf(places->arena, "install what has %s (Debian: %s; Fedora: %s)", row->name,
                           row->apt, row->dnf);
  return kp_arena_printf(places->arena, "%s%s install -y %s", places->administrator ? "" : "sudo ",
                         apt ? "apt-get" : "dnf", package);
}

// The package with the version that the library's name asks for.
static const char* require(const kp_places* places, const char* package, const char* name) {
  const char* major = major_of(name);
  if (!*major) return package;
  if (strcmp(package, "openvino") != 0 || strlen(major) < 4)
    return kp_arena_printf(places->arena, "'%s==%.*s.*'", package, (int)strcspn(major, "."), major);
  // OpenVINO's number counts releases: 2641 is 2026.4.1.
  return kp_arena_printf(places->arena, "'%s==20%.2s.%c.%s'", package, major, major[2], major + 3);
}

kp_advice kp_advise_library(const kp_places* places, const char* name, int cuda) {
  for (size_t i = 0; i < KP_COUNT_OF(rows); ++i) {
    if (!matches(rows[i].name, name)) continue;
    if (rows[i].apt) return (kp_advice){.fix = advise_system(places, &rows[i])};
    if (!rows[i].pip) return (kp_advice){.fix = rows[i].advice};
    kp_advice advice = {.package = package_for(places, rows[i].pip, cuda ? cuda : 13)};
    if (advice.package) advice.requirement = require(places, advice.package, name);
    if (advice.requirement) advice.fix = kp_advise_pip(places, advice.requirement);
    return advice;
  }
  return (kp_advice){0};
}

const char* kp_advise_version(const kp_places* places, const char* wants) {
  static const struct {
    double version;
    const char* systems;
  } glibc[] = {
      {2.28, "Debian 10, Ubuntu 18.10, RHEL 8"},   {2.31, "Debian 11, Ubuntu 20.04"},
      {2.34, "RHEL 9, Ubuntu 22.04, Debian 12"},   {2.35, "Ubuntu 22.04, Debian 12"},
      {2.36, "Debian 12, Ubuntu 23.04"},           {2.39, "Ubuntu 24.04, Debian 13, RHEL 10"},
      {2.41, "Debian 13, Ubuntu 25.04, Fedora 42"}};
  if (!strncmp(wants, "GLIBC_", 6)) {
    int64_t major = 0, minor = 0;
    const char* dot = strchr(wants, '.');
    kp_parse_i64((kp_str){wants + 6, dot ? (size_t)(dot - wants) - 6 : strlen(wants + 6)}, &major);
    if (dot) kp_parse_i64((kp_str){dot + 1, strcspn(dot + 1, ".")}, &minor);
    for (size_t i = 0; i < KP_COUNT_OF(glibc); ++i)
      if (major == 2 && (double)minor <= (glibc[i].version - 2) * 100 + 0.5)
        return kp_arena_printf(places->arena,
                               "use a newer system (%s), or an older version of the package",
                               glibc[i].systems);
    return "use a newer system, or an older version of the package";
  }
  if (!strncmp(wants, "GLIBCXX_", 8) || !strncmp(wants, "CXXABI_", 7))
    return "use a newer system, or an older version of the package; in a conda environment: conda "
           "install -c conda-forge libstdcxx-ng";
  return "install matching versions of both packages";
}
