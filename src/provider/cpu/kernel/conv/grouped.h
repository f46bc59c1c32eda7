// Grouped convolution over blocks of output channels: what packing, cutting into tasks and the kernel agree on. Private to conv/.
//
// A block is what the kernel computes at a time for a run of pixels: |width| output channels, a vector or two, of one group, or of
// several whole groups where they are narrower than a vector. Weights of a block are [taps][depth][width] over the |depth| input
// channels of its groups, zero where an input is not of the output's group and past the last channel.
#ifndef KP_PROVIDER_CPU_KERNEL_CONV_GROUPED_H_
#define KP_PROVIDER_CPU_KERNEL_CONV_GROUPED_H_

#include "provider/cpu/kernel/conv/conv.h"

enum {
  KP_GROUPED_OUT_MAX = 16,    // output channels of a group; wider ones gain as matrix products
  KP_GROUPED_DEPTH_MAX = 64,  // input channels under a block
  KP_GROUPED_RUN = 8,         // most output pixels at a time
};

typedef struct kp_grouped_cut {
  size_t merged;     // groups of a block
  size_t per_group;  // blocks of a group; 1 where groups are merged
  size_t blocks;
  size_t depth, width;
} kp_grouped_cut;

static inline kp_grouped_cut kp_grouped_cut_of(size_t lanes, const kp_conv_shape* s) {
  const size_t in = s->in_c / s->groups, out = s->out_c / s->groups;
  const size_t fitting = out && out < lanes ? lanes / out : 1;
  kp_grouped_cut cut = {.merged = fitting < s->groups ? fitting : s->groups};
  cut.width = out <= lanes ? lanes : 2 * lanes;
  cut.per_group = (out + cut.width - 1) / cut.width;
  cut.blocks = (s->groups + cut.merged - 1) / cut.merged * cut.per_group;
  cut.depth = cut.merged * in;
  return cut;
}

// Output rows whose inputs a block gathers at once: a block's weights serve them all before the next block's are read.
static inline size_t kp_grouped_turn(const kp_conv_shape* s) {
  enum { PIXELS = 448 };
  const size_t rows = s->out_w < PIXELS ? PIXELS / s->out_w : 1;
  return rows < s->out_h ? rows : s->out_h;
}

// The gathered inputs of a turn: [rows][pixels][depth], zeros where they lie outside of the picture, and zeros behind the last row for
// the run that ends there.
typedef struct kp_grouped_window {
  size_t rows, pixels, floats;
} kp_grouped_window;

static inline kp_grouped_window kp_grouped_window_of(const kp_conv_shape* s,
                                                     const kp_grouped_cut* cut) {
  const size_t reach_w = (s->kernel_w - 1) * s->dilation_w,
               reach_h = (s->kernel_h - 1) * s->dilation_h;
  kp_grouped_window window = {.rows = (kp_grouped_turn(s) - 1) * s->stride_h + reach_h + 1,
                              .pixels = (s->out_w - 1) * s->stride_w + reach_w + 1};
  window.floats =
      (window.rows * window.pixels + KP_GROUPED_RUN * s->stride_w + reach_w) * cut->depth;
  return window;
}

// The channels of one block.
typedef struct kp_grouped_block {
  size_t groups, first_in, first_out, outs;
} kp_grouped_block;

static inline kp_grouped_block kp_grouped_block_at(const kp_conv_shape* s,
                                                   const kp_grouped_cut* cut, size_t index) {
  const size_t in = s->in_c / s->groups, out = s->out_c / s->groups;
  const size_t group = index / cut->per_group * cut->merged;
  const size_t within = index % cut->per_group * cut->width, rest = s->groups - group;
  kp_grouped_block block = {.groups = rest < cut->merged ? rest : cut->merged};
  block.first_in = group * in;
  block.first_out = group * out + within;
  block.outs = block.groups * out - within;
  if (block.outs > cut->width) block.outs = cut->width;
  return block;
}

#endif  // KP_PROVIDER_CPU_KERNEL_CONV_GROUPED_H_
