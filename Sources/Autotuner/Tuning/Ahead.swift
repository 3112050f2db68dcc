import Foundation

/// Work done on a thread of its own while its caller does something else.
final class Ahead<Value: Sendable>: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var result: Result<Value, any Error>?

  init(_ work: @escaping @Sendable () throws -> Value) {
    Thread.detachNewThread { [self] in
      result = Result { try work() }
      done.signal()
    }
  }

  /// Waits for it. Called once.
  func value() throws -> Value {
    done.wait()
    guard let result else { preconditionFailure("a result was set before the signal") }
    return try result.get()
  }
}
