import Kernels
import TensorTypes

/// Reads a task as a kernel engineer writes it:
///
///     matmul f32 m=4096 n=320 k=320 [batch=1] [b=constant|input] [round=0|1]
///     nbits f32 m=1 n=6144 k=2048 bits=4|8 [group=K] [zeros=0|1]
///     conv f32 c=320 h=64 w=64 o=320 [n=1] [k=3] [kw=K] [stride=1] [dilation=1] [pad=K/2] [groups=1] [layout=nchw|nhwc] [round=0|1]
///     attention f32 h=8 q=4096 d=40 [n=1] [keys=Q] [causal=0|1] [kvheads=H] [round=0|1]
///
/// `round=1`: f32 factors may be rounded to bf16, as `--precision bf16` has it.
public struct OperationText {
  public let workload: Workload

  /// - Throws: `Failure` of kind `usage` saying what is missing, unknown or too large, with an example.
  public init(parsing text: String) throws(Failure) {
    let words = text.split(separator: " ").map(String.init)
    guard let name = words.first, let kind = Kind(rawValue: name) else {
      let list = Kind.allCases.map(\.rawValue).joined(separator: ", ")
      throw Failure(
        .usage, "no operation '\(words.first ?? "")'; there are \(list), as in '\(Kind.matmul.example)'")
    }
    guard words.count > 1, !words[1].contains("=") else {
      throw kind.failure("expected an element type after it, as in '\(kind.example)'")
    }
    guard let element = ElementType(rawValue: words[1]) else {
      let list = ElementType.allCases.map(\.rawValue).joined(separator: ", ")
      throw kind.failure("no element type '\(words[1])'; there are \(list)")
    }
    let reader = try Reader(kind, words.dropFirst(2))
    workload =
      switch kind {
      case .matmul: try Self.matmul(reader, element)
      case .nbits: try Self.coded(reader, element)
      case .conv: try Self.convolution(reader, element)
      case .attention: try Self.attention(reader, element)
      }
  }

  /// The operations there are, and the names of their sizes.
  enum Kind: String, CaseIterable {
    case matmul, nbits, conv, attention

    var needed: [String] {
      switch self {
      case .matmul: ["m", "n", "k"]
      case .nbits: ["m", "n", "k", "bits"]
      case .conv: ["c", "h", "w", "o"]
      case .attention: ["h", "q", "d"]
      }
    }

    var others: [String] {
      switch self {
      case .matmul: ["batch", "b", "round"]
      case .nbits: ["group", "zeros"]
      case .conv: ["n", "k", "kw", "stride", "dilation", "pad", "groups", "layout", "round"]
      case .attention: ["n", "keys", "causal", "kvheads", "round"]
      }
    }

    var example: String {
      switch self {
      case .matmul: "matmul f32 m=4096 n=320 k=320"
      case .nbits: "nbits f32 m=1 n=6144 k=2048 bits=4 group=32"
      case .conv: "conv f32 c=320 h=64 w=64 o=320 k=3"
      case .attention: "attention f32 h=8 q=4096 d=40"
      }
    }

    func failure(_ message: String) -> Failure { Failure(.usage, place: rawValue, message) }
  }

  /// The words behind the element type.
  private struct Reader {
    var kind: Kind
    var values: [String: String] = [:]

    init(_ kind: Kind, _ words: some Sequence<String>) throws(Failure) {
      self.kind = kind
      for word in words {
        let sides = word.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
        guard sides.count == 2 else { throw kind.failure("expected NAME=VALUE, not '\(word)'") }
        guard values.updateValue(sides[1], forKey: sides[0]) == nil else {
          throw kind.failure("\(sides[0]) is given twice")
        }
      }
      let names = kind.needed + kind.others
      if let unknown = values.keys.sorted().first(where: { !names.contains($0) }) {
        throw kind.failure("no '\(unknown)'; there are \(names.joined(separator: ", "))")
      }
      let missing = kind.needed.filter { values[$0] == nil }
      guard missing.isEmpty else {
        let list = missing.map { "\($0)=" }.joined(separator: ", ")
        throw kind.failure("\(list) \(missing.count == 1 ? "is" : "are") missing, as in '\(kind.example)'")
      }
    }

    /// A number between `least` and 2²⁴; `usual` if it isn't given.
    func size(_ name: String, _ usual: Int = 1, least: Int = 1) throws(Failure) -> Int {
      guard let text = values[name] else { return usual }
      guard let value = Int(text), (least...1 << 24).contains(value) else {
        throw kind.failure("\(name) is a number from \(least) to \(1 << 24), not '\(text)'")
      }
      return value
    }

    /// Refuses tensors of more than 2³⁰ elements: before anything is reckoned with the product of such sizes.
    func check(_ tensors: [Int]...) throws(Failure) {
      for sizes in tensors where sizes.reduce(1.0, { $0 * Double($1) }) > 0x1p30 {
        let list = sizes.map(String.init).joined(separator: " × ")
        throw kind.failure("a tensor of \(list) elements is too large: at most 2³⁰")
      }
    }

    var mayRound: Bool { get throws(Failure) { try choice("round", ["0", "1"]) == "1" } }

    func choice(_ name: String, _ all: [String]) throws(Failure) -> String {
      let text = values[name] ?? all[0]
      guard all.contains(text) else {
        throw kind.failure("\(name) is one of \(all.joined(separator: ", ")), not '\(text)'")
      }
      return text
    }
  }

