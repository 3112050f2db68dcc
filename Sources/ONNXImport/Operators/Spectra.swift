import Glibc
import GraphIR
import TensorTypes

// Fourier transforms of known length, as products with matrices of sines and cosines.

let spectrumRows: [OperatorRow] = [
  .one("DFT", since: 17) { n in try n.fourier(axis: n.int("axis", default: 1)) },
  .one("DFT", since: 20) { n in
    let axis = try n.optionalInput(2).map { try n.integers($0, "the axis").first ?? -2 } ?? -2
    return try n.fourier(axis: axis)
  },
  .one("STFT") { n in try n.shortTimeFourier() },
]

/// Σₙ x[n]·exp(∓2πi·nk/N) for `length` numbers, of which the first `bins` are wanted.
private struct FourierMatrix {
  var length: Int
  var bins: Int
  var isInverse = false

  /// Angles are reduced exactly, so that long transforms lose nothing.
  func angle(_ n: Int, _ k: Int) -> Double {
    (isInverse ? 2 : -2) * Double.pi * Double(n * k % length) / Double(length)
  }
  var scale: Double { isInverse ? 1 / Double(length) : 1 }

  /// Row of an input number's real or imaginary part, column of an output number's: `[count·parts, bins·2]`.
  func matrix(count: Int, parts: Int, _ element: ElementType) -> HostTensor {
    var values: [Double] = []
    values.reserveCapacity(count * parts * bins * 2)
    for n in 0..<count {
      for part in 0..<parts {
        for k in 0..<bins {
          let (c, s) = (cos(angle(n, k)) * scale, sin(angle(n, k)) * scale)
          // (a + bi)(c + si)
          values += part == 0 ? [c, s] : [-s, c]
        }
      }
    }
    return HostTensor(element, [count * parts, bins * 2], .floats(values))
  }
}

extension NodeImport {
  /// Largest matrix built for a transform, in elements.
  private static let matrixLimit = 1 << 25

  private func checked(_ length: Int, _ rows: Int, _ columns: Int) throws {
    guard length > 0, rows > 0, rows < 1 << 20, columns < 1 << 20, rows * columns <= Self.matrixLimit else {
      throw Failure.badData("a Fourier transform of length \(length) is not supported")
    }
  }

  fileprivate func fourier(axis given: Int) throws -> ValueID {
    let x = try input(0)
    let rank = rank(x)
    guard rank >= 2, let parts = shape(x)[rank - 1].constant, parts == 1 || parts == 2 else {
      throw Failure.badData("a last dimension of 1 or 2 is needed, not \(type(x))")
    }
    let axis = try axis(given, rank: rank)
    guard axis < rank - 1, let count = shape(x)[axis].constant else {
      throw Failure.badData("the transform's length must be known: axis \(axis) of \(type(x))")
    }
    let isInverse = try flag("inverse")
    let isOneSided = try flag("onesided")
    let given = try optionalInput(1).map { try size($0, "the transform's length") }
    // Half of the spectrum of real numbers stands for all of it, and a transform back takes it so.
    let isRealResult = isInverse && isOneSided
    guard let length = given.map({ $0.constant }) ?? (isRealResult ? 2 * (count - 1) : count), length > 0 else {
      throw Failure.badData("the transform's length must be known")
    }
    let bins = isOneSided && !isInverse ? length / 2 + 1 : length
    let used = min(count, isRealResult ? length / 2 + 1 : length)
    try checked(length, used * parts, bins * 2)
    let transform = FourierMatrix(length: length, bins: bins, isInverse: isInverse)
    let matrix =
      isRealResult
      ? mirrored(transform, used, parts, element(x)) : transform.matrix(count: used, parts: parts, element(x))
    // The axis next to the parts, both as one dimension of rows.
    let order = (0..<rank - 1).filter { $0 != axis } + [axis, rank - 1]
    let cut = try slice(x, axis: axis, start: 0, size: Dim(used))
    let moved = try transpose(cut, order)
    let outer = Array(shape(moved).dropLast(2))
    let product = try add(
      MatMul(), reshape(moved, [outer.product, Dim(used * parts)]), constant(matrix))
    let resultParts = isRealResult ? 1 : 2
    let spread = try reshape(product, outer + [Dim(bins), Dim(resultParts)])
    var inverse = order
    for (to, from) in order.enumerated() { inverse[from] = to }
    return try transpose(spread, inverse)
  }

  /// The real numbers whose spectrum's first half is given: every bin but the first (and the middle one) counts twice.
  private func mirrored(_ transform: FourierMatrix, _ used: Int, _ parts: Int, _ element: ElementType) -> HostTensor {
    var values: [Double] = []
    for n in 0..<used {
      let twice: Double = n == 0 || 2 * n == transform.length ? 1 : 2
      for part in 0..<parts {
        for k in 0..<transform.bins {
          let angle = transform.angle(n, k)
          values.append(twice * transform.scale * (part == 0 ? cos(angle) : -sin(angle)))
        }
      }
    }
    return HostTensor(element, [used * parts, transform.bins], .floats(values))
  }

  /// A strided convolution whose taps are the window's samples times the transform's matrix.
  fileprivate func shortTimeFourier() throws -> ValueID {
    let x = try input(0)
    guard rank(x) == 3, let parts = shape(x)[2].constant, parts == 1 || parts == 2 else {
      throw Failure.badData("a signal of shape [batch, length, 1 or 2] is needed, not \(type(x))")
    }
    guard let step = try size(input(1), "the frame's step").constant, step > 0 else {
      throw Failure.badData("the frame's step must be a known positive number")
    }
    let window = try optionalInput(2).map { try constant($0, "the window").doubles }
    let given = try optionalInput(3).map { try size($0, "the frame's length") }
    guard let length = given?.constant ?? window?.count, length > 0, window.map({ $0.count == length }) ?? true else {
      throw Failure.badData("the frame's length must be known, and the window's")
    }
    let isOneSided = try flag("onesided", default: true)
    let bins = isOneSided ? length / 2 + 1 : length
    try checked(length, length * parts, bins * 2)
    let matrix = FourierMatrix(length: length, bins: bins).matrix(count: length, parts: parts, element(x)).doubles
    // From [length · parts, bins · 2] to [bins · 2, parts, length].
    var taps: [Double] = []
    taps.reserveCapacity(matrix.count)
    for column in 0..<bins * 2 {
      for part in 0..<parts {
        for n in 0..<length { taps.append(matrix[(n * parts + part) * bins * 2 + column] * (window?[n] ?? 1)) }
      }
    }
    let weights = constant(HostTensor(element(x), [bins * 2, parts, length], .floats(taps)))
    let frames = try add(
      Convolve(strides: [step], dilations: [1], padsBefore: [0], padsAfter: [0], groups: 1), transpose(x, [0, 2, 1]),
      weights)
    let result = shape(frames)
    return try reshape(transpose(frames, [0, 2, 1]), [result[0], result[2], Dim(bins), 2])
  }
}
