// Look-ups in the generated table of operators.
#include "graph/schema.h"

#include <pthread.h>

#include "base/size.h"

typedef struct param_row {
  uint16_t name, type, flags;  // flags: kp_param_option, plus PARAM_HETEROGENEOUS
} param_row;
typedef struct attr_row {
  uint16_t name;
  uint8_t type, required, fallback;
} attr_row;
typedef struct default_row {
  float f;
  int32_t i;
  uint16_t s;
} default_row;
typedef struct constraint_row {
  uint16_t name, set;
} constraint_row;
typedef struct type_set {
  uint32_t tensors, sequences, optionals, optional_sequences;
  uint16_t others;
} type_set;
#define PARAM_HETEROGENEOUS 4

#include "graph/schema_table.inl"

static const char* text_at(uint16_t offset) { return schema_text + offset; }

// strcmp with a view on the left. Names differ early: a call of the library would cost more.
static int compare_text(kp_str a, const char* b) {
  for (size_t i = 0; i < a.length; ++i) {
    const unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b[i];
    if (x != y || !y) return x < y ? -1 : 1;
  }
  return b[a.length] ? -1 : 0;
}

static kp_str plain_domain(kp_str domain) {
  return kp_str_is(domain, "ai.onnx") ? kp_str_of("") : domain;
}

