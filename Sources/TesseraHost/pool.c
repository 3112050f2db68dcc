#define _GNU_SOURCE
#include "pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "TesseraHost.h"

// `state` in one word, so that joining a loop is one compare-and-swap:
//   bits 63…32  the loop's number
//   bit  31     open: workers may still join
//   bits 15…0   workers that have joined and not left
// The loop's own fields are written only while the word is closed with nobody joined.
#define OPEN ((uint64_t)1 << 31)
#define JOINED(state) ((uint32_t)((state) & 0xFFFF))
#define NUMBER(state) ((uint32_t)((state) >> 32))

enum { CACHE_LINE = 128, STACK_SIZE = 8 << 20, MAX_WORKERS = 1024 };
// How long an idle worker, or a launcher whose workers are not done, spins before it sleeps.
static const uint64_t SPIN_NANOSECONDS = 100 * 1000;
// The same when there are more workers than CPUs: the spinner holds up the one it waits for.
static const uint64_t CROWDED_SPIN_NANOSECONDS = 2 * 1000;

struct Worker {
  TsrPool *pool;
  int32_t number;
  pthread_t thread;
};

struct TsrPool {
  int32_t workers;
  uint64_t spin;
  struct Worker *threads;          // workers - 1 of them

  // Written at each launch, read by all.
  _Alignas(CACHE_LINE) _Atomic uint64_t state;
  TsrBody body;
  void *context;
  int64_t count, grain;

  _Alignas(CACHE_LINE) _Atomic int64_t next;      // first iteration not yet claimed
  _Alignas(CACHE_LINE) _Atomic uint32_t launches;  // futex: changes with every launch, and at the end
  _Atomic uint32_t sleepers;
  _Alignas(CACHE_LINE) _Atomic uint32_t finishes;  // futex: changes when the last joined worker leaves
  _Atomic uint32_t waiting;                         // the launcher sleeps on `finishes`
  _Alignas(CACHE_LINE) _Atomic uint32_t taken;     // a thread is launching
  _Atomic uint32_t stop;
};

