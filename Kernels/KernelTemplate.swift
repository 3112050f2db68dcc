import TensorTypes
import TileIR

/// One way to compute one kind of workload: an algorithm, the knobs of its schedule, and the tile program for each
/// setting of them. Templates that accept the same workload compete.
public protocol KernelTemplate: Sendable {
  /// `family.variant`
  var name: String { get }

  /// The knobs' legal values, or nil if the template cannot do this workload on this machine.
  func space(for workload: Workload, on machine: Machine) -> KnobSpace?

  /// A good setting, found by reasoning alone: what an untuned compile uses.
  /// - Precondition: `space` is not nil.
  func defaultKnobs(for workload: Workload, on machine: Machine) -> Knobs

  /// Processor time of one core, in cycles, by reasoning alone: by this templates that accept the same workload are
  /// compared when nothing was measured. One without rivals need not say.
  func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double

  /// How the constant operands must lie in memory; nil keeps an operand as it is.
  func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?]

  /// Tensors that the kernel needs besides, kept from one phase to the next.
  func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType]

  /// The program. Its parameters are the workload's operands in order (packed ones with the packed shape), the
  /// output, extra outputs, then scratch buffers.
  func build(_ workload: Workload, knobs: Knobs, on machine: Machine) -> TileProgram
}

extension KernelTemplate {
  public func estimate(for workload: Workload, knobs: Knobs, on machine: Machine) -> Double { 0 }
  public func packing(for workload: Workload, knobs: Knobs, on machine: Machine) -> [WeightPacking?] {
    workload.operands.map { _ in nil }
  }
  public func scratch(for workload: Workload, knobs: Knobs, on machine: Machine) -> [TensorType] { [] }
}

extension [any KernelTemplate] {
  /// The template that should do `workload` soonest, with its default knobs; nil if none can do it. Of equal ones the
  /// first.
  public func best(for workload: Workload, on machine: Machine) -> (template: any KernelTemplate, knobs: Knobs)? {
    able(workload, machine).min { $0.cycles < $1.cycles }.map { ($0.template, $0.knobs) }
  }

  /// The lowest estimate of those that can do `workload`; nil if none can.
  public func cycles(for workload: Workload, on machine: Machine) -> Double? {
    able(workload, machine).map(\.cycles).min()
  }

  private func able(_ workload: Workload, _ machine: Machine) -> [(
    template: any KernelTemplate, knobs: Knobs, cycles: Double
  )] {
    filter { $0.space(for: workload, on: machine) != nil }.map { template in
      let knobs = template.defaultKnobs(for: workload, on: machine)
      return (template, knobs, template.estimate(for: workload, knobs: knobs, on: machine))
    }
  }
}

/// What is to be computed, down to shapes, strides and element types: what a tuning record is about.
public enum Workload: Hashable, Sendable, Codable {
  case matmul(MatmulWorkload)
  case convolution(ConvolutionWorkload)
  case attention(AttentionWorkload)
  case normalization(NormalizationWorkload)
  case reduction(ReductionWorkload)
  case elementwise(ElementwiseWorkload)
  case movement(MovementWorkload)
  case pool(PoolWorkload)
  case gather(GatherWorkload)
  case gatherSum(GatherSumWorkload)
  case resize(ResizeWorkload)
  case generate(GenerateWorkload)
  case scatter(ScatterWorkload)
  case scan(ScanWorkload)
  case sort(SortWorkload)
  case argReduce(ArgReduceWorkload)
  case random(RandomWorkload)
  case recurrent(RecurrentWorkload)
  case nonZero(NonZeroWorkload)

  /// What a message calls it.
  public var summary: String {
    let operands = operands.map { "\($0.element.rawValue)\($0.shape)" }.joined(separator: ", ")
    switch self {
    case .matmul: return "matmul of \(operands)"
    case .convolution: return "convolution of \(operands)"
    case .attention: return "attention of \(operands)"
    case .normalization: return "normalization of \(operands)"
    case .reduction: return "reduction of \(operands)"
    case .elementwise: return "elementwise on \(operands)"
    case .movement: return "movement of \(operands)"
    case .pool: return "pool of \(operands)"
    case .gather: return "gather from \(operands)"
    case .gatherSum: return "sums of gathered elements of \(operands)"
    case .resize: return "resize of \(operands)"
    case .generate: return "generate \(output.element.rawValue)\(output.shape)"
    case .scatter: return "scatter into \(operands)"
    case .scan: return "running sum of \(operands)"
    case .sort: return "sort of \(operands)"
    case .argReduce: return "search for the first of \(operands)"
    case .random: return "random \(output.element.rawValue)\(output.shape)"
    case .recurrent: return "recurrence on \(operands)"
    case .nonZero(let w): return "non-zero \(w.step.rawValue) of \(operands)"
    }
  }