// Index of the first row that does not stand before (domain, op, version).
static size_t lower_bound(kp_str domain, kp_str op, int64_t version) {
  size_t low = 0, high = KP_COUNT_OF(schema_rows);
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const kp_op_schema* row = &schema_rows[middle];
    int order = compare_text(domain, text_at(row->domain));
    if (order == 0) order = compare_text(op, text_at(row->name));
    if (order == 0) order = (version > row->since) - (version < row->since);
    if (order > 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool is_named(size_t index, kp_str domain, kp_str op) {
  return index < KP_COUNT_OF(schema_rows) &&
         kp_str_is(domain, text_at(schema_rows[index].domain)) &&
         kp_str_is(op, text_at(schema_rows[index].name));
}

const kp_op_schema* kp_schema_find(kp_str domain, kp_str op, int64_t version) {
  domain = plain_domain(domain);
  if (version < 1) return NULL;
  const size_t next = version == INT64_MAX ? lower_bound(domain, op, version)
                                           : lower_bound(domain, op, version + 1);
  return next > 0 && is_named(next - 1, domain, op) ? &schema_rows[next - 1] : NULL;
}

const kp_op_schema* kp_schema_any(kp_str domain, kp_str op) {
  domain = plain_domain(domain);
  const size_t first = lower_bound(domain, op, 0);
  return is_named(first, domain, op) ? &schema_rows[first] : NULL;
}

size_t kp_schema_count(void) { return KP_COUNT_OF(schema_rows); }
const kp_op_schema* kp_schema_at(size_t index) { return &schema_rows[index]; }

// Newest version of each domain, in the order of the rows; made at first use.
typedef struct domain_row {
  const char* domain;
  int64_t newest;
} domain_row;

#define MOST_DOMAINS 16

static domain_row domains[MOST_DOMAINS];
static size_t domain_count;
static pthread_once_t domains_once = PTHREAD_ONCE_INIT;

static void find_domains(void) {
  for (size_t i = 0; i < KP_COUNT_OF(schema_rows); ++i) {
    const char* domain = text_at(schema_rows[i].domain);
    if (i == 0 || schema_rows[i].domain != schema_rows[i - 1].domain) {
      if (domain_count == MOST_DOMAINS) return;
      domains[domain_count++] = (domain_row){domain, 0};
    }
    domain_row* row = &domains[domain_count - 1];
    row->newest = kp_max_i64(row->newest, schema_rows[i].since);
  }
}

int64_t kp_schema_newest(kp_str domain) {
  domain = plain_domain(domain);
  pthread_once(&domains_once, find_domains);
  for (size_t i = 0; i < domain_count; ++i)
    if (kp_str_is(domain, domains[i].domain)) return domains[i].newest;
  return 0;
}

const char* kp_schema_domain(const kp_op_schema* schema) { return text_at(schema->domain); }
const char* kp_schema_name(const kp_op_schema* schema) { return text_at(schema->name); }

static kp_param_schema param_at(size_t index) {
  const param_row* row = &schema_params[index];
  return (kp_param_schema){.name = text_at(row->name),
                           .type = text_at(row->type),
                           .option = (kp_param_option)(row->flags & ~PARAM_HETEROGENEOUS),
                           .homogeneous = !(row->flags & PARAM_HETEROGENEOUS)};
}

kp_param_schema kp_schema_input(const kp_op_schema* schema, uint32_t index) {
  return param_at(schema->first_input + (size_t)index);
}

kp_param_schema kp_schema_output(const kp_op_schema* schema, uint32_t index) {
  return param_at(schema->first_output + (size_t)index);
}

// |count| parameters from |first|; the last takes all that follow if it is variadic.
static bool param_of(uint16_t first, uint8_t count, uint32_t index, kp_param_schema* out_param) {
  if (count == 0) return false;
  const uint32_t place = index < count ? index : count - 1u;
  *out_param = param_at(first + (size_t)place);
  return place == index || out_param->option == KP_PARAM_VARIADIC;
}

bool kp_schema_input_of(const kp_op_schema* schema, uint32_t index, kp_param_schema* out_param) {
  return param_of(schema->first_input, schema->input_count, index, out_param);
}

bool kp_schema_output_of(const kp_op_schema* schema, uint32_t index, kp_param_schema* out_param) {
  return param_of(schema->first_output, schema->output_count, index, out_param);
}

kp_attr_schema kp_schema_attr(const kp_op_schema* schema, uint32_t index) {
  const attr_row* row = &schema_attrs[schema->first_attr + (size_t)index];
  kp_attr_schema attr = {.name = text_at(row->name),
                         .type = (kp_onnx_attr_type)row->type,
                         .required = row->required != 0,
                         .s = ""};
  if (!row->fallback) return attr;
  const default_row* fallback = &schema_defaults[row->fallback - 1];
  attr.has_default = true;
  attr.f = fallback->f;
  attr.i = fallback->i;
  attr.s = text_at(fallback->s);
  return attr;
}

bool kp_schema_find_attr(const kp_op_schema* schema, kp_str name, kp_attr_schema* out_attr) {
  for (uint32_t i = 0; i < schema->attr_count; ++i) {
    *out_attr = kp_schema_attr(schema, i);
    if (kp_str_is(name, out_attr->name)) return true;
  }
  return false;
}

kp_type_constraint kp_schema_constraint(const kp_op_schema* schema, uint32_t index) {
  const constraint_row* row = &schema_constraints[schema->first_constraint + (size_t)index];
  const type_set* set = &schema_sets[row->set];
  return (kp_type_constraint){.name = text_at(row->name),
                              .tensors = set->tensors,
                              .sequences = set->sequences,
                              .optionals = set->optionals,
                              .optional_sequences = set->optional_sequences,
                              .others = text_at(set->others)};
}

// Reads "tensor(float)": the only form of fixed types that the table has; another is handed on as text.
static kp_type_constraint single_type(const char* type) {
  static const char before[] = "tensor(";
  kp_type_constraint constraint = {.name = type, .others = ""};
  const size_t skip = sizeof before - 1, length = strlen(type);
  if (length > skip + 1 && memcmp(type, before, skip) == 0) {
    const kapell_type element = kp_type_parse((kp_str){type + skip, length - skip - 1});
    if (element != KAPELL_UNDEFINED) constraint.tensors = kp_type_mask(element);
  }
  if (constraint.tensors == 0) constraint.others = type;
  return constraint;
}

kp_type_constraint kp_schema_types(const kp_op_schema* schema, const char* type) {
  for (uint32_t i = 0; i < schema->constraint_count; ++i) {
    const kp_type_constraint constraint = kp_schema_constraint(schema, i);
    if (strcmp(constraint.name, type) == 0) return constraint;
  }
  return single_type(type);
}
