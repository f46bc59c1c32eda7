// "Did you mean ...?": how far apart two names are. For messages only.
#ifndef KP_BASE_NEAREST_H_
#define KP_BASE_NEAREST_H_

#include "base/str.h"

#define KP_NEAREST_LENGTH 64  // longer names are compared by their first 64 bytes

// Edits (insert, delete, replace a byte, or swap two neighbours) that turn |a| into |b|; ASCII case is ignored.
size_t kp_str_distance(kp_str a, kp_str b);

// Follows the best of many candidates: start with KP_NEAREST_INIT, offer each, then read |best| (NULL: nothing near enough,
// which is more than a third of the name's length away).
typedef struct kp_nearest {
  kp_str name;
  const char* best;
  size_t distance;
} kp_nearest;
#define KP_NEAREST_INIT(wanted) ((kp_nearest){.name = (wanted), .distance = SIZE_MAX})
void kp_nearest_offer(kp_nearest* nearest, const char* candidate);

#endif  // KP_BASE_NEAREST_H_
