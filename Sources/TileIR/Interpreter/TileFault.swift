/// What the interpreter found a program to do wrong.
public struct TileFault: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// An index outside of the buffer's shape.
    case outOfBounds
    /// A read of an element that nothing was stored to.
    case unwrittenRead
    /// Two iterations that may run at the same time, or two lanes without a barrier between, touch an element, and at
    /// least one of them stores to it.
    case race
    /// Lanes of one grid iteration that don't all reach the same barrier.
    case divergentBarrier
    /// An output that is not stored to everywhere.
    case unwrittenOutput
    /// More lanes, or more memory, than can be interpreted.
    case tooLarge
  }

  public var kind: Kind
  /// As the printer writes it; empty at the program's end.
  public var operation: String
  /// The name of the parameter, or `%n`.
  public var buffer: String
  /// Where in the buffer, one a dimension.
  public var indices: [Int]
  public var detail: String

  public var description: String {
    let place = buffer.isEmpty ? "" : " at \(buffer)\(indices)"
    return "\(kind.rawValue)\(place): \(detail)" + (operation.isEmpty ? "" : " in '\(operation)'")
  }
}