  /// The operands in memory, in the order of the program's parameters.
  public var operands: [View] {
    switch self {
    case .matmul(let w): w.operands
    case .convolution(let w): w.operands
    case .attention(let w): w.operands
    case .normalization(let w): w.operands
    case .reduction(let w): w.operands
    case .elementwise(let w): w.operands
    case .movement(let w): w.operands
    case .pool(let w): w.operands
    case .gather(let w): w.operands
    case .gatherSum(let w): w.operands
    case .resize(let w): w.operands
    case .generate, .random: []
    case .scatter(let w): w.operands
    case .scan(let w): w.operands
    case .sort(let w): w.operands
    case .argReduce(let w): w.operands
    case .recurrent(let w): w.operands
    case .nonZero(let w): [w.x]
    }
  }

  public var output: View {
    switch self {
    case .matmul(let w): w.epilogue.output
    case .convolution(let w): w.epilogue.output
    case .attention(let w): w.output
    case .normalization(let w): w.epilogue.output
    case .reduction(let w): w.epilogue.output
    case .elementwise(let w): w.output
    case .movement(let w): w.output
    case .pool(let w): w.output
    case .gather(let w): w.output
    case .gatherSum(let w): w.output
    case .resize(let w): w.output
    case .generate(let w): w.output
    case .scatter(let w): w.output
    case .scan(let w): w.output
    case .sort(let w): w.output
    case .argReduce(let w): w.output
    case .random(let w): w.output
    case .recurrent(let w): w.output
    case .nonZero(let w): w.output
    }
  }

  /// What is computed besides `output`.
  public var extraOutputs: [View] {
    switch self {
    case .sort(let w): [w.indices]
    case .recurrent(let w): w.extraOutputs
    case .matmul, .convolution, .attention, .normalization, .reduction, .elementwise, .movement, .pool, .gather,
      .gatherSum, .resize, .generate, .scatter, .scan, .argReduce, .random, .nonZero:
      []
    }
  }
}

/// A tensor as a kernel sees it: element type, sizes, and strides in elements from an address given at run time.
/// A stride of 0 repeats along a dimension. Slices, transposes and broadcasts are views, not copies.
public struct View: Hashable, Sendable, Codable {
  public var element: ElementType
  public var shape: Shape
  public var strides: [Dim]

  public init(_ element: ElementType, _ shape: Shape, strides: [Dim]) {
    precondition(shape.count == strides.count, "a stride for each dimension")
    self.element = element
    self.shape = shape
    self.strides = strides
  }

  /// Row-major without gaps.
  public init(_ element: ElementType, _ shape: Shape) {
    self.init(element, shape, strides: BufferType(element, shape).strides)
  }
  public init(_ type: TensorType) { self.init(type.element, type.shape) }

  public var rank: Int { shape.count }
  /// Whether it has no elements, as far as is known.
  public var isEmpty: Bool { shape.contains(0) }
  public var buffer: BufferType { BufferType(element, shape, strides: strides) }

  /// Repeated along new outer dimensions and along dimensions of 1 until it has `target`'s shape.
  public func broadcast(to target: Shape) -> View {
    let missing = target.count - rank
    let padded =
      [Dim](repeating: 0, count: missing)
      + zip(shape, strides).enumerated().map { i, pair in
        pair.0 == 1 && target[missing + i] != 1 ? Dim(0) : pair.1
      }
    return View(element, target, strides: padded)
  }

