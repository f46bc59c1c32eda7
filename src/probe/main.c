// kapell-probe: loads a library that may crash, hang or end the process, so that the program that asks does not.
//
//   kapell-probe load [--first LIBRARY]... LIBRARY     loads it, and says how far it came
//   kapell-probe cuda LIBRARY                          the devices of NVIDIA's driver library
//
// The report goes to standard output: one JSON object a line, written before and after each step, so that the reader knows what was
// going on when it ends. What the library itself prints goes to standard error. Exit code 0: all steps were done.
#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ort/bridge.h"

static FILE* report;

__attribute__((visibility("default"))) void* Provider_GetHost(void);
void* Provider_GetHost(void) { return kp_ort_bridge_host(); }

// --- the report ---------------------------------------------------------------------------------------------------------------
static void put_text(const char* text) {
  fputc('"', report);
  for (const unsigned char* c = (const unsigned char*)text; *c; ++c)
    if (*c == '"' || *c == '\\')
      fprintf(report, "\\%c", *c);
    else if (*c < 0x20)
      fprintf(report, "\\u%04x", *c);
    else
      fputc(*c, report);
  fputc('"', report);
}

static void say(const char* event, const char* text) {
  fputs("{\"event\":", report);
  put_text(event);
  if (text) fputs(",\"text\":", report), put_text(text);
  fputs("}\n", report);
  fflush(report);
}

static int fail(const char* text) {
  say("failed", text ? text : "the linker gives no reason");
  return 1;
}

// --- loading --------------------------------------------------------------------------------------------------------------------
static int load(int argc, char** argv) {
  for (int i = 0; i + 2 < argc; i += 2) {
    say("first", argv[i + 1]);
    if (!dlopen(argv[i + 1], RTLD_LAZY | RTLD_GLOBAL)) return fail(dlerror());
  }
  const char* path = argv[argc - 1];
  say("load", path);
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return fail(dlerror());
  static const char* const entries[] = {"CreateEpFactories", "GetProvider"};
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; ++i)
    if (dlsym(library, entries[i])) say("entry", entries[i]);
  say("loaded", path);
  return 0;
}

// --- NVIDIA's driver ----------------------------------------------------------------------------------------------------------
typedef struct cuda_api {
  int (*init)(unsigned);
  int (*version)(int*);
  int (*count)(int*);
  int (*name)(char*, int, int);
  int (*memory)(size_t*, int);
  int (*place)(char*, int, int);
  int (*attribute)(int*, int, int);
} cuda_api;

typedef struct nvml_api {
  int (*init)(void);
  int (*version)(char*, unsigned);
  int (*handle)(const char*, void**);
  int (*index)(void*, unsigned*);
} nvml_api;

enum { CUDA_CAPABILITY_MAJOR = 75, CUDA_CAPABILITY_MINOR = 76 };

// A function's address as a pointer to it, which ISO C has no cast for.
static void find(void* library, const char* name, void* out_function) {
  void* address = dlsym(library, name);
  memcpy(out_function, &address, sizeof address);
}

static int cuda_reason(const char* what, int code) {
  static const struct {
    int code;
    const char* text;
  } known[] = {
      {3, "the driver is not initialised"},
      {34, "the driver library is a stand-in without a driver"},
      {100, "the driver sees no device (in a container: start it with the GPUs)"},
      {101, "invalid device"},
      {803,
       "the driver library and the kernel's module have different versions: restart, or reinstall "
       "the driver"},
      {804, "this library needs a newer driver than this GPU has"},
      {999,
       "the kernel's module does not answer (is it loaded? may this user open /dev/nvidia*?)"}};
  char text[256];
  snprintf(text, sizeof text, "%s: error %d", what, code);
  for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
    if (known[i].code == code)
      snprintf(text, sizeof text, "%s: error %d: %s", what, code, known[i].text);
  return fail(text);
}

