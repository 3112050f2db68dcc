// What a core can do at most: fp32 multiply-adds in registers, and streams through memory. tools/lib/limits.py builds it with
// -march=native and calls it. A call returns the nanoseconds that its slowest thread takes, once all have begun.
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
// Enough to hide the latency of a multiply-add (4 cycles, 2 a cycle), and no more than there are registers.
#define SUMS 12
enum { most_threads = 256 };

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef float Unaligned __attribute__((vector_size(LANES * 4), aligned(4)));

typedef struct {
  void (*work)(const float *x, size_t reads, float *y, size_t writes, long times);
  const float *x;
  size_t reads;
  float *y;
  size_t writes;
  long times;
  atomic_int *waiting;
  double nanoseconds;
} Task;

const int lanes = LANES;
const int sums = SUMS;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

// `times` steps of SUMS independent multiply-adds, each of which the compiler must do.
static void multiply_adds(const float *x, size_t reads, float *y, size_t writes, long times) {
  Vector factor = {0}, sum[SUMS] = {0};
  __asm__ volatile("" : "+v"(factor));
  for (long step = 0; step < times; step++) {
    for (int i = 0; i < SUMS; i++) {
      sum[i] = sum[i] * factor + factor;
      __asm__ volatile("" : "+v"(sum[i]));
    }
  }
}

// Reads and writes so many floats, side by side as long as there are both, `times` over.
static void stream(const float *x, size_t reads, float *y, size_t writes, long times) {
  size_t both = (reads < writes ? reads : writes) / LANES * LANES;
  for (long time = 0; time < times; time++) {
    Vector sum[4] = {0};
    size_t i = 0;
    for (; i < both; i += LANES) *(Unaligned *)(y + i) = *(const Unaligned *)(x + i);
    for (size_t at = i; at + 4 * LANES <= reads; at += 4 * LANES) {
      for (int k = 0; k < 4; k++) sum[k] += *(const Unaligned *)(x + at + k * LANES);
    }
    for (size_t at = i; at + LANES <= writes; at += LANES) *(Unaligned *)(y + at) = sum[0];
    for (int k = 0; k < 4; k++) __asm__ volatile("" : "+v"(sum[k]) : : "memory");
  }
}

static void *run(void *argument) {
  Task *task = argument;
  atomic_fetch_sub(task->waiting, 1);
  while (atomic_load(task->waiting) > 0) {
  }
  double start = now();
  task->work(task->x, task->reads, task->y, task->writes, task->times);
  task->nanoseconds = now() - start;
  return NULL;
}

static double together(int threads, Task whole) {
  pthread_t handles[most_threads];
  Task tasks[most_threads];
  atomic_int waiting = threads;
  double slowest = 0;
  for (int i = 0; i < threads; i++) {
    size_t reads = whole.reads / threads, writes = whole.writes / threads;
    tasks[i] = whole;
    tasks[i].x += i * reads, tasks[i].reads = reads;
    tasks[i].y += i * writes, tasks[i].writes = writes;
    tasks[i].waiting = &waiting;
    if (i > 0) pthread_create(&handles[i], NULL, run, &tasks[i]);
  }
  run(&tasks[0]);
  for (int i = 0; i < threads; i++) {
    if (i > 0) pthread_join(handles[i], NULL);
    if (tasks[i].nanoseconds > slowest) slowest = tasks[i].nanoseconds;
  }
  return slowest;
}

double time_multiply_adds(int threads, long times) {
  return together(threads, (Task){.work = multiply_adds, .times = times});
}

double time_stream(int threads, const float *x, size_t reads, float *y, size_t writes, long times) {
  return together(threads, (Task){.work = stream, .x = x, .reads = reads, .y = y, .writes = writes, .times = times});
}
