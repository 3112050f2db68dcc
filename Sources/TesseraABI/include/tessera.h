// Tessera's runtime: load a compiled model and run it. The library is libtessera.so; it needs libc and libstdc++.
//
// Every function returns TESSERA_OK or what went wrong; `tessera_error` then says it in words. Libraries and sessions
// are numbers, not pointers: one that was released, or never given out, is refused. A pointer to memory too small for
// what the `size` beside it says is the one mistake that cannot be caught.
//
// All functions may be called from any thread. Sessions are independent of each other; one session runs one model at
// a time, and a second thread that asks waits.
//
// A complete program:
//
//     #include <stdio.h>
//     #include <stdlib.h>
//     #include <tessera.h>
//
//     static void must(int32_t status) {
//       if (status != TESSERA_OK) { fprintf(stderr, "%s\n", tessera_error()); exit(status); }
//     }
//
//     int main(void) {
//       TesseraLibrary library;
//       TesseraSession session;
//       must(tessera_load("./upscale.so", NULL, &library));
//       must(tessera_session_create(library, NULL, &session));
//
//       int64_t dims[4] = {1, 3, 64, 64}, output_dims[4];
//       size_t bytes = 1 * 3 * 64 * 64 * sizeof(float);
//       TesseraBuffer input = {calloc(1, bytes), bytes, TESSERA_FLOAT32, 4, dims};
//       must(tessera_output_dims(session, &input, 1, output_dims, 4, NULL));  // this model has one output, of rank 4
//
//       size_t count = 1;
//       for (int i = 0; i < 4; i++) count *= (size_t)output_dims[i];
//       TesseraBuffer output = {malloc(count * sizeof(float)), count * sizeof(float), TESSERA_FLOAT32, 4, output_dims};
//       must(tessera_run(session, &input, 1, &output, 1));
//       printf("%g\n", ((float *)output.data)[0]);
//
//       must(tessera_session_destroy(session));
//       must(tessera_unload(library));
//     }
#pragma once
#include <stdint.h>

#include "tessera_plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TESSERA_VERSION "0.1.0"

/// What a call returns: the exit codes of BSD's sysexits.h.
enum {
  TESSERA_OK = 0,
  TESSERA_USAGE = 64,      // a null pointer, a stale handle, a wrong number of tensors
  TESSERA_BAD_DATA = 65,   // a damaged library; a tensor of the wrong type, rank or size
  TESSERA_NO_INPUT = 66,   // no such file
  TESSERA_NO_DEVICE = 69,  // the library needs what this machine does not have, or there is no memory left
  TESSERA_INTERNAL = 70,   // a bug of Tessera's
  TESSERA_IO = 74          // the file could not be read
};

/// 0 is never given out.
typedef uint64_t TesseraLibrary;
typedef uint64_t TesseraSession;

/// How to load. Start from all zeros, then set `size` and what you need.
typedef struct TesseraLoadOptions {
  uint32_t size;         // sizeof this struct, for versions to come
  int32_t threads;       // workers of a run, the caller included; 0: as many as this process has CPUs
  int32_t verify;        // not 0: compare all of the file and its weights with their hashes, however long that takes
  int32_t reserved;
} TesseraLoadOptions;

typedef struct TesseraSessionOptions {
  uint32_t size;         // sizeof this struct, for versions to come
  int32_t profile;       // not 0: take the time of every kernel
  int32_t poison;        // not 0: fill workspace and outputs with NaN bytes before each run, to find what is not written
  int32_t reserved;
} TesseraSessionOptions;

/// What a library is. All pointers are valid until the library is unloaded and its last session is gone.
typedef struct TesseraDescription {
  uint32_t size;         // in: sizeof this struct
  int32_t threads;
  const char *model_name;
  const char *target;    // the variant chosen for this CPU
  const char *manifest;  // JSON: the kernels by their numbers, and how the library came about
  const TesseraTensor *inputs;
  const TesseraTensor *outputs;
  const char *const *symbols;
  uint32_t input_count, output_count, symbol_count, reserved;
} TesseraDescription;

