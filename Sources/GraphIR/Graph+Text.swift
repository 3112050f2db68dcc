import TensorTypes

// The text of a graph, one value or node a line, in the order of value numbers:
//
//   graph "name" {
//     %0 = input "x": f32[1, 3, h, w]
//     %1 "weights" = constant: f32[64, 3, 7, 7] #3f9d0c4be2a17708
//     %2 = constant: i64[2] {1, -1}
//     %3 "y" = reduce(%0) [function=.sum, axes=[2], keep_dims=true]: f32[1, 3, 1, w] @"ReduceSum_3"
//     output "y" = %3
//   }
//
// `_` stands for an absent operand. Sizes are in angle brackets, `<2*h, 3>`; words begin with a point; lists of
// floats with an `f`, `f[0.5, 1.0]`; expressions and graphs are written as they are. A constant of more than 32
// elements is given by a digest of its elements: such a text is parsed together with `Graph.weights`, or printed with
// `constants: .full`, which writes the elements' bytes, `0x…`, in memory order.

extension Graph: CustomStringConvertible {
  public enum ConstantStyle: Sendable { case digest, full }

  public var description: String { text() }

  public func text(constants style: ConstantStyle = .digest) -> String { text(style, indent: "") + "\n" }

  /// The large constants by their digests, of this graph and of those in attributes.
  public var weights: [String: HostTensor] {
    var all: [String: HostTensor] = [:]
    for value in values {
      if case .constant(let tensor) = value.definition { all[tensor.digest] = tensor }
    }
    for node in nodes {
      for case (_, .graph(let inner)) in node.op.attributes { all.merge(inner.weights) { a, _ in a } }
    }
    return all
  }

  func text(_ style: ConstantStyle, indent: String) -> String {
    var lines = ["graph \(QuotedText.quoting(name)) {"]
    for (i, value) in values.enumerated() {
      let label = value.name.map { " \(QuotedText.quoting($0))" } ?? ""
      switch value.definition {
      case .input: lines.append("%\(i) = input\(label): \(value.type)")
      case .constant(let tensor): lines.append("%\(i)\(label) = constant: \(value.type) \(tensor.elementText(style))")
      case .result(let id, let index): if index == 0 { lines.append(text(of: nodes[id.index], style, indent: indent)) }
      }
    }
    for output in outputs { lines.append("output \(QuotedText.quoting(output.name)) = %\(output.value.index)") }
    return lines.joined(separator: "\n\(indent)  ") + "\n\(indent)}"
  }

  private func text(of node: Node, _ style: ConstantStyle, indent: String) -> String {
    let results = node.results.map { "%\($0.index)" + (self[$0].name.map { " \(QuotedText.quoting($0))" } ?? "") }
    let operands = node.operands.map { $0.map { "%\($0.index)" } ?? "_" }
    let attributes = node.op.attributes.map { "\($0.name)=\($0.value.text(style, indent: indent + "  "))" }
    var text = "\(results.joined(separator: ", ")) = \(node.op.mnemonic)(\(operands.joined(separator: ", ")))"
    if !attributes.isEmpty { text += " [\(attributes.joined(separator: ", "))]" }
    text += ": " + node.results.map { type($0).description }.joined(separator: ", ")
    if let origin = node.origin { text += " @\(QuotedText.quoting(origin))" }
    return text
  }
}

extension Attribute {
  func text(_ style: Graph.ConstantStyle, indent: String) -> String {
    switch self {
    case .integer(let x): "\(x)"
    case .float(let x): "\(x)"
    case .bool(let x): "\(x)"
    case .word(let x): ".\(x)"
    case .string(let x): QuotedText.quoting(x)
    case .strings(let x): "[\(x.map(QuotedText.quoting).joined(separator: ", "))]"
    case .integers(let x): "\(x)"
    case .floats(let x): "f\(x)"
    case .dims(let x): "<\(x.map(\.description).joined(separator: ", "))>"
    case .expression(let x): x.description
    case .graph(let x): x.text(style, indent: indent)
    }
  }
}

extension HostTensor {
  /// Constants of at most this many elements are written out.
  static let inlineLimit = 32

  fileprivate func elementText(_ style: Graph.ConstantStyle) -> String {
    let hasNaN = element.isFloat && elementCount <= HostTensor.inlineLimit && doubles.contains(where: \.isNaN)
    if elementCount <= HostTensor.inlineLimit && !hasNaN {
      return "{\((0..<elementCount).map { shortest(self[$0]) }.joined(separator: ", "))}"
    }
    if style == .digest && !hasNaN { return "#\(digest)" }
    let digits = Array("0123456789abcdef".utf8)
    var hexadecimal: [UInt8] = Array("0x".utf8)
    hexadecimal.reserveCapacity(2 * byteCount + 2)
    for byte in bytes {
      hexadecimal.append(digits[Int(byte >> 4)])
      hexadecimal.append(digits[Int(byte & 15)])
    }
    return String(decoding: hexadecimal, as: UTF8.self)
  }

  /// As short as gives the same element back.
  private func shortest(_ scalar: Scalar) -> String {
    if element == .float32, case .float(let x) = scalar, let short = Double(Float(x).description),
      Float(short) == Float(x)
    {
      return Float(x).description
    }
    return scalar.description
  }

  /// 16 hexadecimal digits that depend on element type, shape and every byte (FNV-1a on 64-bit words). It tells
  /// constants of one graph apart; it is no protection against someone who wants two to collide.
  public var digest: String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func mix(_ word: UInt64) {
      hash = (hash ^ word) &* 0x100_0000_01b3
      hash ^= hash >> 29
    }
    for byte in element.rawValue.utf8 { mix(UInt64(byte)) }
    for size in shape { mix(UInt64(bitPattern: Int64(size))) }
    let all = bytes
    let whole = all.count & ~7
    for i in stride(from: 0, to: whole, by: 8) { mix(all.loadUnaligned(fromByteOffset: i, as: UInt64.self)) }
    for i in whole..<all.count { mix(UInt64(all[i])) }
    let text = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }
}