  /// The same elements with dimensions `range` joined into one, if their strides allow it.
  public func collapsing(_ range: Range<Int>) -> View? {
    if range.isEmpty {
      return View(
        element, shape[..<range.lowerBound] + [1] + shape[range.lowerBound...],
        strides: strides[..<range.lowerBound] + [0] + strides[range.lowerBound...])
    }
    // Dimensions of size 1 have no say.
    let kept = range.filter { shape[$0] != 1 }
    for (outer, inner) in zip(kept, kept.dropFirst()) where strides[outer] != strides[inner] * shape[inner] {
      return nil
    }
    let stride = kept.last.map { strides[$0] } ?? strides[range.upperBound - 1]
    return View(
      element, shape[..<range.lowerBound] + [shape[range].product] + shape[range.upperBound...],
      strides: strides[..<range.lowerBound] + [stride] + strides[range.upperBound...])
  }
}

/// What happens to each element of a kernel's result on its way to memory: bias, activation, residual, scale, cast.
public struct Epilogue: Hashable, Sendable, Codable {
  /// Input 0 is the computed element, the others are `operands`; its result is what is stored.
  public var expression: Expression
  /// Of the output's shape (broadcast with strides of 0).
  public var operands: [View]
  public var output: View

  public init(expression: Expression, operands: [View], output: View) {
    precondition(expression.inputTypes.count == operands.count + 1, "the computed element and the operands")
    self.expression = expression
    self.operands = operands
    self.output = output
  }

  /// Stores what was computed.
  public init(output: View) {
    self.init(expression: Expression(inputs: [output.element]) { $0.input(0) }, operands: [], output: output)
  }
}

/// How a constant matrix is rearranged at compile time: from dimensions batch, k…, n (any strides) into panels
/// `[batch, ⌈N/width⌉, K, width]`, each panel's rows side by side, missing columns zero. K runs over all of k… in
/// row-major order. On the way k's dimensions may be transformed, each by a matrix: `k' = matrix · k`.
///
/// With `group` above 1 so many steps of k's innermost dimension stand side by side for each column,
/// `[batch, ⌈N/width⌉, K/group, width · group]`, zeros where that dimension ends; i32 as the panels' type stands for words of
/// so many numbers, `[batch, ⌈N/width⌉, K/group, width]`, the first step in the lowest bits.
public struct WeightPacking: Hashable, Sendable, Codable {
  /// The matrix within the tensor as it is, from element `offset` on.
  public var source: View
  public var offset: Dim = 0
  public var width: Int
  /// Element type in the panels.
  public var element: ElementType
  /// One a dimension of k: `[new size][size]`, nil to leave it as it is. Empty: none is transformed. Computed in double
  /// precision and rounded once.
  public var transforms: [[[Double]]?] = []
  /// Bits of a signed code, of which `32 / codeBits` steps of k share a word of the panel (i32), each plus half of its
  /// range, the first step in the lowest bits: `[batch, ⌈N/width⌉, ⌈K · codeBits / 32⌉, width]`. nil: an element is an
  /// element.
  public var codeBits: Int?
  /// How many steps of k stand side by side. Integers may be widened on the way.
  public var group = 1

  public init(source: View, width: Int, element: ElementType, group: Int = 1) {
    precondition(source.rank >= 3, "dimensions batch, k…, n")
    self.source = source
    self.group = group
    self.width = width
    self.element = element
  }

  /// A matrix that is the same for all of a batch is there once.
  public var packed: TensorType {
    let batches = source.strides[0] == 0 ? 1 : source.shape[0]
    let inner = depth[depth.count - 1].ceilDivided(by: Dim(group))
    let rows = codeBits.map { depth.product.ceilDivided(by: Dim(32 / $0)) } ?? depth.dropLast().product * inner
    return TensorType(
      element,
      [
        batches, source.shape[source.rank - 1].ceilDivided(by: Dim(width)), rows,
        Dim(element == .int32 ? width : width * group),
      ])
  }

  /// Sizes of k's dimensions in the panels.
  public var depth: Shape {
    let sizes = Array(source.shape[1..<(source.rank - 1)])
    return transforms.isEmpty
      ? sizes : zip(sizes, transforms).map { size, matrix in matrix.map { Dim($0.count) } ?? size }
  }
}

extension TileBuilder {
  /// The buffers of an epilogue's operands and output as parameters.
  func parameters(_ epilogue: Epilogue) -> (operands: [TileBuffer], output: TileBuffer) {
    let operands = epilogue.operands.enumerated().map { parameter("e\($0)", .input, $1.buffer) }
    return (operands, parameter("y", .output, epilogue.output.buffer))
  }
}
