// The engine of elementwise operators; see map.h.
#include "provider/cpu/op/map.h"

// Strides of |input| against the output's dims, right-aligned; 0 where it is repeated.
static void broadcast_strides(const kapell_value* input, const kapell_value* output,
                              int64_t* strides) {
  int64_t stride = 1;
  const int32_t lead = output->rank - input->rank;
  for (int32_t i = output->rank; i-- > 0;) {
    const int64_t dim = i >= lead ? input->dims[i - lead] : 1;
    strides[i] = dim == 1 ? 0 : stride;
    stride *= dim;
  }
}

// A map while it is made, with room for every rank.
typedef struct kp_map_draft {
  int32_t rank;
  uint32_t inputs;
  int64_t dims[KP_MAX_RANK + 2];
  int64_t strides[KP_MAP_INPUTS][KP_MAX_RANK + 2];
} kp_map_draft;

// True if dim |outer| and the dim |inner| behind it are one loop for every input.
static bool joins(const kp_map_draft* map, int32_t outer, int32_t inner) {
  for (uint32_t i = 0; i < map->inputs; ++i)
    if (map->strides[i][outer] != map->strides[i][inner] * map->dims[inner]) return false;
  return true;
}

static void move_dim(kp_map_draft* map, int32_t from, int32_t to) {
  map->dims[to] = map->dims[from];
  for (uint32_t i = 0; i < map->inputs; ++i) map->strides[i][to] = map->strides[i][from];
}

static void join_dims(kp_map_draft* map) {
  int32_t kept = 0;
  for (int32_t d = 0; d < map->rank; ++d) {
    if (map->dims[d] == 1) continue;
    if (kept && joins(map, kept - 1, d)) {
      const int64_t outer = map->dims[kept - 1];
      move_dim(map, d, kept - 1);
      map->dims[kept - 1] *= outer;
    } else {
      move_dim(map, d, kept++);
    }
  }
  map->rank = kept;
}

// Ones in front, so that there are always rows and columns.
static void fill_up(kp_map_draft* map) {
  while (map->rank < 2) {
    for (int32_t d = map->rank; d > 0; --d) move_dim(map, d - 1, d);
    map->dims[0] = 1;
    for (uint32_t i = 0; i < map->inputs; ++i) map->strides[i][0] = 0;
    ++map->rank;
  }
}

kp_status* kp_map_init(kp_map* map, kp_arena* arena, uint32_t count,
                       const kapell_value* const* inputs, const kapell_value* output) {
  kp_map_draft draft;
  draft.rank = output->rank;
  draft.inputs = count;
  for (int32_t d = 0; d < output->rank; ++d) draft.dims[d] = output->dims[d];
  for (uint32_t i = 0; i < count; ++i) broadcast_strides(inputs[i], output, draft.strides[i]);
  join_dims(&draft);
  fill_up(&draft);
  const size_t rank = (size_t)draft.rank;
  int64_t* room = kp_arena_new_array(arena, int64_t, rank * (count + 1));
  if (!room) return KP_ERROR(OUT_OF_MEMORY, "planning a node");
  map->rank = draft.rank;
  map->inputs = count;
  map->count = kp_value_count(output);
  for (uint32_t i = 0; i < count; ++i) map->strides[i] = room + rank * (i + 1);
  map->dims = room;
  for (size_t d = 0; d < rank; ++d) {
    room[d] = draft.dims[d];
    for (uint32_t i = 0; i < count; ++i) room[rank * (i + 1) + d] = draft.strides[i][d];
  }
  return NULL;
}

typedef struct kp_map_job {
  const kp_map* map;
  kp_map_fn fn;
  const void* context;
  const char* in[KP_MAP_INPUTS];
  const size_t* in_sizes;
  char* out;
  size_t out_size;
  size_t rows, cols;            // of the whole: rows of all outer dims together
  size_t tasks, tasks_per_row;  // tasks_per_row > 0: columns are split, else rows
} kp_map_job;

// Rows [first, last) that lie in one innermost pair of dims, columns [col, col + cols).
static void run_block(const kp_map_job* job, size_t first, size_t last, size_t col, size_t cols) {
  const kp_map* map = job->map;
  const int32_t inner = map->rank - 1, middle = map->rank - 2;
  kp_map_block block = {.rows = last - first, .cols = cols};
  for (uint32_t i = 0; i < map->inputs; ++i) {
    size_t rest = first, offset = 0;
    for (int32_t d = middle; d >= 0; --d) {
      offset += rest % (size_t)map->dims[d] * (size_t)map->strides[i][d];
      rest /= (size_t)map->dims[d];
    }
    offset += col * (size_t)map->strides[i][inner];
    block.in[i] = job->in[i] + offset * job->in_sizes[i];
    block.row[i] = (size_t)map->strides[i][middle];
    block.step[i] = (size_t)map->strides[i][inner];
  }
  block.out = job->out + (first * job->cols + col) * job->out_size;
  job->fn(job->context, &block);
}

static void run_rows(const kp_map_job* job, size_t first, size_t last) {
  const size_t period = (size_t)job->map->dims[job->map->rank - 2];
  while (first < last) {
    const size_t end = kp_min_size(last, (first / period + 1) * period);
    run_block(job, first, end, 0, job->cols);
    first = end;
  }
}

static void run_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_map_job* job = arg;
  size_t first, last;
  if (job->tasks_per_row) {
    const size_t row = task / job->tasks_per_row;
    kp_share(job->cols, job->tasks_per_row, task % job->tasks_per_row, &first, &last);
    if (first < last) run_block(job, row, row + 1, first, last - first);
  } else {
    kp_share(job->rows, job->tasks, task, &first, &last);
    run_rows(job, first, last);
  }
}

void kp_map_run(const kp_map* map, kp_map_fn fn, const void* context, const void* const* in,
                const size_t* in_sizes, void* out, size_t out_size, int width, size_t cost) {
  if (!map->count) return;
  kp_map_job job = {.map = map,
                    .fn = fn,
                    .context = context,
                    .in_sizes = in_sizes,
                    .out = out,
                    .out_size = out_size};
  for (uint32_t i = 0; i < map->inputs; ++i) job.in[i] = in[i];
  job.cols = (size_t)map->dims[map->rank - 1];
  job.rows = map->count / job.cols;
  const int threads = kp_op_width(width, map->count * cost);
  job.tasks = (size_t)threads;
  if (threads > 1 && job.rows < (size_t)threads) {
    job.tasks_per_row = (size_t)threads;
    job.tasks = job.rows * job.tasks_per_row;
  }
  kp_parallel_for(threads, job.tasks, run_task, &job);
}
