// Pictures as model inputs: PNG by libpng, JPEG by libjpeg, then channels, size and range as a short text says.
//
// The text (option --image, else the model's metadata "image") has parts separated by semicolons:
//   gray | rgb | bgr            channels (default: by the input's channel count, 1 = gray, 3 = rgb)
//   resize=area | bilinear      to the input's height and width: area averages the pixels that each output pixel covers; bilinear as
//                               with half-pixel centres (default area)
//   range=A..B                  0..255 becomes A..B (default 0..1)
//   mean=R,G,B  std=R,G,B       subtracted and divided by, after the range
// The input is [N,C,H,W] or [N,H,W,C] (the dim that is 1 or 3 is C), N = 1; symbolic H and W take the picture's own size.
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#ifdef KAPELL_HAVE_PNG
#include <png.h>
#endif
#ifdef KAPELL_HAVE_JPEG
#include <jpeglib.h>
#endif

typedef struct picture {
  uint32_t width, height;
  uint8_t* rgb;  // 3 bytes a pixel; owned
} picture;

static bool fail(const char* path, const char* why) {
  fprintf(stderr, "%s: the picture cannot be read: %s\n", path, why);
  return false;
}

#define MOST_PIXELS (1u << 28)

static bool decode_png(const char* path, const char* bytes, size_t size, picture* out) {
#ifdef KAPELL_HAVE_PNG
  png_image image;
  memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&image, bytes, size)) return fail(path, image.message);
  image.format = PNG_FORMAT_RGB;
  out->width = image.width;
  out->height = image.height;
  const bool fits = image.width && image.height && image.width <= MOST_PIXELS / image.height;
  out->rgb = fits ? malloc(PNG_IMAGE_SIZE(image)) : NULL;
  png_color white = {255, 255, 255};
  if (!out->rgb || !png_image_finish_read(&image, &white, out->rgb, 0, NULL)) {
    fail(path, fits ? image.message : "it is too large");
    png_image_free(&image);
    return false;
  }
  return true;
#else
  (void)bytes, (void)size, (void)out;
  return fail(path, "this kapell was built without libpng (libpng-dev)");
#endif
}

#ifdef KAPELL_HAVE_JPEG
typedef struct jpeg_failure {
  struct jpeg_error_mgr manager;
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
} jpeg_failure;

static void jpeg_fail(j_common_ptr info) {
  jpeg_failure* failure = (jpeg_failure*)(void*)info->err;
  info->err->format_message(info, failure->text);
  longjmp(failure->jump, 1);
}

static void read_jpeg_lines(struct jpeg_decompress_struct* info, uint8_t* rgb) {
  while (info->output_scanline < info->output_height) {
    JSAMPROW row = rgb + (size_t)info->output_scanline * info->output_width * 3;
    jpeg_read_scanlines(info, &row, 1);
  }
}
#endif

static bool decode_jpeg(const char* path, const char* bytes, size_t size, picture* out) {
#ifdef KAPELL_HAVE_JPEG
  struct jpeg_decompress_struct info;
  jpeg_failure failure;
  info.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = jpeg_fail;
  if (setjmp(failure.jump)) {
    jpeg_destroy_decompress(&info);
    return fail(path, failure.text);
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, (const unsigned char*)bytes, (unsigned long)size);
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&info);
  out->width = info.output_width;
  out->height = info.output_height;
  if (out->width > 0 && out->height > 0 && out->width <= MOST_PIXELS / out->height)
    out->rgb = malloc((size_t)out->width * out->height * 3);
  if (out->rgb) {
    read_jpeg_lines(&info, out->rgb);
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
  return out->rgb ? true : fail(path, "it is too large");
#else
  (void)bytes, (void)size, (void)out;
  return fail(path, "this kapell was built without libjpeg (libjpeg62-turbo-dev)");
#endif
}

// --- how ---------------------------------------------------------------------------------------------------------------------
typedef struct recipe {
  bool gray, bgr, bilinear, channels_last;
  double low, high, mean[3], std[3];
  uint32_t channels, height, width;
} recipe;

static bool three(const char* text, double* out) {
  const int n = sscanf(text, "%lf,%lf,%lf", &out[0], &out[1], &out[2]);
  if (n == 1) out[1] = out[2] = out[0];
  return n == 1 || n == 3;
}

// "A..B"; the dots are looked for first, because "0." is a number too.
static bool read_range(const char* text, recipe* r) {
  const char* dots = strstr(text, "..");
  char low[32], *end;
  if (!dots || dots == text || (size_t)(dots - text) >= sizeof(low)) return false;
  snprintf(low, sizeof(low), "%.*s", (int)(dots - text), text);
  r->low = strtod(low, &end);
  if (*end) return false;
  r->high = strtod(dots + 2, &end);
  return !*end && end != dots + 2;
}

static bool read_part(const char* part, recipe* r) {
  if (!*part || !strcmp(part, "rgb")) return true;
  if (!strcmp(part, "gray")) return r->gray = true;
  if (!strcmp(part, "bgr")) return r->bgr = true;
  if (!strcmp(part, "resize=area")) return true;
  if (!strcmp(part, "resize=bilinear")) return r->bilinear = true;
  if (!strncmp(part, "range=", 6)) return read_range(part + 6, r);
  if (!strncmp(part, "mean=", 5)) return three(part + 5, r->mean);
  if (!strncmp(part, "std=", 4))
    return three(part + 4, r->std) && r->std[0] != 0 && r->std[1] != 0 && r->std[2] != 0;
  return false;
}