  private static func matmul(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    let (m, n, k, batch) = (try r.size("m"), try r.size("n"), try r.size("k"), try r.size("batch"))
    let isConstant = try r.choice("b", ["constant", "input"]) == "constant"
    try r.check([batch, m, k], [isConstant ? 1 : batch, k, n], [batch, m, n])
    let right: Shape = [Dim(batch), Dim(k), Dim(n)]
    return .matmul(
      MatmulWorkload(
        a: View(element, [Dim(batch), Dim(m), Dim(k)]),
        b: isConstant ? View(element, right, strides: [0, Dim(n), 1]) : View(element, right),
        bIsConstant: isConstant, mayRound: try r.mayRound,
        epilogue: Epilogue(output: View(element, [Dim(batch), Dim(m), Dim(n)]))))
  }

  /// A product with weights of a few bits, which lie as MatMulNBits has them: `[n, k]`.
  private static func coded(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    let (m, n, k) = (try r.size("m"), try r.size("n"), try r.size("k"))
    try r.check([m, k], [k, n], [m, n])
    let (bits, group) = (Int(try r.choice("bits", ["4", "8"])) ?? 4, try r.size("group", k))
    func matrix(_ element: ElementType, _ depth: Int) -> View {
      View(element, [1, Dim(depth), Dim(n)], strides: [0, 1, Dim(depth)])
    }
    let scales = matrix(.float32, (k + group - 1) / group)
    let zeros = try r.choice("zeros", ["0", "1"]) == "1" ? View(.int8, scales.shape, strides: scales.strides) : nil
    let scaling = WeightScaling(bits: bits, group: group, scales: scales, zeros: zeros)
    guard element == .float32, scaling.fits(k) else {
      throw r.kind.failure("f32, with groups of a multiple of \(scaling.steps) steps")
    }
    return .matmul(
      MatmulWorkload(
        a: View(element, [1, Dim(m), Dim(k)]), b: matrix(.int8, k), bIsConstant: true, scaling: scaling,
        epilogue: Epilogue(output: View(element, [1, Dim(m), Dim(n)]))))
  }

  private static func convolution(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    let (n, c, o) = (try r.size("n"), try r.size("c"), try r.size("o"))
    let (h, w) = (try r.size("h"), try r.size("w"))
    let kh = try r.size("k", 3)
    let kw = try r.size("kw", kh)
    let (stride, dilation) = (try r.size("stride"), try r.size("dilation"))
    let groups = try r.size("groups")
    guard c % groups == 0, o % groups == 0 else { throw r.kind.failure("groups must divide c and o") }
    // `pad` is that of both dimensions, but a dimension of one tap has none.
    let pads = [kh, kw].map { $0 == 1 ? 0 : $0 / 2 * dilation }
    let given = try r.size("pad", -1, least: 0)
    let pad = given >= 0 ? [given, given] : pads
    let room = zip(zip([h, w], [kh, kw]), pad).map { $0.0 + 2 * $1 - (($0.1 - 1) * dilation + 1) }
    let sizes = room.map { $0 / stride + 1 }
    guard room.allSatisfy({ $0 >= 0 }) else { throw r.kind.failure("the window is larger than x") }
    try r.check([n, h, w, c], [kh, kw, c / groups, o], [n, sizes[0], sizes[1], o])
    let isChannelsLast = try r.choice("layout", ["nhwc", "nchw"]) == "nhwc"
    func image(_ h: Int, _ w: Int, _ c: Int) -> View {
      if isChannelsLast { return View(element, [Dim(n), Dim(h), Dim(w), Dim(c)]) }
      let plane = h * w
      return View(
        element, [Dim(n), Dim(h), Dim(w), Dim(c)], strides: [Dim(plane * c), Dim(w), 1, Dim(plane)])
    }
    let (cg, og, taps) = (c / groups, o / groups, kh * kw)
    let weights = View(
      element, [Dim(groups), Dim(kh), Dim(kw), Dim(cg), Dim(og)],
      strides: [Dim(og * cg * taps), Dim(kw), 1, Dim(taps), Dim(cg * taps)])
    return .convolution(
      ConvolutionWorkload(
        x: image(h, w, c), w: weights, wIsConstant: true, strides: [stride, stride], dilations: [dilation, dilation],
        padsBefore: pad, groups: groups, mayRound: try r.mayRound,
        epilogue: Epilogue(output: image(sizes[0], sizes[1], o))))
  }

  private static func attention(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    let (n, h, q, d) = (try r.size("n"), try r.size("h"), try r.size("q"), try r.size("d"))
    let (keys, kvHeads) = (try r.size("keys", q), try r.size("kvheads", h))
    guard h % kvHeads == 0 else { throw r.kind.failure("kvheads must divide h") }
    try r.check([n, h, q, d], [n, kvHeads, keys, d])
    let queries = View(element, [Dim(n), Dim(h), Dim(q), Dim(d)])
    let other = View(element, [Dim(n), Dim(kvHeads), Dim(keys), Dim(d)])
    return .attention(
      AttentionWorkload(
        q: queries, k: other, v: other, mask: nil, scale: 1 / Double(d).squareRoot(),
        causalOffset: try r.choice("causal", ["0", "1"]) == "1" ? Dim(keys - q) : nil,
        mayRound: try r.mayRound, output: queries))
  }
}
