// What the runtime needs of the machine and Swift cannot say, or cannot say without a cost: a thread pool whose
// launch takes about a microsecond, the CPU's features, a kernel clock, and one text a thread.
//
// Internal to TesseraRuntime; nothing here is exported from libtessera.so.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

/// Adds up the time between marks, one cell a kernel. Used by one thread at a time.
typedef struct TsrProfile {
  uint64_t *nanoseconds;  // a cell a kernel, `capacity` of them
  uint64_t *calls;
  int32_t capacity;
  int32_t running;        // the kernel whose time is being taken, or -1
  uint64_t started;
} TsrProfile;

TsrProfile *tsr_profile_create(void);
void tsr_profile_destroy(TsrProfile *profile);
/// Ends the running kernel's time and starts `kernel`'s, or none's for -1. Numbers over a million are ignored.
void tsr_profile_mark(TsrProfile *profile, int32_t kernel);
void tsr_profile_reset(TsrProfile *profile);

/// What `TesseraServices.host` points to during a run.
typedef struct TsrHost {
  TsrPool *pool;
  TsrProfile *profile;    // null unless profiling
  void *memory;           // the session's, for what a run asks for
} TsrHost;

/// `TesseraServices.parallel_for` and `.mark` for a `TsrHost`.
void tsr_service_parallel_for(void *host, TsrBody body, void *context, int64_t count, int64_t grain);
void tsr_service_mark(void *host, int32_t kernel);

/// Writes the names of the features that this CPU and its operating system offer, spelled as in /proc/cpuinfo, and
/// returns how many there are, which may exceed `capacity`. The names are constants.
size_t tsr_cpu_features(const char **names, size_t capacity);
/// The CPU's own name, at most 63 characters, null-terminated; empty where the CPU does not tell.
void tsr_cpu_name(char name[64]);

/// CPUs that this process may run on, at least 1.
int32_t tsr_available_cpus(void);

/// Has the system kill this process when the thread that started it ends; 0 if that is granted.
int32_t tsr_end_with_parent(void);

/// Nanoseconds on the monotonic clock.
uint64_t tsr_now(void);

/// The calling thread's text, for the C API's error message. Cut to 2047 bytes at a character's start.
void tsr_set_text(const char *text);
const char *tsr_text(void);

/// The runtime's version; a constant.
const char *tsr_version(void);
