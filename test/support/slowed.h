// What a test may not ask of the process it runs in.
#ifndef KP_TEST_SUPPORT_SLOWED_H_
#define KP_TEST_SUPPORT_SLOWED_H_

#include "base/sanitize.h"

// Under an emulator (KAPELL_TEST_LAUNCHER): time, memory and threads of the process are the emulator's too.
#ifndef KP_EMULATED
#define KP_EMULATED 0
#endif
// Runs take many times what they take in a release.
#define KP_SLOWED (KP_ASAN || KP_TSAN || KP_MSAN || KP_EMULATED)

#endif  // KP_TEST_SUPPORT_SLOWED_H_
