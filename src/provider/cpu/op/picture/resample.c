// The arithmetic of one resized dim; see resample.h. In double precision and in the order of the onnx package's reference, so that
// places that fall between two pixels fall to the same side.
#include "provider/cpu/op/picture/resample.h"

#include <math.h>

// --- attributes ------------------------------------------------------------------------------------------------------------------
typedef struct choice {
  const char* word;
  int value;
} choice;

static kp_status* read_choice(const kp_node* node, const char* name, const char* fallback,
                              const choice* choices, int* out) {
  const kp_str given = kp_node_attr_s(node, name, fallback);
  for (; choices->word; ++choices) {
    if (!kp_str_is(given, choices->word)) continue;
    *out = choices->value;
    return NULL;
  }
  return KP_ERROR(INVALID_MODEL, "attribute '%s' is '%.*s', which %s does not have", name,
                  KP_STR_ARG(given), node->op);
}

kp_status* kp_resample_read(const kp_node* node, kp_resample_rule* out_rule) {
  static const choice kModes[] = {{"nearest", KP_NEAREST},
                                  {"linear", KP_LINEAR},
                                  {"bilinear", KP_LINEAR},
                                  {"cubic", KP_CUBIC},
                                  {NULL, 0}};
  static const choice kCoordinates[] = {{"half_pixel", KP_HALF_PIXEL},
                                        {"half_pixel_symmetric", KP_HALF_PIXEL_SYMMETRIC},
                                        {"pytorch_half_pixel", KP_PYTORCH_HALF_PIXEL},
                                        {"align_corners", KP_ALIGN_CORNERS},
                                        {"asymmetric", KP_ASYMMETRIC},
                                        {"tf_half_pixel_for_nn", KP_TF_HALF_PIXEL},
                                        {"tf_crop_and_resize", KP_TF_CROP},
                                        {NULL, 0}};
  static const choice kNearest[] = {{"round_prefer_floor", KP_ROUND_PREFER_FLOOR},
                                    {"round_prefer_ceil", KP_ROUND_PREFER_CEIL},
                                    {"floor", KP_FLOOR},
                                    {"ceil", KP_CEIL},
                                    {NULL, 0}};
  int mode, coordinates, nearest;
  KP_PASS(read_choice(node, "mode", "nearest", kModes, &mode));
  KP_PASS(read_choice(node, "coordinate_transformation_mode", "half_pixel", kCoordinates,
                      &coordinates));
  KP_PASS(read_choice(node, "nearest_mode", "round_prefer_floor", kNearest, &nearest));
  *out_rule = (kp_resample_rule){
      .mode = (kp_resample_mode)mode,
      .coordinates = (kp_coordinates)coordinates,
      .nearest = (kp_nearest_mode)nearest,
      .cubic_a = (double)kp_node_attr_f(node, "cubic_coeff_a", -0.75f),
      .extrapolation = (double)kp_node_attr_f(node, "extrapolation_value", 0),
      .exclude_outside = kp_node_attr_i(node, "exclude_outside", 0) != 0,
      .antialias = mode != KP_NEAREST && kp_node_attr_i(node, "antialias", 0) != 0};
  if (node->version < 11) out_rule->coordinates = KP_SIMPLE;
  return NULL;
}

// --- taps --------------------------------------------------------------------------------------------------------------------------
// Half of the taps of a filter of |reach| input places, stretched when shrinking.
static size_t half_taps(double reach, double scale) {
  return (size_t)(ptrdiff_t)-floor(-reach / fmin(fmax(scale, 1e-9), 1));
}

size_t kp_resample_taps(const kp_resample_rule* rule, const kp_resample_axis* axis) {
  if (rule->mode == KP_NEAREST) return 1;
  const double reach = rule->mode == KP_LINEAR ? 1 : 2;
  return rule->antialias ? 2 * half_taps(reach, axis->scale) : (size_t)(2 * reach);
}

size_t kp_resample_most_taps(const kp_resample_rule* rule, size_t in, size_t out) {
  if (rule->mode == KP_NEAREST || !in || !out) return 1;
  const double reach = rule->mode == KP_LINEAR ? 1 : 2;
  if (!rule->antialias) return (size_t)(2 * reach);
  // A scale whose product with |in| was cut or rounded to |out| is above this one.
  return 2 * half_taps(reach, ((double)out - 0.5) / (double)in) + 2;
}

