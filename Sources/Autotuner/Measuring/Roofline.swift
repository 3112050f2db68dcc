import Compiler
import Foundation
import LLVMBackend
import TensorTypes
import TesseraRuntime
import TileIR

/// What a machine can do at most, measured with loops that do nothing else: fp32 multiply-adds in registers, and reading
/// as much again and again as some cache, or none, holds.
public struct Roofline: Sendable {
  /// Operations a nanosecond in fp32, all threads together.
  public let operations: Double
  /// Bytes a nanosecond, all threads together, of amounts from small to what only memory holds.
  let reading: [(amount: Double, rate: Double)]

  /// Bytes of memory a nanosecond.
  public var memoryRate: Double { reading.last!.rate }

  /// Nanoseconds that some work takes at least when it is done again and again.
  /// - Parameter productsAtATime: how many of its products take as long as one of fp32.
  func time(_ work: Work, productsAtATime: Double) -> Double {
    max(work.operations / (operations * productsAtATime), work.bytes / rate(work.bytes))
  }

  /// How fast so much can be read: as fast as anything that is not a good deal less.
  func rate(_ bytes: Double) -> Double {
    reading.filter { $0.amount > bytes / 4 }.map(\.rate).max() ?? memoryRate
  }

  /// Takes about a second.
  public static func measure(_ target: Target, threads: Int, folder: String) throws -> Roofline {
    let steps = 1 << 20
    let lanes = target.machine.lanes
    let arithmetic = try time(multiplyAdds(lanes: lanes, threads, steps), lanes, target, threads, folder)
    let reading = try [16, 18, 20, 22, 24].map { exponent in
      let elements = 1 << exponent
      let bytes = Double(elements * 4)
      return (bytes, bytes / (try time(reads(lanes: lanes, elements), elements, target, threads, folder)))
    }
    return Roofline(
      operations: Double(threads * steps * accumulators * lanes * 2) / arithmetic, reading: reading)
  }

  /// Enough to hide the latency of one multiply-add (4 cycles, 2 a cycle), and no more than there are registers.
  private static let accumulators = 12

  private static func multiplyAdds(lanes: Int, _ threads: Int, _ steps: Int) -> TileProgram {
    let b = TileBuilder("multiply_adds")
    let x = b.parameter("x", .input, BufferType(.float32, [Dim(lanes)]))
    let y = b.parameter("y", .output, BufferType(.float32, [Dim(threads), Dim(lanes)]))
    b.loop(.parallel(grain: 1), to: b.index(threads)) { i in
      let factor = x.load([.span(b.index(0), 0)], shape: [lanes])
      let starts = (0..<accumulators).map { factor * b.constant(Double($0)) }
      let sums = b.loop(to: b.index(steps), carrying: starts) { _, sums in sums.map { factor.fma(factor, $0) } }
      y.store(sums.dropFirst().reduce(sums[0], +), [.at(i), .span(b.index(0), 0)])
    }
    return b.finish()
  }

  private static func reads(lanes: Int, _ elements: Int) -> TileProgram {
    let (block, vectors) = (1 << 14, 8)
    let b = TileBuilder("reads_\(elements)")
    let x = b.parameter("x", .input, BufferType(.float32, [Dim(elements)]))
    let y = b.parameter("y", .output, BufferType(.float32, [Dim(elements / block), Dim(lanes)]))
    b.loop(.parallel(grain: 1), to: b.index(elements / block)) { i in
      let starts = (0..<vectors).map { _ in b.constant(0, .float32, [lanes]) }
      let start = i * block
      let sums = b.loop(to: b.index(block), step: lanes * vectors, carrying: starts) { at, sums in
        sums.enumerated().map { $1 + x.load([.span(start + at + $0 * lanes, 0)], shape: [lanes]) }
      }
      y.store(sums.dropFirst().reduce(sums[0], +), [.at(i), .span(b.index(0), 0)])
    }
    return b.finish()
  }

  /// The shortest of some runs: what the machine can do, not what it does on average.
  private static func time(
    _ program: TileProgram, _ elements: Int, _ target: Target, _ threads: Int, _ folder: String
  ) throws -> Double {
    let path = "\(folder)/\(program.name).so"
    try KernelLibrary.write(program, symbols: [], for: target, to: path)
    defer { unlink(path) }
    let session = try Session(library: Library(path: path, options: Library.Options(threads: threads)))
    let input = try GuardedBuffer(byteCount: elements * 4)
    memset(input.bytes.baseAddress!, 0, input.bytes.count)
    let port = session.library.outputs[0]
    let output = try GuardedBuffer(byteCount: 4 * session.outputShapes(for: [[elements]])[0].reduce(1, *))
    try session.bind(input: 0, to: TensorView(.float32, [elements], UnsafeRawBufferPointer(input.bytes)))
    let shape = [output.bytes.count / port.element.byteCount]
    try session.bind(output: 0, to: MutableTensorView(port.element, shape, output.bytes))
    var best = Double.infinity
    let clock = ContinuousClock()
    for _ in 0..<30 { best = min(best, try clock.measure { try session.runBound() } / .nanoseconds(1)) }
    return best
  }
}
