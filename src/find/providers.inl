// Libraries that hold providers, and how people get them. Several rows for one provider: the first that is found is taken.
//
// KP_PROVIDER_LIBRARY(canonical name, file name, folder in the pip packages, pip package that is to be named for installing it or NULL,
// all pip packages that have it by spaces, libraries that it opens while running by spaces, where it exists: 'x' Linux x86-64, 'a' Linux
// AArch64)
// clang-format off
KP_PROVIDER_LIBRARY("CUDAExecutionProvider", "libonnxruntime_providers_cuda.so", "onnxruntime/capi", "onnxruntime-gpu", "onnxruntime-gpu onnxruntime-gpu-extended", "libcudnn.so.9", "x")
KP_PROVIDER_LIBRARY("CUDAExecutionProvider", "libonnxruntime_providers_cuda_plugin.so", "onnxruntime_ep_cuda", NULL, "", "libcudnn.so.9", "x")
KP_PROVIDER_LIBRARY("TensorrtExecutionProvider", "libonnxruntime_providers_tensorrt.so", "onnxruntime/capi", "onnxruntime-gpu", "onnxruntime-gpu onnxruntime-gpu-extended", "", "x")
KP_PROVIDER_LIBRARY("NvTensorRTRTXExecutionProvider", "libonnxruntime_providers_nv_tensorrt_rtx.so", "onnxruntime_ep_nv_tensorrt_rtx", "onnxruntime-ep-nv-tensorrt-rtx-cu13", "onnxruntime-ep-nv-tensorrt-rtx-cu13 onnxruntime-ep-nv-tensorrt-rtx-cu12", "", "x")
KP_PROVIDER_LIBRARY("OpenVINOExecutionProvider", "libonnxruntime_providers_openvino_plugin.so", "onnxruntime_ep_openvino", "onnxruntime-ep-openvino", "onnxruntime-ep-openvino", "libOpenCL.so.1 libze_loader.so.1", "x")
KP_PROVIDER_LIBRARY("OpenVINOExecutionProvider", "libonnxruntime_providers_openvino.so", "onnxruntime/capi", "onnxruntime-ep-openvino", "onnxruntime-openvino", "libOpenCL.so.1 libze_loader.so.1", "x")
KP_PROVIDER_LIBRARY("QNNExecutionProvider", "libonnxruntime_providers_qnn.so", "onnxruntime_qnn", "onnxruntime-qnn", "onnxruntime-qnn", "", "xa")
KP_PROVIDER_LIBRARY("WebGpuExecutionProvider", "libonnxruntime_providers_webgpu.so", "onnxruntime_ep_webgpu", "onnxruntime-ep-webgpu", "onnxruntime-ep-webgpu", "libvulkan.so.1", "xa")
KP_PROVIDER_LIBRARY("GGMLExecutionProvider", "libonnxruntime_ggml.so", "onnxruntime_ggml/lib", "onnxruntime-ggml", "onnxruntime-ggml", "", "xa")
KP_PROVIDER_LIBRARY("MIGraphXExecutionProvider", "libonnxruntime_providers_migraphx.so", "onnxruntime/capi", "onnxruntime-migraphx", "onnxruntime-migraphx onnxruntime-rocm", "", "x")
KP_PROVIDER_LIBRARY("ROCMExecutionProvider", "libonnxruntime_providers_rocm.so", "onnxruntime/capi", NULL, "onnxruntime-rocm", "", "")
KP_PROVIDER_LIBRARY("DnnlExecutionProvider", "libonnxruntime_providers_dnnl.so", "onnxruntime/capi", NULL, "", "", "")
KP_PROVIDER_LIBRARY("CANNExecutionProvider", "libonnxruntime_providers_cann.so", "onnxruntime/capi", "onnxruntime-cann", "onnxruntime-cann", "", "xa")
KP_PROVIDER_LIBRARY("VitisAIExecutionProvider", "libonnxruntime_providers_vitisai.so", "onnxruntime/capi", NULL, "", "", "")
// clang-format on
#undef KP_PROVIDER_LIBRARY
