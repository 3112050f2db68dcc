// A library as the compiler makes them, by hand: for x f32[n, m] and bias f32[m],
//   y[i, j] = scale * x[i, j] + bias[j]   f32[n, m]
//   sums[2 * i + k] = Σ_j y[i, j]         f32[2 * n], through the workspace
// with scale 2 from the weights. Compile with `cc -shared -fPIC`.
//
//   -DSIDECAR='"name"'  weights in that file instead of inside
//   -DIMPOSSIBLE        only the variant that no CPU can run
//   -DBAD_…             one thing wrong with the descriptor
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#include "tessera_plugin.h"

#ifdef IMPOSSIBLE
#define BASELINE_NOTE ""
#else
#define BASELINE_NOTE "variant baseline\\n"
#endif
#ifdef BAD_ABI
#define ABI_NOTE "abi 77\\n"
#else
#define ABI_NOTE "abi 2\\n"
#endif
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

#ifndef NO_NOTE
__asm__(
    ".pushsection .note.tessera,\"a\",%note\n"
    ".balign 4\n"
    ".long 8, 2f - 1f, 1\n"
    ".asciz \"Tessera\"\n"
    "1: .ascii \"" ABI_NOTE "variant dream dream_unit moon_lanes\\n" BASELINE_NOTE "hash " ZEROS "\\n\"\n"
    "2: .balign 4\n"
    ".popsection\n");
#endif

struct Loop {
  const float *x, *bias;
  float *y, *row_sums;
  float scale;
  int64_t m;
};

static void rows(void *context, int32_t worker, int64_t begin, int64_t end) {
  (void)worker;
  const struct Loop *loop = context;
  for (int64_t i = begin; i < end; i++) {
    float sum = 0;
    for (int64_t j = 0; j < loop->m; j++) {
      const float value = loop->scale * loop->x[i * loop->m + j] + loop->bias[j];
      loop->y[i * loop->m + j] = value;
      sum += value;
    }
    loop->row_sums[i] = sum;
  }
}

static int32_t affine_shape(const int64_t *symbols, int32_t workers, uint64_t *workspace_size, int64_t *dims) {
  (void)workers;
  if (symbols[0] == 13) return 1;
  *workspace_size = (uint64_t)symbols[0] * sizeof(float);
  dims[0] = symbols[0];
  dims[1] = symbols[1];
  dims[2] = 2 * symbols[0];
  return 0;
}

static int32_t affine_run(const TesseraCall *call) {
  const TesseraServices *services = call->services;
  const int64_t n = call->symbols[0];
  struct Loop loop = {call->inputs[0], call->inputs[1], call->outputs[0], call->workspace,
                      *(const float *)call->weights, call->symbols[1]};
  if (n > 0 && loop.m > 0 && loop.x[0] == 12345) return 2;
  if (services->mark) services->mark(services->host, 0);
  services->parallel_for(services->host, rows, &loop, n, 1);
  if (services->mark) services->mark(services->host, 1);
  for (int64_t i = 0; i < 2 * n; i++) ((float *)call->outputs[1])[i] = loop.row_sums[i / 2];
  if (services->mark) services->mark(services->host, -1);
  return 0;
}

static const int64_t x_dims[] = {-1, -2}, bias_dims[] = {-2}, sums_dims[] = {INT64_MIN};
static const char *const x_text[] = {"n", "m"}, *const bias_text[] = {"m"}, *const sums_text[] = {"2*n"};
#ifdef BAD_DIM
static const int64_t bad_dims[] = {-1, -9};
#define x_dims bad_dims
#endif
#ifdef BAD_ELEMENT
#define X_ELEMENT 99
#else
#define X_ELEMENT TESSERA_FLOAT32
#endif
static const TesseraTensor inputs[] = {{"x", X_ELEMENT, 2, x_dims, x_text},
                                       {"bias", TESSERA_FLOAT32, 1, bias_dims, bias_text}};
#undef x_dims
static const TesseraTensor outputs[] = {{"y", TESSERA_FLOAT32, 2, x_dims, x_text},
                                        {"sums", TESSERA_FLOAT32, 1, sums_dims, sums_text}};
static const char *const symbols[] = {"n", "m"};
static const char *const messages[] = {"n must not be 13", "x must not begin with 12345"};
static const char *const dream_features[] = {"dream_unit", "moon_lanes", NULL};
static const char *const no_features[] = {NULL};
#ifdef BAD_RUN
#define affine_run NULL
#endif
static const TesseraVariant variants[] = {
    {"dream", dream_features, 0, 4096, affine_shape, affine_run},
#ifndef IMPOSSIBLE
    {"baseline", no_features, 0, 4096, affine_shape, affine_run},
#endif
};

#ifndef SIDECAR
static const float weights[1024] __attribute__((aligned(4096))) = {2};
#endif

static const TesseraPlugin plugin = {
    .abi_version = TESSERA_ABI_VERSION,
    .size = sizeof(TesseraPlugin),
    .model_name = "affine",
#ifdef BAD_COUNT
    .input_count = 4000000000u,
#else
    .input_count = 2,
#endif
    .output_count = 2,
    .symbol_count = 2,
    .variant_count = sizeof variants / sizeof *variants,
    .message_count = 2,
    .inputs = inputs,
    .outputs = outputs,
    .symbols = symbols,
    .variants = variants,
#ifdef BAD_MESSAGES
    .messages = NULL,
#else
    .messages = messages,
#endif
#ifdef SIDECAR
    .sidecar = SIDECAR,
#else
    .weights = weights,
#endif
    .weights_size = 4096,
    .weights_hash = ZEROS,
    .manifest = "{\"kernels\": [{\"name\": \"affine\"}, {\"name\": \"copy\"}]}",
};

#ifdef BAD_RETURN
__attribute__((visibility("default"))) const TesseraPlugin *tessera_plugin(void) { return NULL; }
#else
__attribute__((visibility("default"))) const TesseraPlugin *tessera_plugin(void) { return &plugin; }
#endif
