// Tessera from C: loads the library of model.json, y = relu(x + {-1, 0, 1}), runs it at two sizes and from two threads,
// and makes the mistakes that a caller can make. Prints 'N passed, M failed'.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tessera.h>

static int passed, failed;

#define EXPECT(condition)                                                                   \
  do {                                                                                      \
    if (condition) {                                                                        \
      passed++;                                                                             \
    } else {                                                                                \
      failed++;                                                                             \
      printf("FAILED line %d: %s (last error: %s)\n", __LINE__, #condition, tessera_error()); \
    }                                                                                       \
  } while (0)

// Runs the session on `rows` rows; 0 if every element is right, else what went wrong.
static int run_rows(TesseraSession session, int64_t rows) {
  int64_t dims[2] = {rows, 3}, output_dims[2] = {-1, -1};
  uint64_t bytes = (uint64_t)rows * 3 * sizeof(float), written = 0;
  float *x = malloc(bytes), *y = malloc(bytes);
  for (int64_t i = 0; i < rows * 3; i++) x[i] = (float)(i % 7) - 3;
  TesseraBuffer input = {x, bytes, TESSERA_FLOAT32, 2, dims};
  int32_t status = tessera_output_dims(session, &input, 1, output_dims, 2, &written);
  if (status == TESSERA_OK && (written != 2 || output_dims[0] != rows || output_dims[1] != 3)) status = -1;
  TesseraBuffer output = {y, bytes, TESSERA_FLOAT32, 2, output_dims};
  if (status == TESSERA_OK) status = tessera_run(session, &input, 1, &output, 1);
  for (int64_t i = 0; status == TESSERA_OK && i < rows * 3; i++) {
    float sum = x[i] + (float)(i % 3) - 1;  // small integers: exact
    if (y[i] != (sum > 0 ? sum : 0)) status = -2;
  }
  free(x);
  free(y);
  return status;
}

static void *run_often(void *session) {
  for (int i = 0; i < 200; i++) {
    int status = run_rows(*(TesseraSession *)session, 1 + i % 50);
    if (status) return (void *)(intptr_t)status;
  }
  return NULL;
}

static void uses(TesseraLibrary library) {
  TesseraDescription description = {.size = sizeof description};
  EXPECT(tessera_describe(library, &description) == TESSERA_OK);
  EXPECT(description.input_count == 1 && description.output_count == 1);
  EXPECT(!strcmp(description.inputs[0].name, "x") && !strcmp(description.outputs[0].name, "y"));
  EXPECT(description.inputs[0].element == TESSERA_FLOAT32 && description.inputs[0].rank == 2);
  EXPECT(description.symbol_count == 1 && !strcmp(description.symbols[0], "rows"));

  TesseraSession a, b;
  EXPECT(tessera_session_create(library, NULL, &a) == TESSERA_OK);
  EXPECT(tessera_session_create(library, NULL, &b) == TESSERA_OK);
  EXPECT(run_rows(a, 1) == 0);
  EXPECT(run_rows(a, 1000) == 0);
  EXPECT(run_rows(a, 5) == 0);
  pthread_t thread;
  void *there = NULL, *here = NULL;
  EXPECT(pthread_create(&thread, NULL, run_often, &b) == 0);
  here = run_often(&a);
  pthread_join(thread, &there);
  EXPECT(here == NULL && there == NULL);
  EXPECT(tessera_session_destroy(a) == TESSERA_OK);
  EXPECT(tessera_session_destroy(b) == TESSERA_OK);
}

static void mistakes(TesseraLibrary library) {
  TesseraLibrary none = 7;
  EXPECT(tessera_load("/nowhere/model.so", NULL, &none) == TESSERA_NO_INPUT);
  EXPECT(strstr(tessera_error(), "/nowhere/model.so") != NULL);
  EXPECT(none == 0);
  EXPECT(tessera_load("/etc/passwd", NULL, &none) == TESSERA_BAD_DATA);
  EXPECT(tessera_load(NULL, NULL, &none) == TESSERA_USAGE);
  EXPECT(tessera_load("/etc/passwd", NULL, NULL) == TESSERA_USAGE);
  EXPECT(tessera_unload(0) == TESSERA_USAGE);
  EXPECT(tessera_unload(12345678901234567ull) == TESSERA_USAGE);
  EXPECT(tessera_describe(library, NULL) == TESSERA_USAGE);

  TesseraSession session;
  EXPECT(tessera_session_create(library, NULL, &session) == TESSERA_OK);
  float x[6] = {0}, y[6] = {0};
  int64_t dims[2] = {2, 3}, wide[2] = {2, 4}, negative[2] = {-2, 3}, huge[2] = {INT64_MAX, 3};
  TesseraBuffer in = {x, sizeof x, TESSERA_FLOAT32, 2, dims}, out = {y, sizeof y, TESSERA_FLOAT32, 2, dims};
  TesseraBuffer wrong = in;
  EXPECT(tessera_run(session, &in, 1, &out, 1) == TESSERA_OK);
  EXPECT(tessera_run(session, NULL, 1, &out, 1) != TESSERA_OK);
  EXPECT(tessera_run(session, &in, 0, &out, 1) != TESSERA_OK);
  EXPECT(tessera_run(session, &in, 1, &out, 0) != TESSERA_OK);
  wrong.dims = wide;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) == TESSERA_BAD_DATA);
  wrong.dims = negative;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) == TESSERA_BAD_DATA);
  wrong.dims = huge;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) == TESSERA_BAD_DATA);
  wrong = in;
  wrong.rank = 1;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) == TESSERA_BAD_DATA);
  wrong = in;
  wrong.element = TESSERA_INT64;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) == TESSERA_BAD_DATA);
  wrong = in;
  wrong.size = sizeof x - 1;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) != TESSERA_OK);
  wrong = in;
  wrong.data = NULL;
  EXPECT(tessera_run(session, &wrong, 1, &out, 1) != TESSERA_OK);
  wrong = out;
  wrong.size = 4;
  EXPECT(tessera_run(session, &in, 1, &wrong, 1) != TESSERA_OK);
  EXPECT(tessera_run_bound(session) != TESSERA_OK);
  EXPECT(tessera_bind_input(session, 9, &in) != TESSERA_OK);
  EXPECT(strlen(tessera_error()) > 0);
  EXPECT(tessera_session_destroy(session) == TESSERA_OK);
  EXPECT(tessera_session_destroy(session) == TESSERA_USAGE);
  EXPECT(tessera_run(session, &in, 1, &out, 1) == TESSERA_USAGE);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: program MODEL.so\n"), 64;
  TesseraLibrary library;
  TesseraLoadOptions options = {.size = sizeof options, .threads = 2};
  EXPECT(tessera_load(argv[1], &options, &library) == TESSERA_OK);
  if (!failed) {
    uses(library);
    mistakes(library);
    EXPECT(tessera_unload(library) == TESSERA_OK);
    EXPECT(tessera_unload(library) == TESSERA_USAGE);
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
