// The engine of operators that move elements; see copy.h.
#include "provider/cpu/op/copy.h"

void kp_copy_init(kp_copy* copy, int32_t rank, const int64_t* dims, const int64_t* to,
                  const int64_t* from) {
  copy->rank = 0;
  copy->count = 1;
  for (int32_t d = 0; d < rank; ++d) {
    copy->count *= (size_t)dims[d];
    if (dims[d] == 1) continue;
    const int32_t last = copy->rank - 1;
    if (last >= 0 && copy->to[last] == to[d] * dims[d] && copy->from[last] == from[d] * dims[d]) {
      copy->dims[last] *= dims[d];
      copy->to[last] = to[d];
      copy->from[last] = from[d];
    } else {
      copy->dims[last + 1] = dims[d];
      copy->to[last + 1] = to[d];
      copy->from[last + 1] = from[d];
      ++copy->rank;
    }
  }
}

typedef struct kp_copy_job {
  const kp_copy* copy;
  char* to;
  const char* from;
  size_t size;         // bytes of an element
  size_t rows, tasks;  // rows of the innermost dim
} kp_copy_job;

#define COPY_ROW(c_type)                                                       \
  do {                                                                         \
    c_type* t = (c_type*)(void*)to;                                            \
    const c_type* f = (const c_type*)(const void*)from;                        \
    for (int64_t i = 0; i < count; ++i) t[i * to_stride] = f[i * from_stride]; \
  } while (0)

static void copy_row(char* to, int64_t to_stride, const char* from, int64_t from_stride,
                     int64_t count, size_t size) {
  if (to_stride == 1 && from_stride == 1) {
    memcpy(to, from, (size_t)count * size);
    return;
  }
  switch (size) {
    case 1:
      COPY_ROW(uint8_t);
      break;
    case 2:
      COPY_ROW(uint16_t);
      break;
    case 4:
      COPY_ROW(uint32_t);
      break;
    case 8:
      COPY_ROW(uint64_t);
      break;
    default:
      for (int64_t i = 0; i < count; ++i)
        memcpy(to + i * to_stride * (int64_t)size, from + i * from_stride * (int64_t)size, size);
  }
}

// Steps |index| and both offsets to the next row, the innermost dim left out.
static void next_row(const kp_copy* copy, int64_t* index, int64_t* to, int64_t* from) {
  for (int32_t d = copy->rank - 2; d >= 0; --d) {
    *to += copy->to[d];
    *from += copy->from[d];
    if (++index[d] < copy->dims[d]) return;
    *to -= copy->to[d] * copy->dims[d];
    *from -= copy->from[d] * copy->dims[d];
    index[d] = 0;
  }
}

// Index and offsets of row |row|.
static void seek_row(const kp_copy* copy, size_t row, int64_t* index, int64_t* to, int64_t* from) {
  *to = *from = 0;
  for (int32_t d = copy->rank - 2; d >= 0; --d) {
    index[d] = (int64_t)(row % (size_t)copy->dims[d]);
    row /= (size_t)copy->dims[d];
    *to += index[d] * copy->to[d];
    *from += index[d] * copy->from[d];
  }
}

static void copy_task(void* arg, size_t task, int worker) {
  (void)worker;
  const kp_copy_job* job = arg;
  const kp_copy* copy = job->copy;
  const int32_t inner = copy->rank - 1;
  const int64_t size = (int64_t)job->size;
  int64_t index[KP_MAX_RANK], to, from;
  size_t first, last;
  kp_share(job->rows, job->tasks, task, &first, &last);
  seek_row(copy, first, index, &to, &from);
  for (size_t row = first; row < last; ++row) {
    copy_row(job->to + to * size, copy->to[inner], job->from + from * size, copy->from[inner],
             copy->dims[inner], job->size);
    next_row(copy, index, &to, &from);
  }
}

static kp_status* copy_strings(const kp_copy* copy, kapell_value* to, int64_t to_offset,
                               const kapell_value* from, int64_t from_offset) {
  const int64_t inner = copy->rank ? copy->dims[copy->rank - 1] : 1;
  const int64_t to_stride = copy->rank ? copy->to[copy->rank - 1] : 0,
                from_stride = copy->rank ? copy->from[copy->rank - 1] : 0;
  int64_t index[KP_MAX_RANK] = {0}, t = 0, f = 0;
  for (size_t row = 0; row < copy->count / (size_t)inner; ++row) {
    for (int64_t i = 0; i < inner; ++i) {
      const kp_str text = kp_value_string(from, (size_t)(from_offset + f + i * from_stride));
      KP_PASS(kp_value_set_string(to, (size_t)(to_offset + t + i * to_stride), text));
    }
    next_row(copy, index, &t, &f);
  }
  return NULL;
}

kp_status* kp_copy_run(const kp_copy* copy, kapell_value* to, int64_t to_offset,
                       const kapell_value* from, int64_t from_offset, int width) {
  if (!copy->count) return NULL;
  if (from->type == KAPELL_STRING) return copy_strings(copy, to, to_offset, from, from_offset);
  const size_t size = kp_type_bits(from->type) / 8;
  kp_copy_job job = {.copy = copy, .size = size};
  job.to = (char*)to->data + to_offset * (int64_t)size;
  job.from = (const char*)from->data + from_offset * (int64_t)size;
  if (!copy->rank) {
    memcpy(job.to, job.from, size);
    return NULL;
  }
  job.rows = copy->count / (size_t)copy->dims[copy->rank - 1];
  const int threads = kp_op_width(width, copy->count);
  job.tasks = kp_min_size((size_t)threads, job.rows);
  kp_parallel_for(threads, job.tasks, copy_task, &job);
  return NULL;
}

kp_status* kp_copy_elements(kapell_value* to, size_t to_offset, const kapell_value* from,
                            size_t from_offset, size_t count) {
  if (from->type == KAPELL_STRING) {
    for (size_t i = 0; i < count; ++i)
      KP_PASS(kp_value_set_string(to, to_offset + i, kp_value_string(from, from_offset + i)));
    return NULL;
  }
  const size_t bits = kp_type_bits(from->type);
  if (count)
    memcpy((char*)to->data + to_offset * bits / 8, (const char*)from->data + from_offset * bits / 8,
           (count * bits + 7) / 8);
  return NULL;
}
