// ImageDecoder: pixels by image/, then the wanted channels. What is no picture gives an empty tensor, as the operator says.
#include "provider/cpu/image/image.h"
#include "provider/cpu/op/help.h"

// ITU-R BT.601's luma in 16-bit fixed point.
static uint8_t luma(const uint8_t* rgb) {
  return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

static kp_status* write_pixels(const kp_op_run* run, const kp_image* image) {
  const kp_str format = kp_node_attr_s(run->node, "pixel_format", "RGB");
  const bool gray = kp_str_is(format, "Grayscale"), bgr = kp_str_is(format, "BGR");
  const int64_t dims[3] = {(int64_t)image->height, (int64_t)image->width, gray ? 1 : 3};
  const size_t pixels = image->width * image->height;
  kapell_value* y;
  KP_PASS(kp_op_output(run, 0, KAPELL_UINT8, dims, 3, &y));
  uint8_t* out = y->data;
  if (pixels && !gray && !bgr) memcpy(out, image->rgb, pixels * 3);
  for (size_t i = 0; gray && i < pixels; ++i) out[i] = luma(image->rgb + i * 3);
  for (size_t i = 0; bgr && i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c) out[i * 3 + c] = image->rgb[i * 3 + 2 - c];
  return NULL;
}

static kp_status* decoder_run(const kp_op_run* run) {
  const kapell_value* x = run->inputs[0];
  kp_image image = {0};
  kp_status* status = kp_image_decode(x->data, x->byte_count, &image);
  if (!status) status = write_pixels(run, &image);
  kp_free(image.rgb);
  return status;
}

static kp_reason decoder_supports(const kp_op_query* query) {
  const kp_str format = kp_node_attr_s(query->node, "pixel_format", "RGB");
  KP_REQUIRE(query,
             kp_str_is(format, "RGB") || kp_str_is(format, "BGR") || kp_str_is(format, "Grayscale"),
             "pixel_format '%.*s'; the operator has RGB, BGR and Grayscale", KP_STR_ARG(format));
  return KP_SUPPORTED;
}

// clang-format off
static const kp_op_def ops[] = {  // spec: ONNX operator ImageDecoder-20
    {.name = "ImageDecoder", .since = 20, .types = KP_M(UINT8), .supports = decoder_supports, .run = decoder_run},
};
// clang-format on
KP_OP_TABLE(image_decoder);
