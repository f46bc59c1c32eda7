// Every execution provider that ONNX Runtime has or had, and the plugins that people install beside it: what a user may write, and
// for those that this build lacks, why and what to do. A provider that is built in needs its row here too; its reason is then not used.
// The aliases, by spaces, are what people call it elsewhere (vendors' names, ONNX Runtime's build options, other runtimes).
//
// KP_KNOWN(canonical name, short name, aliases, reason, fix)
#define KP_PLUGIN(maker) maker " ships it as a plug-in library for ONNX Runtime, and none is loaded"
#define KP_OWN(engine) "Kapell has no provider for " engine " in this build"
#define KP_DROPPED "ONNX Runtime had it once and dropped it; Kapell has none"
#define KP_AS_OPTIONAL "leave it out of the list"
#define KP_LEAVE_OUT "leave it out of the list"
// clang-format off
KP_KNOWN("CPUExecutionProvider", "CPU", "", NULL, NULL)
KP_KNOWN("CUDAExecutionProvider", "CUDA", "", KP_OWN("CUDA"), KP_LEAVE_OUT)
KP_KNOWN("TensorrtExecutionProvider", "TensorRT", "trt tensor_rt", KP_OWN("TensorRT"), KP_LEAVE_OUT)
KP_KNOWN("NvTensorRTRTXExecutionProvider", "NvTensorRTRTX", "trtrtx trt_rtx tensorrtrtx tensorrt_rtx nv_tensorrt_rtx", KP_PLUGIN("NVIDIA"), KP_LEAVE_OUT)
KP_KNOWN("OpenVINOExecutionProvider", "OpenVINO", "ov open_vino", KP_PLUGIN("Intel"), KP_LEAVE_OUT)
KP_KNOWN("DnnlExecutionProvider", "Dnnl", "onednn mkldnn mkl-dnn", KP_OWN("oneDNN"), "use the CPU provider, which has kernels of its own")
KP_KNOWN("CoreMLExecutionProvider", "CoreML", "core_ml", "Core ML is part of macOS and iOS; this build is for neither", "run it on macOS or iOS with a build that has it")
KP_KNOWN("MLXExecutionProvider", "MLX", "", "MLX runs on Apple silicon only", KP_LEAVE_OUT)
KP_KNOWN("NnapiExecutionProvider", "NNAPI", "", "NNAPI is part of Android; this build is for another system", "run it on Android with a build that has it; newer phones do better with their maker's provider (QNN, ...)")
KP_KNOWN("QNNExecutionProvider", "QNN", "qualcomm", KP_PLUGIN("Qualcomm"), KP_LEAVE_OUT)
KP_KNOWN("SNPEExecutionProvider", "SNPE", "", "Qualcomm replaced SNPE by QNN; Kapell has no provider for it", "use QNN on Qualcomm's chips")
KP_KNOWN("WebGpuExecutionProvider", "WebGPU", "wgpu web_gpu", KP_PLUGIN("ONNX Runtime's project"), KP_LEAVE_OUT)
KP_KNOWN("DmlExecutionProvider", "DML", "directml", "DirectML is part of Windows; this build is for another system", "run it on Windows with a build that has it; on Linux a GPU is reached through CUDA, MIGraphX, OpenVINO or WebGPU")
KP_KNOWN("ROCMExecutionProvider", "ROCm", "hip", "ONNX Runtime dropped it in favour of MIGraphX; Kapell has none", "use MIGraphX for AMD's GPUs where it is available")
KP_KNOWN("MIGraphXExecutionProvider", "MIGraphX", "migx", KP_OWN("MIGraphX"), KP_LEAVE_OUT)
KP_KNOWN("VitisAIExecutionProvider", "VitisAI", "vitis vitis_ai ryzenai ryzen_ai xdna", KP_OWN("Vitis AI"), KP_LEAVE_OUT)
KP_KNOWN("XnnpackExecutionProvider", "XNNPACK", "", KP_OWN("XNNPACK"), "use the CPU provider, which has kernels of its own")
KP_KNOWN("ACLExecutionProvider", "ACL", "arm_compute arm_compute_library", KP_OWN("the Arm Compute Library"), "use the CPU provider, which has kernels of its own")
KP_KNOWN("ArmNNExecutionProvider", "ArmNN", "arm_nn", KP_DROPPED, "use the CPU provider, which has kernels of its own")
KP_KNOWN("AzureExecutionProvider", "Azure", "", "it sends a model's inputs to a remote service, which Kapell does not do", "call the service from the program itself")
KP_KNOWN("CANNExecutionProvider", "CANN", "ascend", KP_OWN("CANN"), KP_LEAVE_OUT)
KP_KNOWN("RknpuExecutionProvider", "RKNPU", "rknn", KP_OWN("Rockchip's NPU"), KP_LEAVE_OUT)
KP_KNOWN("VSINPUExecutionProvider", "VSINPU", "timvx tim-vx", KP_OWN("VeriSilicon's NPU"), KP_LEAVE_OUT)
KP_KNOWN("JsExecutionProvider", "JS", "jsep", "it is for ONNX Runtime in a browser; Kapell runs natively", "use WebGPU for a native program where it is available")
KP_KNOWN("WebNNExecutionProvider", "WebNN", "web_nn", "WebNN is an interface of browsers; Kapell runs natively", KP_LEAVE_OUT)
KP_KNOWN("GGMLExecutionProvider", "GGML", "ggonnx", KP_PLUGIN("its project"), KP_LEAVE_OUT)
KP_KNOWN("TvmExecutionProvider", "TVM", "stvm", KP_DROPPED, KP_LEAVE_OUT)
KP_KNOWN("NupharExecutionProvider", "Nuphar", "", KP_DROPPED, "use the CPU provider")
KP_KNOWN("NGRAPHExecutionProvider", "nGraph", "", KP_DROPPED, "use OpenVINO or the CPU provider")
// clang-format on
#undef KP_PLUGIN
#undef KP_OWN
#undef KP_DROPPED
#undef KP_LEAVE_OUT
#undef KP_KNOWN
