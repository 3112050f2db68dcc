#define _GNU_SOURCE
#include "TesseraHost.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "tessera.h"

enum { MAX_KERNELS = 1 << 20 };

uint64_t tsr_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int32_t tsr_available_cpus(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count < 1 ? 1 : count;
}

int32_t tsr_end_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL); }

TsrProfile *tsr_profile_create(void) {
  TsrProfile *profile = calloc(1, sizeof *profile);
  if (profile != NULL) profile->running = -1;
  return profile;
}

void tsr_profile_destroy(TsrProfile *profile) {
  if (profile == NULL) return;
  free(profile->nanoseconds);
  free(profile->calls);
  free(profile);
}

void tsr_profile_reset(TsrProfile *profile) {
  if (profile->capacity > 0) {
    memset(profile->nanoseconds, 0, sizeof(uint64_t) * (size_t)profile->capacity);
    memset(profile->calls, 0, sizeof(uint64_t) * (size_t)profile->capacity);
  }
  profile->running = -1;
}

/// Makes room for `kernel`; false if there is no memory.
static int grow(TsrProfile *profile, int32_t kernel) {
  int32_t capacity = profile->capacity < 64 ? 64 : profile->capacity;
  while (capacity <= kernel) capacity *= 2;
  uint64_t *nanoseconds = realloc(profile->nanoseconds, sizeof(uint64_t) * (size_t)capacity);
  if (nanoseconds == NULL) return 0;
  profile->nanoseconds = nanoseconds;
  uint64_t *calls = realloc(profile->calls, sizeof(uint64_t) * (size_t)capacity);
  if (calls == NULL) return 0;
  profile->calls = calls;
  const size_t added = sizeof(uint64_t) * (size_t)(capacity - profile->capacity);
  memset(nanoseconds + profile->capacity, 0, added);
  memset(calls + profile->capacity, 0, added);
  profile->capacity = capacity;
  return 1;
}

void tsr_profile_mark(TsrProfile *profile, int32_t kernel) {
  const uint64_t now = tsr_now();
  if (profile->running >= 0) {
    profile->nanoseconds[profile->running] += now - profile->started;
    profile->calls[profile->running] += 1;
  }
  profile->running = -1;
  if (kernel < 0 || kernel >= MAX_KERNELS) return;
  if (kernel >= profile->capacity && !grow(profile, kernel)) return;
  profile->running = kernel;
  profile->started = now;
}

void tsr_service_parallel_for(void *host, TsrBody body, void *context, int64_t count, int64_t grain) {
  tsr_pool_run(((TsrHost *)host)->pool, body, context, count, grain);
}

void tsr_service_mark(void *host, int32_t kernel) {
  TsrProfile *profile = ((TsrHost *)host)->profile;
  if (profile != NULL) tsr_profile_mark(profile, kernel);
}

static _Thread_local char text_of_thread[2048];

void tsr_set_text(const char *text) {
  size_t length = strlen(text);
  if (length > sizeof text_of_thread - 1) {
    length = sizeof text_of_thread - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
  }
  memmove(text_of_thread, text, length);
  text_of_thread[length] = 0;
}

const char *tsr_text(void) { return text_of_thread; }

const char *tsr_version(void) { return TESSERA_VERSION; }