static bool read_recipe(const char* how, recipe* r) {
  char* copy = strdup(how ? how : "");
  char* rest = copy;
  bool fine = copy != NULL;
  for (char* part; fine && (part = strsep(&rest, ";")) != NULL;) {
    part += strspn(part, " ");
    size_t length = strlen(part);
    while (length && part[length - 1] == ' ') part[--length] = 0;
    if (read_part(part, r)) continue;
    fprintf(stderr,
            "--image: '%s' is not understood; parts are gray, rgb, bgr, resize=area|bilinear, "
            "range=A..B, mean=, std=\n",
            part);
    fine = false;
  }
  free(copy);
  return fine;
}

// Channels, height and width that the input wants; 0 = the picture's own.
static bool read_type(const char* path, const kapell_type_info* type, const picture* p, recipe* r) {
  if (type->kind != KAPELL_KIND_TENSOR || type->element != KAPELL_FLOAT || type->rank != 4)
    return fail(path, "the input is not float32 of rank 4");
  const int64_t* d = type->dims;
  r->channels_last = (d[3] == 1 || d[3] == 3) && d[1] != 1 && d[1] != 3;
  const int64_t c = r->channels_last ? d[3] : d[1], h = d[r->channels_last ? 1 : 2],
                w = d[r->channels_last ? 2 : 3];
  if (c != 1 && c != 3 && c >= 0) return fail(path, "the input has neither 1 nor 3 channels");
  if (h == 0 || w == 0 || h > 1 << 15 || w > 1 << 15)
    return fail(path, "the input's height or width is out of range");
  r->channels = c > 0 ? (uint32_t)c : r->gray ? 1 : 3;
  r->gray = r->channels == 1;
  r->height = h > 0 ? (uint32_t)h : p->height;
  r->width = w > 0 ? (uint32_t)w : p->width;
  return true;
}

// --- pixels --------------------------------------------------------------------------------------------------------------------
// Channel |c| of pixel (x, y), 0..255. Gray is ITU-R BT.601's luma.
static double pixel(const picture* p, const recipe* r, uint32_t x, uint32_t y, uint32_t c) {
  const uint8_t* at = p->rgb + ((size_t)y * p->width + x) * 3;
  if (r->gray) return 0.299 * at[0] + 0.587 * at[1] + 0.114 * at[2];
  return at[r->bgr ? 2 - c : c];
}

// Average over the area of the picture that output pixel (x, y) covers.
static double area(const picture* p, const recipe* r, uint32_t x, uint32_t y, uint32_t c) {
  const double sx = (double)p->width / r->width, sy = (double)p->height / r->height;
  const double x0 = x * sx, x1 = x0 + sx, y0 = y * sy, y1 = y0 + sy;
  double sum = 0;
  for (uint32_t py = (uint32_t)y0; py < p->height && py < y1; ++py) {
    const double wy = fmin(y1, py + 1.0) - fmax(y0, py);
    for (uint32_t px = (uint32_t)x0; px < p->width && px < x1; ++px)
      sum += wy * (fmin(x1, px + 1.0) - fmax(x0, px)) * pixel(p, r, px, py, c);
  }
  return sum / (sx * sy);
}

static double bilinear(const picture* p, const recipe* r, uint32_t x, uint32_t y, uint32_t c) {
  const double fx = fmin(fmax((x + 0.5) * p->width / r->width - 0.5, 0), p->width - 1.0);
  const double fy = fmin(fmax((y + 0.5) * p->height / r->height - 0.5, 0), p->height - 1.0);
  const uint32_t x0 = (uint32_t)fx, y0 = (uint32_t)fy;
  const uint32_t x1 = x0 + 1 < p->width ? x0 + 1 : x0, y1 = y0 + 1 < p->height ? y0 + 1 : y0;
  const double tx = fx - x0, ty = fy - y0;
  return (1 - ty) * ((1 - tx) * pixel(p, r, x0, y0, c) + tx * pixel(p, r, x1, y0, c)) +
         ty * ((1 - tx) * pixel(p, r, x0, y1, c) + tx * pixel(p, r, x1, y1, c));
}

static kapell_value* to_tensor(const picture* p, const recipe* r) {
  const int64_t first[4] = {1, r->channels, r->height, r->width},
                last[4] = {1, r->height, r->width, r->channels};
  kapell_value* value = NULL;
  kapell_status* status =
      kapell_tensor_create(KAPELL_FLOAT, r->channels_last ? last : first, 4, &value);
  if (status) {
    cli_print_status(status);
    return NULL;
  }
  float* out = kapell_tensor_data(value);
  for (uint32_t c = 0; c < r->channels; ++c) {
    for (uint32_t y = 0; y < r->height; ++y) {
      for (uint32_t x = 0; x < r->width; ++x) {
        const double raw = r->bilinear ? bilinear(p, r, x, y, c) : area(p, r, x, y, c);
        const double number = (r->low + raw / 255 * (r->high - r->low) - r->mean[c]) / r->std[c];
        const size_t at = r->channels_last ? ((size_t)y * r->width + x) * r->channels + c
                                           : ((size_t)c * r->height + y) * r->width + x;
        out[at] = (float)number;
      }
    }
  }
  return value;
}

kapell_value* picture_read(const char* path, const char* bytes, size_t size,
                           const kapell_type_info* type, const char* how) {
  picture p = {0};
  recipe r = {.high = 1, .std = {1, 1, 1}};
  const bool png = size > 8 && memcmp(bytes, "\x89PNG", 4) == 0;
  kapell_value* value = NULL;
  if (read_recipe(how, &r) &&
      (png ? decode_png(path, bytes, size, &p) : decode_jpeg(path, bytes, size, &p)) &&
      read_type(path, type, &p, &r))
    value = to_tensor(&p, &r);
  free(p.rgb);
  return value;
}
