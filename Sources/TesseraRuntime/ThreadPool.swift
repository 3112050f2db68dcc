internal import Synchronization
public import TensorTypes
internal import TesseraHost

/// Threads for the parallel loops of running models: see pool.h for how they wait and share.
public final class ThreadPool: @unchecked Sendable {
  let pool: OpaquePointer
  /// Workers of a loop, the calling thread included.
  public let workers: Int

  /// - Parameter workers: at least 1; at most 1024.
  /// - Throws: `Failure` of kind `noDevice` if the system has no more threads.
  public init(workers: Int) throws(Failure) {
    guard (1...Self.limit).contains(workers) else {
      throw Failure(.usage, "a thread pool has 1 to \(Self.limit) threads, not \(workers)")
    }
    guard let pool = tsr_pool_create(Int32(workers)) else {
      throw Failure(.noDevice, "the system has no room for \(workers) more threads")
    }
    self.pool = pool
    self.workers = workers
  }

  deinit { tsr_pool_destroy(pool) }

  public static let limit = 1024
  /// Threads where no number is asked for: the CPUs there are.
  public static var usualSize: Int { min(CPU.available, limit) }

  /// The pool of this size, which everyone who asks for the same size gets while someone holds it.
  public static func shared(workers: Int) throws(Failure) -> ThreadPool {
    try pools.withLock { pools throws(Failure) in
      if let pool = pools[workers]?.pool { return pool }
      let pool = try ThreadPool(workers: workers)
      pools[workers] = Weak(pool: pool)
      return pool
    }
  }

  private struct Weak: Sendable { weak var pool: ThreadPool? }
  private static let pools = Mutex<[Int: Weak]>([:])

  /// One piece of a loop: which worker runs it, and its iterations.
  public typealias Body = (_ worker: Int, _ iterations: Range<Int>) -> Void

  /// Runs `body` over `0..<count` in pieces of at least `grain`, each iteration once; returns when all are done.
  /// For tests and the host's own loops: compiled models call the C function directly.
  public func parallelFor(count: Int, grain: Int, _ body: Body) {
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { context in
        tsr_pool_run(
          pool,
          { context, worker, begin, end in
            guard let context else { return }
            context.assumingMemoryBound(to: Body.self).pointee(Int(worker), Int(begin)..<Int(end))
          }, UnsafeMutableRawPointer(mutating: context), Int64(count), Int64(grain))
      }
    }
  }

  /// Nanoseconds that a loop of one trivial piece a worker takes, the median of `samples`.
  public func launchLatency(samples: Int = 1000) -> Double {
    var times: [Double] = []
    times.reserveCapacity(samples)
    let body: TsrBody = { _, _, _, _ in }
    for _ in 0..<max(1, samples) {
      let start = tsr_now()
      for _ in 0..<16 { tsr_pool_run(pool, body, nil, Int64(workers), 1) }
      times.append(Double(tsr_now() - start) / 16)
    }
    return times.sorted()[times.count / 2]
  }
}
