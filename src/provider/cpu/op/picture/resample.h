// Where Resize and Upsample read: for each place along one resized dim, the places of the input and their weights.
#ifndef KP_PROVIDER_CPU_OP_RESAMPLE_H_
#define KP_PROVIDER_CPU_OP_RESAMPLE_H_

#include "provider/cpu/op/help.h"

typedef enum kp_resample_mode { KP_NEAREST, KP_LINEAR, KP_CUBIC } kp_resample_mode;

typedef enum kp_coordinates {
  KP_HALF_PIXEL,
  KP_HALF_PIXEL_SYMMETRIC,
  KP_PYTORCH_HALF_PIXEL,
  KP_ALIGN_CORNERS,
  KP_ASYMMETRIC,
  KP_TF_HALF_PIXEL,
  KP_TF_CROP,
  KP_SIMPLE,  // before opset 11: asymmetric in f32; nearest rounds down when enlarging, up when shrinking
} kp_coordinates;

typedef enum kp_nearest_mode {
  KP_ROUND_PREFER_FLOOR,
  KP_ROUND_PREFER_CEIL,
  KP_FLOOR,
  KP_CEIL
} kp_nearest_mode;

// What a node's attributes say.
typedef struct kp_resample_rule {
  kp_resample_mode mode;
  kp_coordinates coordinates;
  kp_nearest_mode nearest;
  double cubic_a, extrapolation;
  bool exclude_outside, antialias;
} kp_resample_rule;

// One dim.
typedef struct kp_resample_axis {
  size_t in, out;
  double scale, start, end;  // |start|, |end|: the region of KP_TF_CROP
} kp_resample_axis;

// Reads the attributes. Errors: INVALID_MODEL naming the attribute.
KP_MUST_USE kp_status* kp_resample_read(const kp_node* node, kp_resample_rule* out_rule);

// Taps an output place has at most, whatever the exact scale that leads from |in| to |out| places.
size_t kp_resample_most_taps(const kp_resample_rule* rule, size_t in, size_t out);
// Taps at this very scale.
size_t kp_resample_taps(const kp_resample_rule* rule, const kp_resample_axis* axis);

// The taps of output place |place|: indices below axis->in and weights (nearest: one index, weight 1). False where the place lies
// outside of the region's picture and takes the extrapolation value.
bool kp_resample_place(const kp_resample_rule* rule, const kp_resample_axis* axis, size_t place,
                       size_t taps, size_t* index, double* weights);

#endif  // KP_PROVIDER_CPU_OP_RESAMPLE_H_
