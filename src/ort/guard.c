// Catching C++ exceptions without C++: a frame of ours has a personality routine of its own, to which every unwinder talks by the
// Itanium ABI. Asked in the first phase it says that it handles everything; called in the second, when the frames below have been cleaned
// up, it jumps back. libstdc++ is neither linked nor loaded: where it is there already it tells the exception's text.
#include "ort/guard.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

// The Itanium ABI's: what every unwinder agrees on.
#define SEARCH_PHASE 1
#define HANDLER_FRAME 4
#define FORCE_UNWIND 8
#define HANDLER_FOUND 6
#define CONTINUE_UNWIND 8
typedef struct unwind_exception {
  uint64_t exception_class;
  void (*cleanup)(int reason, struct unwind_exception* self);
  uint64_t private[2];
} unwind_exception;  // what was thrown lies behind it

typedef struct guard_frame {
  jmp_buf place;
  struct guard_frame* outer;
  unwind_exception* caught;
} guard_frame;

static _Thread_local guard_frame* innermost;

static int personality(int version, int actions, uint64_t exception_class,
                       unwind_exception* exception, void* context) {
  (void)version, (void)exception_class, (void)context;
  if (actions & FORCE_UNWIND) return CONTINUE_UNWIND;
  if (actions & SEARCH_PHASE) return HANDLER_FOUND;
  if (!(actions & HANDLER_FRAME)) return CONTINUE_UNWIND;
  innermost->caught = exception;
  _longjmp(innermost->place, 1);
}

// The assembler names it; a pointer, since the code may lie anywhere.
typedef int (*personality_fn)(int, int, uint64_t, unwind_exception*, void*);
__attribute__((visibility("hidden"), used)) personality_fn const kp_ort_guard_personality;
personality_fn const kp_ort_guard_personality = personality;

__attribute__((noinline)) static OrtStatus* call(OrtStatus* (*fn)(void* arg), void* arg) {
  __asm__ volatile(".cfi_personality 0x9b, kp_ort_guard_personality");
  OrtStatus* status = fn(arg);
  __asm__ volatile("" ::: "memory");  // no tail call: this frame has to be there
  return status;
}

// --- what was thrown -------------------------------------------------------------------------------------------------------------
typedef struct type_info {  // of libstdc++
  void** functions;
  const char* name;
} type_info;
#define DO_CATCH 4  // place among the virtual functions of std::type_info
#define WHAT 2      // and of std::exception

static void* find(void* library, const char* name) { return library ? dlsym(library, name) : NULL; }

// The text of |object|, thrown as |thrown|, if that is a std::exception.
static const char* text_of(void* library, type_info* thrown, void* object) {
  type_info* wanted = find(library, "_ZTISt9exception");
  if (!wanted) return NULL;
  bool (*do_catch)(const type_info* self, const type_info* thrown, void** object, unsigned outer);
  memcpy(&do_catch, &wanted->functions[DO_CATCH], sizeof do_catch);
  if (!do_catch(wanted, thrown, &object, 1)) return NULL;
  const char* (*what)(const void* self);
  memcpy(&what, &(*(void***)object)[WHAT], sizeof what);
  return what(object);
}

// Not one that was thrown again from a std::exception_ptr, which only points to it.
static bool is_primary(const unwind_exception* exception) {
  return (exception->exception_class & 0xff) == 0;
}

// Ends the exception by libstdc++'s own functions, which count those in flight.
static OrtStatus* explain_in(void* library, unwind_exception* exception) {
  void* (*begin)(void* exception);
  void (*end)(void);
  type_info* (*current)(void);
  void* symbols[] = {find(library, "__cxa_begin_catch"), find(library, "__cxa_end_catch"),
                     find(library, "__cxa_current_exception_type")};
  if (!symbols[0] || !symbols[1] || !symbols[2]) return NULL;
  memcpy(&begin, &symbols[0], sizeof begin);
  memcpy(&end, &symbols[1], sizeof end);
  memcpy(&current, &symbols[2], sizeof current);
  begin(exception);
  type_info* thrown = current();
  const char* text =
      thrown && is_primary(exception) ? text_of(library, thrown, exception + 1) : NULL;
  OrtStatus* status = text ? kp_ort_error(ORT_RUNTIME_EXCEPTION, "%s", text)
                           : kp_ort_error(ORT_RUNTIME_EXCEPTION, "an exception of type %s",
                                          thrown ? thrown->name : "?");
  end();
  return status;
}

static OrtStatus* explain(unwind_exception* exception) {
  static const char is_cpp[] = "GNUCC++";
  char name[8];
  for (int i = 0; i < 8; ++i) name[i] = (char)(exception->exception_class >> (56 - 8 * i));
  OrtStatus* status = NULL;
  if (memcmp(name, is_cpp, 7) == 0) {
    void* library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
    status = explain_in(library, exception);
    if (library) dlclose(library);
  }
  if (status) return status;
  if (exception->cleanup) exception->cleanup(1, exception);
  return kp_ort_error(ORT_RUNTIME_EXCEPTION, "an exception");
}

OrtStatus* kp_ort_guard(OrtStatus* (*fn)(void* arg), void* arg) {
  guard_frame frame;
  frame.outer = innermost;
  frame.caught = NULL;
  innermost = &frame;
  OrtStatus* status = _setjmp(frame.place) ? explain(frame.caught) : call(fn, arg);
  innermost = frame.outer;
  return status;
}
