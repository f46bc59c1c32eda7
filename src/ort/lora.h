// LoRA adapters: named tensors of a file, given to runs as further inputs.
#ifndef KP_ORT_LORA_H_
#define KP_ORT_LORA_H_

#include "ort/value.h"

struct OrtLoraAdapter {
  char** names;
  OrtValue** values;  // parallel; owned
  size_t count;
};

#endif  // KP_ORT_LORA_H_
