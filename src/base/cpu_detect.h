// What the processor and the operating system offer, without any mask. Only cpu.c calls this; use base/cpu.h.
#ifndef KP_BASE_CPU_DETECT_H_
#define KP_BASE_CPU_DETECT_H_

#include <stdint.h>

uint64_t kp_cpu_detect(void);  // KP_CPU_* bits whose registers the operating system saves

#endif  // KP_BASE_CPU_DETECT_H_