/// The pool whose piece this thread is running, and as which worker.
static _Thread_local TsrPool *running_pool;
static _Thread_local int32_t running_worker;

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t expected) {
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/// Claims and runs pieces until none are left. Pieces shrink as the loop nears its end: large ones first for
/// locality and few claims, small ones last so that workers end together.
static void work(TsrPool *pool, int32_t worker) {
  TsrPool *outer_pool = running_pool;
  int32_t outer_worker = running_worker;
  running_pool = pool;
  running_worker = worker;
  const TsrBody body = pool->body;
  void *const context = pool->context;
  const int64_t count = pool->count, grain = pool->grain, share = 2 * (int64_t)pool->workers;
  int64_t begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
  while (begin < count) {
    const int64_t left = count - begin;
    int64_t size = left / share;
    if (size < grain) size = grain;
    if (size > left) size = left;
    if (!atomic_compare_exchange_weak_explicit(&pool->next, &begin, begin + size, memory_order_relaxed,
                                               memory_order_relaxed))
      continue;
    body(context, worker, begin, begin + size);
    begin = atomic_load_explicit(&pool->next, memory_order_relaxed);
  }
  running_pool = outer_pool;
  running_worker = outer_worker;
}

/// Waits until a loop other than number `seen` has been launched, or the pool ends.
static void await_launch(TsrPool *pool, uint32_t seen) {
  const uint64_t deadline = tsr_now() + pool->spin;
  do {
    for (int i = 0; i < 64; i++) {
      if (NUMBER(atomic_load_explicit(&pool->state, memory_order_acquire)) != seen) return;
      relax();
    }
    if (atomic_load_explicit(&pool->stop, memory_order_relaxed)) return;
  } while (tsr_now() < deadline);

  // A launcher changes `state`, then `launches`, then reads `sleepers`; a sleeper counts itself, then reads both.
  // Whatever the order, either the launcher sees the sleeper or the sleeper sees the launch.
  atomic_fetch_add(&pool->sleepers, 1);
  for (;;) {
    const uint32_t launches = atomic_load(&pool->launches);
    if (NUMBER(atomic_load(&pool->state)) != seen || atomic_load(&pool->stop)) break;
    futex_wait(&pool->launches, launches);
  }
  atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker_main(void *argument) {
  struct Worker *self = argument;
  TsrPool *pool = self->pool;
  uint32_t seen = 0;
  while (!atomic_load_explicit(&pool->stop, memory_order_acquire)) {
    await_launch(pool, seen);
    uint64_t state = atomic_load_explicit(&pool->state, memory_order_acquire);
    while (state & OPEN) {
      if (!atomic_compare_exchange_weak_explicit(&pool->state, &state, state + 1, memory_order_acquire,
                                                 memory_order_acquire))
        continue;
      work(pool, self->number);
      state = atomic_fetch_sub(&pool->state, 1) - 1;
      if (!(state & OPEN) && JOINED(state) == 0) {
        atomic_fetch_add(&pool->finishes, 1);
        if (atomic_load(&pool->waiting)) futex_wake(&pool->finishes, 1);
      }
      break;
    }
    seen = NUMBER(state);
  }
  return NULL;
}

/// Waits until every worker that joined the closed loop has left it.
static void await_workers(TsrPool *pool) {
  const uint64_t deadline = tsr_now() + pool->spin;
  do {
    for (int i = 0; i < 64; i++) {
      if (JOINED(atomic_load_explicit(&pool->state, memory_order_acquire)) == 0) return;
      relax();
    }
  } while (tsr_now() < deadline);
  atomic_store(&pool->waiting, 1);
  for (;;) {
    const uint32_t finishes = atomic_load(&pool->finishes);
    if (JOINED(atomic_load(&pool->state)) == 0) break;
    futex_wait(&pool->finishes, finishes);
  }
  atomic_store(&pool->waiting, 0);
}

void tsr_pool_run(TsrPool *pool, TsrBody body, void *context, int64_t count, int64_t grain) {
  if (count <= 0) return;
  if (grain < 1) grain = 1;
  if (running_pool == pool) {
    body(context, running_worker, 0, count);
    return;
  }
  if (pool->workers == 1 || count <= grain ||
      atomic_exchange_explicit(&pool->taken, 1, memory_order_acquire) != 0) {
    body(context, 0, 0, count);
    return;
  }
  pool->body = body;
  pool->context = context;
  pool->count = count;
  pool->grain = grain;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  const uint64_t old = atomic_load_explicit(&pool->state, memory_order_relaxed);
  atomic_store(&pool->state, ((uint64_t)(NUMBER(old) + 1) << 32) | OPEN);
  atomic_fetch_add(&pool->launches, 1);
  if (atomic_load(&pool->sleepers) > 0) {
    const int64_t others = (count - 1) / grain;
    futex_wake(&pool->launches, others < pool->workers - 1 ? (int)others : pool->workers - 1);
  }
  work(pool, 0);
  if (JOINED(atomic_fetch_and(&pool->state, ~OPEN)) != 0) await_workers(pool);
  atomic_store_explicit(&pool->taken, 0, memory_order_release);
}

int32_t tsr_pool_workers(const TsrPool *pool) { return pool->workers; }

TsrPool *tsr_pool_create(int32_t workers) {
  if (workers < 1) workers = 1;
  if (workers > MAX_WORKERS) workers = MAX_WORKERS;
  TsrPool *pool = NULL;
  if (posix_memalign((void **)&pool, CACHE_LINE, sizeof *pool) != 0) return NULL;
  memset(pool, 0, sizeof *pool);
  pool->workers = workers;
  pool->spin = workers <= tsr_available_cpus() ? SPIN_NANOSECONDS : CROWDED_SPIN_NANOSECONDS;
  pool->threads = calloc((size_t)workers, sizeof *pool->threads);
  if (pool->threads == NULL) {
    free(pool);
    return NULL;
  }
  // Signals are for the host's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  int32_t started = 0;
  for (int32_t i = 0; i < workers - 1; i++) {
    struct Worker *worker = &pool->threads[i];
    *worker = (struct Worker){.pool = pool, .number = i + 1};
    if (pthread_create(&worker->thread, &attributes, worker_main, worker) != 0) break;
    pthread_setname_np(worker->thread, "tessera");
    started++;
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started < workers - 1) {
    pool->workers = started + 1;
    tsr_pool_destroy(pool);
    return NULL;
  }
  return pool;
}

void tsr_pool_destroy(TsrPool *pool) {
  atomic_store(&pool->stop, 1);
  atomic_fetch_add(&pool->launches, 1);
  futex_wake(&pool->launches, INT_MAX);
  for (int32_t i = 0; i < pool->workers - 1; i++) pthread_join(pool->threads[i].thread, NULL);
  free(pool->threads);
  free(pool);
}
