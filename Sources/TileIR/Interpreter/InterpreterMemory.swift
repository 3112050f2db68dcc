import TensorTypes

/// The memory of one buffer and what is known of each element of it.
final class InterpreterMemory {
  let name: String
  let element: ElementType
  let shape: [Int]
  /// In elements, none negative.
  let strides: [Int]
  /// Elements from the first to the last addressed one.
  let count: Int
  let bytes: UnsafeMutableRawPointer
  /// Whether each element was stored to; nil for inputs.
  let written: UnsafeMutablePointer<Bool>?
  /// nil where no two may meet: inputs and local memory.
  let accesses: UnsafeMutablePointer<AccessRecord>?

  enum Kind { case input, output, local, shared }

  /// What a fresh byte of undefined memory is: nothing that looks like a number one would expect.
  static let undefinedByte: UInt8 = 0xcb
  static let maximumElements = 1 << 30

  init(_ kind: Kind, name: String, element: ElementType, shape: [Int], strides: [Int], count: Int) {
    self.name = name
    self.element = element
    self.shape = shape
    self.strides = strides
    self.count = count
    let byteCount = count * element.byteCount
    bytes = .allocate(byteCount: max(byteCount, 1), alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: InterpreterMemory.undefinedByte, count: byteCount)
    switch kind {
    case .input: written = nil
    case .output, .local, .shared:
      written = .allocate(capacity: max(count, 1))
      written?.initialize(repeating: false, count: count)
    }
    switch kind {
    case .input, .local: accesses = nil
    case .output, .shared:
      accesses = .allocate(capacity: max(count, 1))
      accesses?.initialize(repeating: AccessRecord(), count: count)
    }
  }

  deinit {
    bytes.deallocate()
    written?.deallocate()
    accesses?.deallocate()
  }

  /// Elements from the first to the last of a buffer; nil if a size is negative or the buffer too large.
  static func extent(_ shape: [Int], _ strides: [Int]) -> Int? {
    var last = 0
    for (size, stride) in zip(shape, strides) {
      guard size >= 0, stride >= 0 else { return nil }
      let (product, overflow) = max(size - 1, 0).multipliedReportingOverflow(by: stride)
      guard !overflow, product <= maximumElements else { return nil }
      last += product
    }
    guard last < maximumElements else { return nil }
    return shape.contains(0) ? 0 : last + 1
  }

  /// The first element, in row-major order, that lies within the shape and was not stored to.
  func firstUnwritten() -> [Int]? {
    guard let written, count > 0 else { return nil }
    var position = [Int](repeating: 0, count: shape.count)
    while true {
      let offset = zip(position, strides).reduce(0) { $0 + $1.0 * $1.1 }
      if !written[offset] { return position }
      var d = shape.count - 1
      while d >= 0 {
        position[d] += 1
        if position[d] < shape[d] { break }
        position[d] = 0
        d -= 1
      }
      if d < 0 { return nil }
    }
  }
}

/// Who touched an element last: iterations of the present phase, and threads since the last barrier.
struct AccessRecord {
  private var phase = Marks()
  private var epoch = Marks()

  /// Who read and who wrote since the period began. 0 is nobody.
  private struct Marks {
    var period: UInt32 = 0
    var writer: UInt32 = 0
    var reader: UInt32 = 0
    static let many = UInt32.max

    /// - Returns: whether `who` meets somebody else in the same period, one of them writing.
    @inline(__always)
    mutating func note(_ who: UInt32, period: UInt32, isWrite: Bool) -> Bool {
      if period != self.period { self = Marks(period: period) }
      var meets = writer != 0 && writer != who
      if isWrite {
        meets = meets || (reader != 0 && reader != who)
        writer = who
      } else {
        reader = reader == 0 || reader == who ? who : Marks.many
      }
      return meets
    }
  }

  /// - Returns: whether this access races with an earlier one.
  @inline(__always)
  mutating func note(_ thread: InterpreterThread, isWrite: Bool) -> Bool {
    let state = thread.state
    guard thread.iteration != 0 else { return false }
    if phase.note(thread.iteration, period: state.phase, isWrite: isWrite) { return true }
    return state.isGrid && epoch.note(thread.identity, period: state.epoch, isWrite: isWrite)
  }
}
