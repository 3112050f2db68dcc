import Dispatch
import Synchronization

/// What `body` gives for each of 0..<count, in order, up to `jobs` of them worked out at a time.
/// - Throws: the error of the first body that threw one; then some were not run.
@discardableResult
public func concurrently<Result: Sendable>(_ count: Int, jobs: Int, _ body: (Int) throws -> Result) throws -> [Result] {
  let next = Atomic(0)
  let results = Mutex([Result?](repeating: nil, count: count))
  let failed = Mutex<(index: Int, error: any Error)?>(nil)
  withoutActuallyEscaping(body) { body in
    nonisolated(unsafe) let body = body
    DispatchQueue.concurrentPerform(iterations: max(1, min(jobs, count))) { _ in
      while true {
        let i = next.add(1, ordering: .relaxed).oldValue
        guard i < count, failed.withLock({ $0 == nil }) else { return }
        do {
          let result = try body(i)
          results.withLock { $0[i] = result }
        } catch {
          failed.withLock { if $0.map({ i < $0.index }) ?? true { $0 = (i, error) } }
        }
      }
    }
  }
  if let error = failed.withLock({ $0?.error }) { throw error }
  return results.withLock { $0.map { $0! } }
}
