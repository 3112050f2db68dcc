// The contract between a compiled model and whatever loads it.
//
// A library exports one symbol, `tessera_plugin`, which returns a constant descriptor. It needs libc and nothing
// else: what it cannot do itself (start threads, write a log) comes in through `TesseraServices`.
//
// Before dlopen a loader reads the ELF note named "Tessera" (type 1) out of the program headers. Its description is
// text, one `key value` a line:
//     abi 2
//     variant x86-64-v4 avx512f avx512bw avx512cd avx512dq avx512vl     (name, then features the CPU must have)
//     data 0000000000001000 0000000000200000    (if weights are in it: their offset and size in the file, hexadecimal)
//     hash 0123…ef                              (of the library's other contents, 64 hex digits)
#pragma once
#include <stdint.h>

#define TESSERA_ABI_VERSION 2

// Element types, numbered as here.
enum {
  TESSERA_FLOAT64 = 0, TESSERA_FLOAT32 = 1, TESSERA_FLOAT16 = 2, TESSERA_BFLOAT16 = 3,
  TESSERA_INT64 = 4, TESSERA_INT32 = 5, TESSERA_INT16 = 6, TESSERA_INT8 = 7,
  TESSERA_UINT64 = 8, TESSERA_UINT32 = 9, TESSERA_UINT16 = 10, TESSERA_UINT8 = 11, TESSERA_BOOL = 12
};

/// One piece of a parallel loop: iterations begin..<end, run by `worker` (0 ..< worker_count), which no other piece
/// running at the same time has.
typedef void (*TesseraBody)(void *context, int32_t worker, int64_t begin, int64_t end);

/// What the host does for a running library. Lives as long as the call.
typedef struct TesseraServices {
  uint32_t size;          // sizeof this struct, for versions to come
  int32_t worker_count;   // workers that parallel_for may use, at least 1
  void *host;             // passed back to the functions below
  /// Runs `body` over 0..<count, each iteration once, in pieces, on any workers, and returns when all are done.
  /// `grain` is the least number of iterations that a piece is worth. Does not nest.
  void (*parallel_for)(void *host, TesseraBody body, void *context, int64_t count, int64_t grain);
  /// Called before launch `kernel` of the manifest's variant starts and with -1 after the last; null unless profiling.
  void (*mark)(void *host, int32_t kernel);
  /// Memory for tensors whose sizes the run has just found out: `bytes` of it, aligned to 4096, whose first `keep` bytes
  /// are those that the same `slot` had before. Valid until the next call for the slot, or the run's end. Null if it can't
  /// be had: then `run` returns TESSERA_HOST_FAILED at once.
  void *(*allocate)(void *host, int32_t slot, uint64_t bytes, uint64_t keep);
  /// The memory for output number `index`, whose dimensions are known by now. Null as above.
  void *(*output)(void *host, int32_t index, const int64_t *dims);
} TesseraServices;

/// What `run` returns when a service did not do what it was asked for: the host knows why.
#define TESSERA_HOST_FAILED (-1)
/// In an output's `dims`: an expression over symbols, which `shape` computes and `dim_text` prints.
#define TESSERA_DIM_COMPUTED INT64_MIN
/// In an output's `dims`: known only during the run, which asks for such an output's memory through the services.
#define TESSERA_DIM_UNKNOWN (INT64_MIN + 1)

/// What one run works on. All memory is the host's.
typedef struct TesseraCall {
  const TesseraServices *services;
  const void *weights;           // this variant's, aligned to 4096 bytes
  void *workspace;               // aligned to 4096 bytes
  const void *const *inputs;     // dense row-major, aligned to their elements; never written
  void *const *outputs;          // likewise; overlap nothing. Not read for those with a TESSERA_DIM_UNKNOWN
  const int64_t *symbols;        // values of the descriptor's symbols
} TesseraCall;

/// A dimension is a fixed size ≥ 0, or -1 - s for the symbol number s, or in outputs one of the two above.
typedef struct TesseraTensor {
  const char *name;
  int32_t element;               // TESSERA_FLOAT32 …
  int32_t rank;
  const int64_t *dims;
  const char *const *dim_text;   // "3", "height", "4*height"
} TesseraTensor;

/// Code for one instruction set. All variants have the same inputs and outputs.
typedef struct TesseraVariant {
  const char *target;                 // "x86-64-v3"
  const char *const *features;        // as /proc/cpuinfo spells them; null-terminated
  uint64_t weights_offset;            // into the weights, a multiple of 4096
  uint64_t weights_size;
  /// Given the symbols' values and the number of workers: writes the bytes of workspace needed, and all dimensions of
  /// all outputs one after the other, -1 for those known only during the run. Returns 0, or k + 1 for message number k of
  /// the descriptor if what it says of the symbols is so.
  int32_t (*shape)(const int64_t *symbols, int32_t workers, uint64_t *workspace_size, int64_t *output_dims);
  /// Runs the model. Returns 0, or k + 1 for message number k of the descriptor if what it says is found during the run,
  /// or TESSERA_HOST_FAILED.
  int32_t (*run)(const TesseraCall *call);
} TesseraVariant;

typedef struct TesseraPlugin {
  uint32_t abi_version;               // TESSERA_ABI_VERSION
  uint32_t size;                      // sizeof this struct, for versions to come
  const char *model_name;
  uint32_t input_count, output_count, symbol_count, variant_count, message_count;
  uint32_t reserved;
  const TesseraTensor *inputs;
  const TesseraTensor *outputs;
  const char *const *symbols;         // names: "batch", "height"
  const TesseraVariant *variants;     // most demanding first: the first that the CPU can run is taken
  const char *const *messages;        // what a violated constraint or check means
  const void *weights;                // embedded, or null
  uint64_t weights_size;              // of all variants, embedded or not
  const char *sidecar;                // file name beside the library, or null
  const char *weights_hash;           // 64 hex digits: SHA-256 of the same of each 16 MiB, in hex digits, joined
  const char *manifest;               // JSON: model hash, build id, kernels with their knobs
} TesseraPlugin;

/// The one exported symbol.
const TesseraPlugin *tessera_plugin(void);
