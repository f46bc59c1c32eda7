// Types and values as text.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cli/cli.h"

void print_type(FILE* out, const kapell_type_info* type) {
  switch (type->kind) {
    case KAPELL_KIND_NONE:
      fputs("unknown", out);
      return;
    case KAPELL_KIND_SEQUENCE:
    case KAPELL_KIND_OPTIONAL:
      fputs(type->kind == KAPELL_KIND_SEQUENCE ? "sequence(" : "optional(", out);
      if (type->inner) print_type(out, type->inner);
      fputc(')', out);
      return;
    case KAPELL_KIND_MAP:
      fprintf(out, "map(%s, ", kapell_type_name(type->element));
      if (type->inner) print_type(out, type->inner);
      fputc(')', out);
      return;
    case KAPELL_KIND_SPARSE:
      fputs("sparse ", out);
      break;
    case KAPELL_KIND_TENSOR:
      break;
  }
  fputs(kapell_type_name(type->element), out);
  if (type->rank < 0) return;
  fputc('[', out);
  for (int32_t d = 0; d < type->rank; ++d) {
    if (d) fputc(',', out);
    if (type->dims[d] >= 0)
      fprintf(out, "%" PRId64, type->dims[d]);
    else
      fputs(type->symbols[d] ? type->symbols[d] : "?", out);
  }
  fputc(']', out);
}

void print_value_type(FILE* out, const kapell_value* value) {
  static const char* const kKinds[] = {"nothing", "", "sparse", "sequence", "map", "optional"};
  const kapell_kind kind = kapell_value_kind(value);
  if (kind != KAPELL_KIND_TENSOR) {
    fprintf(out, "%s of %zu", kKinds[kind], kapell_value_item_count(value));
    return;
  }
  fprintf(out, "%s[", kapell_type_name(kapell_value_type(value)));
  for (int32_t d = 0; d < kapell_tensor_rank(value); ++d)
    fprintf(out, "%s%" PRId64, d ? "," : "", kapell_tensor_dims(value)[d]);
  fputc(']', out);
}

static void print_number(FILE* out, const kapell_value* value, size_t index) {
  const double number = kapell_tensor_get_double(value, index);
  const kapell_type type = kapell_value_type(value);
  if (type == KAPELL_BOOL)
    fputs(number != 0 ? "true" : "false", out);
  else if (number == floor(number) && fabs(number) < 1e15)
    fprintf(out, "%.0f", number);
  else
    fprintf(out, "%.6g", number);
}

void print_value(FILE* out, const kapell_value* value, size_t most) {
  if (kapell_value_kind(value) != KAPELL_KIND_TENSOR) {
    for (size_t i = 0; i < kapell_value_item_count(value) && i < most; ++i) {
      fputs(i ? ", {" : "{", out);
      print_value(out, kapell_value_item(value, i), most);
      fputc('}', out);
    }
    return;
  }
  const size_t count = kapell_tensor_count(value);
  for (size_t i = 0; i < count && i < most; ++i) {
    if (i) fputs(", ", out);
    if (kapell_value_type(value) == KAPELL_STRING) {
      size_t length;
      const char* text = kapell_tensor_string(value, i, &length);
      fputc('"', out);
      for (size_t c = 0; c < length; ++c) fputc((unsigned char)text[c] < 32 ? '.' : text[c], out);
      fputc('"', out);
    } else {
      print_number(out, value, i);
    }
  }
  if (count > most) fprintf(out, ", ... (%zu in all)", count);
}
