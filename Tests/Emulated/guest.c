// What tools/test-avx512 runs inside the emulated machine: every case below a folder, each in a process of its own.
// Prints `ok NAME worst` or `FAILED NAME why` a case, then 'N passed, M failed'.
//
// A case is a folder with a text file `case` and numbered files of raw elements:
//     model LIBRARY             then `input ELEMENT RANK DIMS…` and `output ELEMENT RANK DIMS… RTOL ATOL`, in order;
//                               K.bin holds the K-th line's elements, for an output the expected ones
//     kernel SYMBOL LOCAL N V…  bytes of local memory a worker, N symbols' values; then `buffer BYTES`, in order, with K.bin
//                               what it holds before; last `check K ELEMENT COUNT`: expected.bin holds a value and a tolerance
//                               (two f64) for every element of buffer K
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tessera.h>
#include <unistd.h>

enum { MOST = 64, PAGE = 4096, WORKERS = 2 };

static void fail(const char *what, const char *detail) {
  printf("%s: %s\n", what, detail);
  fflush(stdout);
  _exit(1);
}

/// Memory that ends right before a page that may not be touched.
static void *guarded(size_t bytes) {
  size_t inner = (bytes + PAGE - 1) / PAGE * PAGE + PAGE;
  char *mapping = mmap(NULL, inner, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED || mprotect(mapping + inner - PAGE, PAGE, PROT_NONE)) fail("no memory", "");
  return mapping + inner - PAGE - bytes;
}

static void load(const char *name, void *data, size_t bytes) {
  FILE *file = fopen(name, "rb");
  if (!file || fread(data, 1, bytes, file) != bytes) fail("cannot read", name);
  fclose(file);
}

static size_t width(int element) {
  switch (element) {
    case TESSERA_FLOAT64: case TESSERA_INT64: case TESSERA_UINT64: return 8;
    case TESSERA_FLOAT32: case TESSERA_INT32: case TESSERA_UINT32: return 4;
    case TESSERA_FLOAT16: case TESSERA_BFLOAT16: case TESSERA_INT16: case TESSERA_UINT16: return 2;
    default: return 1;
  }
}

