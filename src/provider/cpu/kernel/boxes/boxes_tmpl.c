// Boxes that cover each other, per instruction set. Most pairs share nothing: the division waits until one of a vector does.
#include "provider/cpu/kernel/boxes/boxes.h"

#include "provider/cpu/simd/f32.h"

// What two spans [low, high) share; not positive where they do not.
KP_INLINE kp_vf shared_span(kp_vf low, kp_vf high, const float* lows, const float* highs,
                            size_t n) {
  return kp_vf_sub(kp_vf_min(high, kp_vf_load_upto(highs, n)),
                   kp_vf_max(low, kp_vf_load_upto(lows, n)));
}

static bool boxes_covered(const float* columns, size_t stride, size_t count, const kp_box* box,
                          float limit) {
  const float *left = columns, *top = left + stride, *right = top + stride,
              *bottom = right + stride, *area = bottom + stride;
  const kp_vf zero = kp_vf_zero(), own = kp_vf_set1(box->area), most = kp_vf_set1(limit);
  const kp_vf own_left = kp_vf_set1(box->left), own_right = kp_vf_set1(box->right),
              own_top = kp_vf_set1(box->top), own_bottom = kp_vf_set1(box->bottom);
  if (!(box->area > 0)) return false;
  for (size_t i = 0; i < count; i += KP_VF_LANES) {
    const size_t n = count - i;
    const kp_vf w = shared_span(own_left, own_right, left + i, right + i, n);
    const kp_vf h = shared_span(own_top, own_bottom, top + i, bottom + i, n);
    kp_vm hit = kp_vm_and(kp_vf_gt(w, zero), kp_vf_gt(h, zero));
    if (!kp_vm_any(hit)) continue;
    // Lanes past the last box are boxes without an area.
    const kp_vf other = kp_vf_load_upto(area + i, n), shared = kp_vf_mul(w, h);
    const kp_vf all = kp_vf_sub(kp_vf_add(own, other), shared);
    hit = kp_vm_and(hit, kp_vm_and(kp_vf_gt(shared, zero), kp_vf_gt(other, zero)));
    hit = kp_vm_and(hit, kp_vm_and(kp_vf_gt(all, zero), kp_vf_gt(kp_vf_div(shared, all), most)));
    if (kp_vm_any(hit)) return true;
  }
  return false;
}

const kp_boxes_ops KP_ISA_NAME(kp_boxes) = {.isa = KP_ISA_STRING, .covered = boxes_covered};
