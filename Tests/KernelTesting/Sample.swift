import Kernels
import TensorTypes

/// A view's elements in memory, for references written with plain loops.
public struct Sample {
  public let view: View
  public let memory: GuardedMemory
  private let strides: [Int]
  public let shape: [Int]

  public init(_ view: View, sizes: [String: Int] = [:], guardsFront: Bool = false) {
    self.view = view
    let strides = view.strides.map { $0.evaluate(sizes)! }
    let shape = view.shape.map { $0.evaluate(sizes)! }
    (self.strides, self.shape) = (strides, shape)
    let extent = shape.contains(0) ? 0 : zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
    memory = GuardedMemory(view.element, count: extent, guardsFront: guardsFront)
  }

  public func offset(_ index: [Int]) -> Int { zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 } }
  public subscript(_ index: [Int]) -> Scalar { memory[offset(index)] }

  /// All of memory, gaps included.
  public func fill(_ value: () -> Scalar) { for i in 0..<memory.count { memory[i] = value() } }
}

/// Every index of a shape, in row-major order.
public func forEachIndex(_ shape: [Int], _ body: ([Int]) -> Void) {
  if shape.contains(0) { return }
  var index = [Int](repeating: 0, count: shape.count)
  while true {
    body(index)
    var d = shape.count - 1
    while d >= 0 {
      index[d] += 1
      if index[d] < shape[d] { break }
      index[d] = 0
      d -= 1
    }
    if d < 0 { return }
  }
}

extension ElementType {
  /// A number that tests can compute with: floats in -2...2, small integers, any bool.
  public func random(_ generator: inout some RandomNumberGenerator) -> Scalar {
    if isFloat { return .float(rounded(Double.random(in: -2...2, using: &generator))) }
    if self == .bool { return .integer(Int64.random(in: 0...1, using: &generator)) }
    return .integer(Int64.random(in: (isSignedInteger ? -100 : 0)...100, using: &generator))
  }
}
