// How many threads this process should use: affinity, cpuset and CPU quota. Neighbours: pool.c.
//
// Files read, below |root|: proc/self/cgroup names the process's groups; sys/fs/cgroup/ holds them. In a container the named
// path may be missing there (the container's own group is mounted as the top): every level is tried up to the top.
// Source: Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/cpusets.rst, scheduler/sched-bwc.rst.
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"

#define PATH_BYTES 4608

// Reads a small file whole as text; false if there is none.
static bool read_text(const char* path, char* text, size_t size) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  size_t used = 0;
  for (ssize_t n; used + 1 < size && (n = read(file, text + used, size - 1 - used)) > 0;)
    used += (size_t)n;
  close(file);
  text[used] = 0;
  return used > 0;
}

// Threads for |quota| of every |period| microseconds, rounded up; 0 for no limit.
static int threads_of_quota(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return 0;
  const long long count = quota / period + (quota % period != 0);
  return count > KP_POOL_MAX_WIDTH ? KP_POOL_MAX_WIDTH : (int)count;
}

// "0-3,7" -> 5; 0 for what is no such list.
static int count_list(const char* text) {
  long count = 0;
  while (*text >= '0' && *text <= '9') {
    char* end;
    const long first = strtol(text, &end, 10);
    long last = first;
    if (*end == '-') last = strtol(end + 1, &end, 10);
    if (last < first || last > 1 << 20) return 0;
    count += last - first + 1;
    text = *end == ',' ? end + 1 : end;
  }
  return count > KP_POOL_MAX_WIDTH ? KP_POOL_MAX_WIDTH : (int)count;
}

static void take_less(int* width, int limit) {
  if (limit > 0 && limit < *width) *width = limit;
}

// What the group in folder |folder| states, both versions: the names of the files differ.
static void apply_group(const char* folder, int* width) {
  char path[PATH_BYTES], text[4096];
  long long quota = 0, period = 0;
  snprintf(path, sizeof path, "%s/cpu.max", folder);
  if (read_text(path, text, sizeof text) && sscanf(text, "%lld %lld", &quota, &period) == 2)
    take_less(width, threads_of_quota(quota, period));
  snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
  if (read_text(path, text, sizeof text) && sscanf(text, "%lld", &quota) == 1 && quota > 0) {
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (read_text(path, text, sizeof text) && sscanf(text, "%lld", &period) == 1)
      take_less(width, threads_of_quota(quota, period));
  }
  static const char* const sets[] = {"cpuset.cpus.effective", "cpuset.effective_cpus"};
  for (int i = 0; i < 2; ++i) {
    snprintf(path, sizeof path, "%s/%s", folder, sets[i]);
    if (read_text(path, text, sizeof text)) take_less(width, count_list(text));
  }
}

// Every level from |group| ("/a/b") up to the top of |mount|: a limit of any of them holds.
static void apply_levels(const char* mount, const char* group, int* width) {
  char folder[PATH_BYTES - 64];
  if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder) return;
  const size_t top = strlen(mount);
  for (;;) {
    apply_group(folder, width);
    char* const slash = strrchr(folder, '/');
    if (strlen(folder) <= top || !slash || slash < folder + top) return;
    *slash = 0;
  }
}

// One line of proc/self/cgroup: "0::/a/b" (version 2) or "4:cpu,cpuacct:/a/b" (version 1).
static void apply_line(const char* root, char* line, int* width) {
  char* const controllers = strchr(line, ':');
  char* const group = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!group) return;
  *group = 0;
  char mount[1024];
  const char* names[3] = {controllers + 1, "unified", NULL};
  if (!*names[0])
    names[0] =
        ".";  // version 2 is mounted as sys/fs/cgroup itself, beside version 1 as .../unified
  const bool is_cpu = *names[0] == '.' || strstr(names[0], "cpu");
  if (*names[0] != '.') names[1] = strstr(names[0], "cpuset") ? "cpuset" : "cpu";
  for (int i = 0; is_cpu && names[i]; ++i) {
    if (*names[i] == '.')
      snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
    else
      snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, names[i]);
    apply_levels(mount, group + 1, width);
  }
}

int kp_pool_width_under(const char* root, int processors) {
  char path[1024], text[8192];
  int width = processors < 1 ? 1 : processors > KP_POOL_MAX_WIDTH ? KP_POOL_MAX_WIDTH : processors;
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  if (!read_text(path, text, sizeof text)) return width;
  char* rest = text;
  for (char* line; (line = strsep(&rest, "\n"));) apply_line(root, line, &width);
  return width;
}

static int count_affinity(void) {
  cpu_set_t sets[16];  // 16,384 processors: the call refuses a mask smaller than the kernel's
  if (sched_getaffinity(0, sizeof sets, sets) == 0) return CPU_COUNT_S(sizeof sets, sets);
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

int kp_pool_default_width(void) { return kp_pool_width_under("", count_affinity()); }
