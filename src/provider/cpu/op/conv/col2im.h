// Adding windows back into a picture: what Col2Im does, and the second half of ConvTranspose.
#ifndef KP_PROVIDER_CPU_OP_COL2IM_H_
#define KP_PROVIDER_CPU_OP_COL2IM_H_

#include "provider/cpu/op/conv/window.h"

// Adds |columns|, [window->kernel_count][window->out_count] elements, to the picture of window->in_count: the element of tap k at place
// o goes where tap k of the window at o lies; what lies outside is dropped.
typedef void (*kp_col2im_fn)(const kp_window* window, const void* columns, void* picture);
// NULL for types that cannot be added (texts).
kp_col2im_fn kp_col2im_of(kapell_type type);

#endif  // KP_PROVIDER_CPU_OP_COL2IM_H_