/// A tensor in the caller's memory: dense, row-major, aligned to its elements. Inputs are not written.
typedef struct TesseraBuffer {
  void *data;            // may be null if there are no elements
  uint64_t size;         // bytes at `data`, at least what the elements need
  int32_t element;       // TESSERA_FLOAT32 …
  int32_t rank;
  const int64_t *dims;   // `rank` of them
} TesseraBuffer;

/// The time of one kernel, summed over the runs of a session.
typedef struct TesseraKernelTime {
  int32_t kernel;        // its number in the manifest
  int32_t reserved;
  uint64_t calls;
  uint64_t nanoseconds;
} TesseraKernelTime;

/// The runtime's version: TESSERA_VERSION of the libtessera.so that is loaded.
const char *tessera_version(void);

/// What went wrong in this thread's last call that did not return TESSERA_OK. Never null; valid until the thread's
/// next call.
const char *tessera_error(void);

/// Loads a compiled model. `options` may be null. The library's header, note and descriptor are checked first; one
/// for another machine or for features this CPU lacks is refused with a message that names them.
/// Libraries loaded with the same number of threads share them.
int32_t tessera_load(const char *path, const TesseraLoadOptions *options, TesseraLibrary *library);

/// Gives the library back. Its sessions go on working, and keep it in memory until they are destroyed.
int32_t tessera_unload(TesseraLibrary library);

/// Fills in `description`, whose `size` the caller has set.
int32_t tessera_describe(TesseraLibrary library, TesseraDescription *description);

/// Makes a session: workspace and settings for one run at a time. `options` may be null.
int32_t tessera_session_create(TesseraLibrary library, const TesseraSessionOptions *options, TesseraSession *session);

/// Ends the session after the run it may be in.
int32_t tessera_session_destroy(TesseraSession session);

/// Writes the dimensions of all outputs, one output after the other, that inputs of these dimensions lead to; -1 for a
/// dimension that depends on the inputs' elements, so that only a run finds it out. The inputs' data may be null. `written`, if not null, receives how many there are, also when `capacity` is too small.
int32_t tessera_output_dims(TesseraSession session, const TesseraBuffer *inputs, uint32_t input_count, int64_t *dims,
                            uint64_t capacity, uint64_t *written);

/// Runs the model on the caller's memory, in which the results are when it returns. Outputs must have the dimensions
/// that `tessera_output_dims` gives, and overlap nothing.
///
/// An output with a dimension of -1 goes to `data` if `size` bytes turn out to be enough (else TESSERA_BAD_DATA), or, if
/// `data` is null, to memory of the session's; its `dims` are not read. `tessera_output` then says what it is.
int32_t tessera_run(TesseraSession session, const TesseraBuffer *inputs, uint32_t input_count,
                    const TesseraBuffer *outputs, uint32_t output_count);

/// Fills in `output` with output number `index` of the session's last run: its dimensions, and where it is. The
/// dimensions, and memory of the session's, stay until the session's next run or end.
int32_t tessera_output(TesseraSession session, uint32_t index, TesseraBuffer *output);

/// Binds one input or output for `tessera_run_bound`. The dimensions are copied; the data must stay where it is until
/// it is bound anew or the session is destroyed.
int32_t tessera_bind_input(TesseraSession session, uint32_t index, const TesseraBuffer *buffer);
int32_t tessera_bind_output(TesseraSession session, uint32_t index, const TesseraBuffer *buffer);

/// Runs the model on what is bound; everything must be.
int32_t tessera_run_bound(TesseraSession session);

/// Writes the times of the kernels that have run, by their numbers. `written`, if not null, receives how many there
/// are, also when `capacity` is too small. Nothing, unless the session was created with `profile`.
int32_t tessera_profile(TesseraSession session, TesseraKernelTime *times, uint32_t capacity, uint32_t *written);

/// Sets the session's times back to zero.
int32_t tessera_profile_reset(TesseraSession session);

#ifdef __cplusplus
}
#endif