static double value(int element, const void *data, size_t i) {
  switch (element) {
    case TESSERA_FLOAT64: return ((const double *)data)[i];
    case TESSERA_FLOAT32: return ((const float *)data)[i];
    case TESSERA_FLOAT16: return (double)((const _Float16 *)data)[i];
    case TESSERA_BFLOAT16: {
      uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
      float wide;
      memcpy(&wide, &bits, 4);
      return wide;
    }
    case TESSERA_INT64: return (double)((const int64_t *)data)[i];
    case TESSERA_UINT64: return (double)((const uint64_t *)data)[i];
    case TESSERA_INT32: return ((const int32_t *)data)[i];
    case TESSERA_UINT32: return ((const uint32_t *)data)[i];
    case TESSERA_INT16: return ((const int16_t *)data)[i];
    case TESSERA_UINT16: return ((const uint16_t *)data)[i];
    case TESSERA_INT8: return ((const int8_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
  }
}

static double worst;  // the largest difference over what is allowed, so far

static void compare(size_t place, double got, double want, double allowed) {
  if (got == want || (isnan(got) && isnan(want))) return;
  double share = fabs(got - want) / allowed;
  if (!(share <= 1)) {
    char text[160];
    snprintf(text, sizeof text, "element %zu is %.9g, not %.9g ± %.2g", place, got, want, allowed);
    fail("wrong", text);
  }
  if (share > worst) worst = share;
}

static void must(int32_t status) {
  if (status != TESSERA_OK) fail("refused", tessera_error());
}

static TesseraBuffer buffer(FILE *file, int index, size_t *count) {
  TesseraBuffer result = {0};
  int64_t *dims = calloc(16, sizeof *dims);
  if (fscanf(file, "%d %d", &result.element, &result.rank) != 2 || result.rank > 16) fail("malformed", "case");
  *count = 1;
  for (int d = 0; d < result.rank; d++) {
    if (fscanf(file, "%" SCNd64, &dims[d]) != 1) fail("malformed", "case");
    *count *= (size_t)dims[d];
  }
  char name[32];
  snprintf(name, sizeof name, "%d.bin", index);
  result.dims = dims;
  result.size = *count * width(result.element);
  result.data = guarded(result.size);
  load(name, result.data, result.size);
  return result;
}

static void run_model(FILE *file) {
  char path[256], word[16];
  TesseraBuffer inputs[MOST], outputs[MOST];
  void *wanted[MOST];
  double rtol[MOST], atol[MOST];
  size_t counts[MOST], ignored;
  uint32_t in = 0, out = 0;
  if (fscanf(file, "%255s", path) != 1) fail("malformed", "case");
  while (fscanf(file, "%15s", word) == 1 && in < MOST && out < MOST) {
    if (!strcmp(word, "input")) {
      inputs[in] = buffer(file, (int)(in + out), &ignored);
      in++;
    } else {
      outputs[out] = buffer(file, (int)(in + out), &counts[out]);
      if (fscanf(file, "%lf %lf", &rtol[out], &atol[out]) != 2) fail("malformed", "case");
      wanted[out] = outputs[out].data;
      outputs[out].data = guarded(outputs[out].size);
      out++;
    }
  }
  TesseraLibrary library;
  TesseraSession session;
  TesseraLoadOptions options = {.size = sizeof options, .threads = WORKERS};
  TesseraSessionOptions poison = {.size = sizeof poison, .poison = 1};
  TesseraDescription description = {.size = sizeof description};
  must(tessera_load(path, &options, &library));
  must(tessera_describe(library, &description));
  if (!strstr(description.target, "v4")) fail("not the AVX-512 variant", description.target);
  must(tessera_session_create(library, &poison, &session));
  must(tessera_run(session, inputs, in, outputs, out));
  for (uint32_t k = 0; k < out; k++)
    for (size_t i = 0; i < counts[k]; i++) {
      double want = value(outputs[k].element, wanted[k], i);
      compare(i, value(outputs[k].element, outputs[k].data, i), want, atol[k] + rtol[k] * fabs(want));
    }
}

/// Pieces last first, workers in turn: what is only right in order is found.
static void in_pieces(void *host, TesseraBody body, void *context, int64_t count, int64_t grain) {
  (void)host;
  int64_t step = (count + 4) / 5 > grain ? (count + 4) / 5 : grain;
  int32_t worker = 0;
  for (int64_t end = count; end > 0; end = end > step ? end - step : 0, worker = !worker)
    body(context, worker, end > step ? end - step : 0, end);
}

static void run_kernel(FILE *file) {
  char name[256], word[16], path[32];
  size_t local, symbol_count, bytes, checked = 0, count = 0, n = 0;
  int element = 0;
  int64_t symbols[MOST];
  void *context[MOST + 3];
  if (fscanf(file, "%255s %zu %zu", name, &local, &symbol_count) != 3 || symbol_count > MOST) fail("malformed", "case");
  for (size_t i = 0; i < symbol_count; i++)
    if (fscanf(file, "%" SCNd64, &symbols[i]) != 1) fail("malformed", "case");
  while (fscanf(file, "%15s", word) == 1 && n < MOST) {
    if (!strcmp(word, "check")) {
      if (fscanf(file, "%zu %d %zu", &checked, &element, &count) != 3 || checked >= n) fail("malformed", "case");
      break;
    }
    if (fscanf(file, "%zu", &bytes) != 1) fail("malformed", "case");
    snprintf(path, sizeof path, "%zu.bin", n);
    load(path, context[n++] = guarded(bytes), bytes);
  }
  double *expected = malloc(count * 16 + 1);
  load("expected.bin", expected, count * 16);
  void *library = dlopen("./kernel.so", RTLD_NOW | RTLD_LOCAL);
  void *entry = library ? dlsym(library, name) : NULL;
  if (!entry) fail("not loaded", dlerror());
  size_t each = (local + 63) / 64 * 64;
  context[n] = symbols;
  context[n + 1] = guarded((each * WORKERS + PAGE - 1) / PAGE * PAGE);
  context[n + 2] = (void *)(uintptr_t)each;
  TesseraServices services = {.size = sizeof services, .worker_count = WORKERS, .parallel_for = in_pieces};
  void (*call)(const void *, void **);
  memcpy(&call, &entry, sizeof call);
  call(&services, context);
  for (size_t i = 0; i < count; i++)
    compare(i, value(element, context[checked], i), expected[2 * i], expected[2 * i + 1]);
}

static void run(const char *name) {
  char kind[16];
  if (chdir(name)) fail("cannot enter", name);
  FILE *file = fopen("case", "r");
  if (!file || fscanf(file, "%15s", kind) != 1) fail("no case", name);
  if (!strcmp(kind, "model")) run_model(file);
  else run_kernel(file);
  printf("ok %s %.3f\n", name, worst);
  fflush(stdout);
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc != 2 || chdir(argv[1])) return fprintf(stderr, "usage: guest FOLDER\n"), 64;
  struct dirent **names;
  int count = scandir(".", &names, NULL, alphasort), passed = 0, failed = 0;
  for (int i = 0; i < count; i++) {
    if (names[i]->d_name[0] == '.') continue;
    fflush(stdout);
    int status = 0;
    pid_t child = fork();
    if (child == 0) run(names[i]->d_name);
    waitpid(child, &status, 0);
    if (status == 0) passed++;
    else failed++, printf("FAILED %s%s\n", names[i]->d_name, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