static void say_device(const cuda_api* cuda, const nvml_api* nvml, int id) {
  char name[256] = "", place[64] = "";
  size_t memory = 0;
  int major = 0, minor = 0;
  void* handle = NULL;
  unsigned number = 0;
  cuda->name(name, sizeof name - 1, id);
  cuda->memory(&memory, id);
  if (cuda->place) cuda->place(place, sizeof place - 1, id);
  if (cuda->attribute) {
    cuda->attribute(&major, CUDA_CAPABILITY_MAJOR, id);
    cuda->attribute(&minor, CUDA_CAPABILITY_MINOR, id);
  }
  fprintf(report, "{\"event\":\"device\",\"id\":%d,\"memory\":%zu,\"name\":", id, memory);
  put_text(name);
  fputs(",\"place\":", report);
  put_text(place);
  fprintf(report, ",\"detail\":\"compute capability %d.%d", major, minor);
  if (nvml->handle && nvml->index && !nvml->handle(place, &handle) && !nvml->index(handle, &number))
    fprintf(report, "; number %u in nvidia-smi", number);
  fputs("\"}\n", report);
}

static int show_devices(const cuda_api* cuda, const nvml_api* nvml) {
  int version = 0, count = 0;
  const int ready = cuda->init(0);
  if (cuda->version && !cuda->version(&version) && version > 0) {
    char text[64];
    snprintf(text, sizeof text, "%d.%d", version / 1000, version % 1000 / 10);
    say("cuda", text);
  }
  if (ready) return cuda_reason("cuInit", ready);
  const int counted = cuda->count(&count);
  if (counted) return cuda_reason("cuDeviceGetCount", counted);
  for (int i = 0; i < count && i < 64; ++i) say_device(cuda, nvml, i);
  say("loaded", NULL);
  return 0;
}

static int probe_cuda(const char* path) {
  cuda_api cuda = {0};
  nvml_api nvml = {0};
  say("load", path);
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return fail(dlerror());
  find(library, "cuInit", &cuda.init);
  find(library, "cuDriverGetVersion", &cuda.version);
  find(library, "cuDeviceGetCount", &cuda.count);
  find(library, "cuDeviceGetName", &cuda.name);
  find(library, "cuDeviceTotalMem_v2", &cuda.memory);
  find(library, "cuDeviceGetPCIBusId", &cuda.place);
  find(library, "cuDeviceGetAttribute", &cuda.attribute);
  if (!cuda.init || !cuda.count || !cuda.name || !cuda.memory)
    return fail("it is no driver library of NVIDIA's: cuInit or its like is missing");
  void* management = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  char driver[128] = "";
  if (management) {
    find(management, "nvmlInit_v2", &nvml.init);
    find(management, "nvmlSystemGetDriverVersion", &nvml.version);
    if (nvml.init && !nvml.init()) {
      find(management, "nvmlDeviceGetHandleByPciBusId_v2", &nvml.handle);
      find(management, "nvmlDeviceGetIndex", &nvml.index);
      if (nvml.version && !nvml.version(driver, sizeof driver - 1)) say("driver", driver);
    }
  }
  say("devices", path);
  return show_devices(&cuda, &nvml);
}

// A crash is to end this process by its signal, whatever was inherited, and to leave no file behind.
static void be_fragile(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS, SIGPIPE};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; ++i) signal(signals[i], SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (chdir("/")) return;  // nothing is to be found in the caller's working folder
}

static int open_report(void) {
  const int descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 20);
  report = descriptor < 0 ? NULL : fdopen(descriptor, "w");
  if (!report) return 0;
  dup2(STDERR_FILENO, STDOUT_FILENO);  // libraries print what they like
  return 1;
}

int main(int argc, char** argv) {
  be_fragile();
  const int loads = argc >= 3 && argc % 2 == 1 && !strcmp(argv[1], "load");
  if (!loads && !(argc == 3 && !strcmp(argv[1], "cuda"))) {
    fprintf(stderr,
            "kapell-probe is run by libkapell: kapell-probe load [--first LIBRARY]... LIBRARY, or "
            "kapell-probe cuda LIBRARY\n");
    return 2;
  }
  if (!open_report()) return 2;
  const int code = loads ? load(argc - 2, argv + 2) : probe_cuda(argv[2]);
  fflush(report);
  _exit(code);  // destructors of what was loaded are not to run
}
