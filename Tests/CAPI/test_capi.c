// A C program that uses all of tessera.h on the library of Fixtures/affine.c, rightly and wrongly.
//
//     test_capi AFFINE.so IMPOSSIBLE.so
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tessera.h>

static int failures;

#define EXPECT(status, call) expect(__LINE__, #call, status, call)
#define CHECK(condition) \
  do { if (!(condition)) { failures++; fprintf(stderr, "line %d: %s is false\n", __LINE__, #condition); } } while (0)

static void expect(int line, const char *what, int32_t wanted, int32_t status) {
  if (status == wanted) return;
  failures++;
  fprintf(stderr, "line %d: %s returned %d instead of %d: %s\n", line, what, status, wanted, tessera_error());
}

enum { N = 37, M = 11 };

struct Tensors {
  float x[N * M], bias[M], y[N * M], sums[2 * N];
  int64_t x_dims[2], bias_dims[1], sums_dims[1];
  TesseraBuffer inputs[2], outputs[2];
};

static void fill(struct Tensors *t, unsigned seed) {
  memset(t, 0, sizeof *t);
  for (int i = 0; i < N * M; i++) t->x[i] = (float)(rand_r(&seed) % 1000);
  for (int j = 0; j < M; j++) t->bias[j] = (float)(rand_r(&seed) % 1000);
  t->x_dims[0] = N;
  t->x_dims[1] = t->bias_dims[0] = M;
  t->sums_dims[0] = 2 * N;
  t->inputs[0] = (TesseraBuffer){t->x, sizeof t->x, TESSERA_FLOAT32, 2, t->x_dims};
  t->inputs[1] = (TesseraBuffer){t->bias, sizeof t->bias, TESSERA_FLOAT32, 1, t->bias_dims};
  t->outputs[0] = (TesseraBuffer){t->y, sizeof t->y, TESSERA_FLOAT32, 2, t->x_dims};
  t->outputs[1] = (TesseraBuffer){t->sums, sizeof t->sums, TESSERA_FLOAT32, 1, t->sums_dims};
}

/// Small integers: float arithmetic on them is exact.
static int is_right(const struct Tensors *t) {
  for (int i = 0; i < N; i++) {
    float sum = 0;
    for (int j = 0; j < M; j++) {
      if (t->y[i * M + j] != 2 * t->x[i * M + j] + t->bias[j]) return 0;
      sum += t->y[i * M + j];
    }
    if (t->sums[2 * i] != sum || t->sums[2 * i + 1] != sum) return 0;
  }
  return 1;
}

static void test_loading(const char *path, const char *impossible) {
  TesseraLibrary library = 7;
  EXPECT(TESSERA_USAGE, tessera_load(NULL, NULL, &library));
  CHECK(library == 0);
  EXPECT(TESSERA_USAGE, tessera_load(path, NULL, NULL));
  EXPECT(TESSERA_NO_INPUT, tessera_load("/nowhere.so", NULL, &library));
  EXPECT(TESSERA_BAD_DATA, tessera_load("/proc/self/exe", NULL, &library));
  EXPECT(TESSERA_NO_DEVICE, tessera_load(impossible, NULL, &library));
  CHECK(strstr(tessera_error(), "dream_unit") != NULL);
  TesseraLoadOptions options = {0};
  EXPECT(TESSERA_USAGE, tessera_load(path, &options, &library));  // its size was not set
  options.size = sizeof options;
  options.threads = -4;
  EXPECT(TESSERA_USAGE, tessera_load(path, &options, &library));
  options.threads = 100000;
  EXPECT(TESSERA_USAGE, tessera_load(path, &options, &library));
  options.threads = 3;
  EXPECT(TESSERA_OK, tessera_load(path, &options, &library));

  TesseraDescription about = {0};
  EXPECT(TESSERA_USAGE, tessera_describe(library, &about));
  EXPECT(TESSERA_USAGE, tessera_describe(library, NULL));
  about.size = sizeof about;
  EXPECT(TESSERA_USAGE, tessera_describe(library + 1, &about));
  EXPECT(TESSERA_OK, tessera_describe(library, &about));
  CHECK(about.threads == 3 && about.input_count == 2 && about.output_count == 2 && about.symbol_count == 2);
  CHECK(strcmp(about.target, "baseline") == 0 && strcmp(about.inputs[1].name, "bias") == 0);
  CHECK(strcmp(about.symbols[1], "m") == 0 && strstr(about.manifest, "kernels") != NULL);
  EXPECT(TESSERA_OK, tessera_unload(library));
  EXPECT(TESSERA_USAGE, tessera_unload(library));
  EXPECT(TESSERA_USAGE, tessera_describe(library, &about));
  CHECK(strcmp(tessera_version(), TESSERA_VERSION) == 0);
}

static void test_running(const char *path) {
  TesseraLibrary library;
  TesseraSession session;
  struct Tensors *t = malloc(sizeof *t);
  fill(t, 1);
  EXPECT(TESSERA_OK, tessera_load(path, NULL, &library));
  EXPECT(TESSERA_USAGE, tessera_session_create(library, NULL, NULL));
  EXPECT(TESSERA_USAGE, tessera_session_create(library ^ 1, NULL, &session));
  TesseraSessionOptions options = {sizeof options, 1, 1, 0};
  EXPECT(TESSERA_OK, tessera_session_create(library, &options, &session));
  EXPECT(TESSERA_OK, tessera_unload(library));  // the session keeps it

  int64_t dims[3];
  uint64_t written = 0;
  EXPECT(TESSERA_USAGE, tessera_output_dims(session, t->inputs, 2, dims, 2, &written));
  CHECK(written == 3);
  EXPECT(TESSERA_USAGE, tessera_output_dims(session, NULL, 2, dims, 3, NULL));
  EXPECT(TESSERA_USAGE, tessera_output_dims(session, t->inputs, 2, NULL, 3, NULL));
  EXPECT(TESSERA_USAGE, tessera_output_dims(session, t->inputs, 1, dims, 3, NULL));
  EXPECT(TESSERA_OK, tessera_output_dims(session, t->inputs, 2, dims, 3, NULL));
  CHECK(dims[0] == N && dims[1] == M && dims[2] == 2 * N);

  EXPECT(TESSERA_OK, tessera_run(session, t->inputs, 2, t->outputs, 2));
  CHECK(is_right(t));
  TesseraBuffer given;
  EXPECT(TESSERA_OK, tessera_output(session, 0, &given));
  if (given.data != t->outputs[0].data || given.rank != 2 || given.dims[0] != t->outputs[0].dims[0]) failures++;
  EXPECT(TESSERA_USAGE, tessera_output(session, 2, &given));
  EXPECT(TESSERA_USAGE, tessera_output(session, 0, NULL));
  EXPECT(TESSERA_USAGE, tessera_output(0, 0, &given));
  EXPECT(TESSERA_USAGE, tessera_run(session, NULL, 2, t->outputs, 2));
  EXPECT(TESSERA_USAGE, tessera_run(session, t->inputs, 2, NULL, 2));
  EXPECT(TESSERA_USAGE, tessera_run(session, t->inputs, 2, t->outputs, 0));
  EXPECT(TESSERA_USAGE, tessera_run(session, t->inputs, 4000000000u, t->outputs, 2));
  EXPECT(TESSERA_USAGE, tessera_run(0, t->inputs, 2, t->outputs, 2));
  EXPECT(TESSERA_USAGE, tessera_run(UINT64_MAX, t->inputs, 2, t->outputs, 2));

#define WRONG(field, value, status)                                        \
  do {                                                                     \
    struct Tensors *w = malloc(sizeof *w);                                 \
    fill(w, 1);                                                            \
    w->field = value;                                                      \
    EXPECT(status, tessera_run(session, w->inputs, 2, w->outputs, 2));     \
    free(w);                                                               \
  } while (0)
  WRONG(inputs[0].data, NULL, TESSERA_USAGE);
  WRONG(inputs[0].dims, NULL, TESSERA_USAGE);
  WRONG(inputs[0].element, TESSERA_FLOAT64, TESSERA_BAD_DATA);
  WRONG(inputs[0].element, 1000, TESSERA_BAD_DATA);
  WRONG(inputs[0].element, -1, TESSERA_BAD_DATA);
  WRONG(inputs[0].rank, 1, TESSERA_BAD_DATA);
  WRONG(inputs[0].rank, -1, TESSERA_BAD_DATA);
  WRONG(inputs[0].rank, 2000000000, TESSERA_BAD_DATA);
  WRONG(inputs[0].size, 3, TESSERA_BAD_DATA);
  WRONG(inputs[0].data, (char *)w->x + 1, TESSERA_USAGE);
  WRONG(x_dims[0], -1, TESSERA_BAD_DATA);
  WRONG(x_dims[0], INT64_MAX, TESSERA_BAD_DATA);
  WRONG(x_dims[0], N - 1, TESSERA_BAD_DATA);
  WRONG(bias_dims[0], M - 1, TESSERA_BAD_DATA);
  WRONG(outputs[0].data, w->x, TESSERA_USAGE);
  WRONG(outputs[1].size, 4, TESSERA_BAD_DATA);
  WRONG(sums_dims[0], N, TESSERA_BAD_DATA);
  WRONG(x[0], 12345, TESSERA_BAD_DATA);
  CHECK(strstr(tessera_error(), "12345") != NULL);

  EXPECT(TESSERA_USAGE, tessera_run_bound(session));
  EXPECT(TESSERA_USAGE, tessera_bind_input(session, 2, t->inputs));
  EXPECT(TESSERA_USAGE, tessera_bind_input(session, 0, NULL));
  EXPECT(TESSERA_USAGE, tessera_bind_output(session, 4000000000u, t->outputs));
  for (uint32_t i = 0; i < 2; i++) {
    EXPECT(TESSERA_OK, tessera_bind_input(session, i, &t->inputs[i]));
    EXPECT(TESSERA_OK, tessera_bind_output(session, i, &t->outputs[i]));
  }
  memset(t->y, 0, sizeof t->y);
  EXPECT(TESSERA_OK, tessera_run_bound(session));
  CHECK(is_right(t));

  TesseraKernelTime times[2];
  uint32_t kernels = 0;
  EXPECT(TESSERA_USAGE, tessera_profile(session, NULL, 0, &kernels));
  CHECK(kernels == 2);
  EXPECT(TESSERA_OK, tessera_profile(session, times, 2, &kernels));
  CHECK(kernels == 2 && times[1].kernel == 1 && times[1].calls == 2);
  EXPECT(TESSERA_OK, tessera_profile_reset(session));
  EXPECT(TESSERA_OK, tessera_profile(session, times, 2, &kernels));
  CHECK(kernels == 0);

  EXPECT(TESSERA_OK, tessera_session_destroy(session));
  EXPECT(TESSERA_USAGE, tessera_session_destroy(session));
  EXPECT(TESSERA_USAGE, tessera_run_bound(session));
  EXPECT(TESSERA_USAGE, tessera_run(session, t->inputs, 2, t->outputs, 2));
  EXPECT(TESSERA_USAGE, tessera_profile(session, times, 2, &kernels));
  free(t);
}

static const char *shared_path;
static TesseraLibrary shared_library;
static TesseraSession shared_session;

/// Its own session and everyone's, in turn; loads and unloads meanwhile.
static void *hammer(void *seed) {
  struct Tensors *t = malloc(sizeof *t);
  TesseraSession own;
  long wrong = tessera_session_create(shared_library, NULL, &own) != TESSERA_OK;
  for (unsigned round = 0; round < 300; round++) {
    fill(t, (unsigned)(size_t)seed + round);
    wrong += tessera_run(round % 3 ? own : shared_session, t->inputs, 2, t->outputs, 2) != TESSERA_OK;
    wrong += !is_right(t);
    if (round % 50 == 0) {
      TesseraLibrary library;
      wrong += tessera_load(shared_path, NULL, &library) != TESSERA_OK;
      wrong += tessera_unload(library) != TESSERA_OK;
      wrong += tessera_unload(library) != TESSERA_USAGE;
    }
  }
  wrong += tessera_session_destroy(own) != TESSERA_OK;
  free(t);
  return (void *)wrong;
}

static void test_threads(const char *path) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  TesseraLoadOptions options = {sizeof options, 4, 0, 0};
  shared_path = path;
  EXPECT(TESSERA_OK, tessera_load(path, &options, &shared_library));
  EXPECT(TESSERA_OK, tessera_session_create(shared_library, NULL, &shared_session));
  for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, hammer, (void *)(i * 1000));
  for (size_t i = 0; i < THREADS; i++) {
    void *wrong;
    pthread_join(threads[i], &wrong);
    CHECK(wrong == NULL);
  }
  EXPECT(TESSERA_OK, tessera_session_destroy(shared_session));
  EXPECT(TESSERA_OK, tessera_unload(shared_library));
}

int main(int count, char **arguments) {
  if (count != 3) return 64;
  test_loading(arguments[1], arguments[2]);
  test_running(arguments[1]);
  test_threads(arguments[1]);
  if (failures > 0) fprintf(stderr, "test_capi: %d failures\n", failures);
  else puts("test_capi: all passed");
  return failures > 0;
}
