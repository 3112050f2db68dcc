// A pool of threads for parallel loops of a few microseconds.
//
// The launching thread is worker 0 and works too. The others spin for a bounded time after a loop, since the next
// one tends to come within microseconds, and then sleep on a futex. A loop ends without waiting for those that did
// not wake in time to take part.
#pragma once
#include <stdint.h>

typedef struct TsrPool TsrPool;
/// As `TesseraBody` in tessera_plugin.h.
typedef void (*TsrBody)(void *context, int32_t worker, int64_t begin, int64_t end);

/// A pool of `workers` workers, the caller of a loop included; 1 starts no thread. Null if threads cannot be had.
TsrPool *tsr_pool_create(int32_t workers);
/// Ends and joins the threads. No loop may be running.
void tsr_pool_destroy(TsrPool *pool);
int32_t tsr_pool_workers(const TsrPool *pool);

/// Runs `body` over 0..<count, each iteration once, in contiguous pieces of at least `grain` (but for the last), and
/// returns when all are done. No two pieces of one call run at the same time under the same worker number.
///
/// Runs inline on the calling thread when there is only one piece's worth, when called from within a piece of the
/// same pool, and when another thread has the pool. Never blocks on another caller.
void tsr_pool_run(TsrPool *pool, TsrBody body, void *context, int64_t count, int64_t grain);