// --- coordinates -------------------------------------------------------------------------------------------------------------------
// The input's coordinate of output place |place|.
static double coordinate(const kp_resample_rule* rule, const kp_resample_axis* axis, size_t place) {
  const double in = (double)axis->in, width = axis->scale * in, x = (double)place;
  switch (rule->coordinates) {
    case KP_ALIGN_CORNERS:
      return width == 1 ? 0 : x * (in - 1) / (width - 1);
    case KP_ASYMMETRIC:
      return x / axis->scale;
    case KP_SIMPLE:
      return (double)((float)place / (float)axis->scale);
    case KP_TF_HALF_PIXEL:
      return (x + 0.5) / axis->scale;
    case KP_TF_CROP: {
      const double span = axis->end - axis->start;
      const double inside = width == 1 ? span * (in - 1) / 2 : x * span * (in - 1) / (width - 1);
      return inside + axis->start * (in - 1);
    }
    case KP_PYTORCH_HALF_PIXEL:
      return width == 1 ? 0 : (x + 0.5) / axis->scale - 0.5;
    case KP_HALF_PIXEL_SYMMETRIC: {
      const double offset = in / 2 * (1 - (double)axis->out / width);
      return offset + (x + 0.5) / axis->scale - 0.5;
    }
    default:
      return (x + 0.5) / axis->scale - 0.5;
  }
}

static size_t clamp_index(double index, size_t in) {
  if (!(index > 0)) return 0;
  return index < (double)in ? (size_t)index : in - 1;
}

static size_t nearest_index(const kp_resample_rule* rule, const kp_resample_axis* axis, double x) {
  if (rule->coordinates == KP_SIMPLE)
    return clamp_index(axis->scale < 1 ? ceil(x) : floor(x), axis->in);
  const double below = floor(x), part = x - below;
  bool up = false;
  switch (rule->nearest) {
    case KP_ROUND_PREFER_FLOOR:
      up = part > 0.5;
      break;
    case KP_ROUND_PREFER_CEIL:
      up = part >= 0.5;
      break;
    case KP_FLOOR:
      break;
    case KP_CEIL:
      up = part > 0;
      break;
  }
  return clamp_index(below + up, axis->in);
}

// --- weights -----------------------------------------------------------------------------------------------------------------------
static double cubic(double a, double x) {
  x = fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double linear(double x) { return fmax(1 - fabs(x), 0); }

// Weights of the |taps| places around one, of which the middle one on the left is |ratio| in (0, 1] away.
static void fill_weights(const kp_resample_rule* rule, double scale, double ratio, size_t taps,
                         double* weights) {
  const double stretch = rule->antialias ? fmin(scale, 1) : 1, first = 1 - (double)(taps / 2);
  double sum = 0;
  for (size_t k = 0; k < taps; ++k) {
    const double x = (first + (double)k - ratio) * stretch;
    weights[k] = rule->mode == KP_LINEAR ? linear(x) : cubic(rule->cubic_a, x);
    sum += weights[k];
  }
  if (!rule->antialias || sum == 0) return;
  for (size_t k = 0; k < taps; ++k) weights[k] /= sum;
}

static void leave_out(double first, size_t taps, size_t in, double* weights) {
  double sum = 0;
  for (size_t k = 0; k < taps; ++k) {
    const double at = first + (double)k;
    if (at < 0 || at >= (double)in) weights[k] = 0;
    sum += weights[k];
  }
  for (size_t k = 0; k < taps && sum != 0; ++k) weights[k] /= sum;
}

bool kp_resample_place(const kp_resample_rule* rule, const kp_resample_axis* axis, size_t place,
                       size_t taps, size_t* index, double* weights) {
  double x = coordinate(rule, axis, place);
  if (rule->coordinates == KP_TF_CROP && !(x >= 0 && x <= (double)axis->in - 1)) {
    for (size_t k = 0; k < taps; ++k) index[k] = 0, weights[k] = 0;
    return false;
  }
  if (rule->mode == KP_NEAREST) {
    index[0] = nearest_index(rule, axis, x);
    weights[0] = 1;
    return true;
  }
  // Far outside all taps read the same edge; a coordinate that is no number (a scale of 0) reads the first place.
  const double far = (double)axis->in + 2 * (double)taps;
  if (!(x > -far)) x = -far;
  if (x > far) x = far;
  const double below = floor(x), ratio = x == below ? 1 : x - below;
  const double half = (double)(taps / 2), padded = x + half;
  const double first = floor(padded) - (floor(padded) == padded ? half : half - 1) - half;
  fill_weights(rule, axis->scale, ratio, taps, weights);
  if (rule->exclude_outside) leave_out(first, taps, axis->in, weights);
  for (size_t k = 0; k < taps; ++k) index[k] = clamp_index(first + (double)k, axis->in);
  return true;
}
