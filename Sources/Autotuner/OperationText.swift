import Kernels
import TensorTypes

/// Reads a task as a kernel engineer writes it:
///
///     matmul f32 m=4096 n=320 k=320 [batch=1] [b=constant|input]
///     nbits f32 m=1 n=6144 k=2048 bits=4|8 [group=K] [zeros=0|1]
///     conv f32 c=320 h=64 w=64 o=320 [n=1] [k=3] [kw=K] [stride=1] [dilation=1] [pad=K/2] [groups=1] [layout=nchw|nhwc]
///     attention f32 h=8 q=4096 d=40 [n=1] [keys=Q] [causal=0|1] [kvheads=H]
public struct OperationText {
  public let workload: Workload

  /// - Throws: `Failure` of kind `usage` saying what is missing or unknown.
  public init(parsing text: String) throws(Failure) {
    let words = text.split(separator: " ").map(String.init)
    guard let kind = words.first else { throw Self.unknown("") }
    guard Self.kinds.contains(kind) else { throw Self.unknown(kind) }
    let spelled = ["bf16": "bfloat16", "f16": "float16", "f32": "float32"]
    guard words.count > 1,
      let element = ElementType(rawValue: words[1]) ?? ElementType(rawValue: spelled[words[1]] ?? "")
    else { throw Failure(.usage, place: kind, "expected an element type such as f32 after it") }
    var values: [String: String] = [:]
    for word in words.dropFirst(2) {
      let sides = word.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard sides.count == 2 else { throw Failure(.usage, place: kind, "expected NAME=VALUE, not '\(word)'") }
      guard values.updateValue(sides[1], forKey: sides[0]) == nil else {
        throw Failure(.usage, place: kind, "\(sides[0]) is given twice")
      }
    }

    let reader = Reader(kind: kind, values: values)
    switch kind {
    case "matmul": workload = try Self.matmul(reader, element)
    case "nbits": workload = try Self.coded(reader, element)
    case "conv": workload = try Self.convolution(reader, element)
    case "attention": workload = try Self.attention(reader, element)
    default: throw Self.unknown(kind)
    }
  }

  private static let kinds = ["matmul", "nbits", "conv", "attention"]
  private static func unknown(_ kind: String) -> Failure {
    Failure(.usage, "no operation '\(kind)'; there are \(kinds.joined(separator: ", "))")
  }

  private struct Reader {
    var kind: String
    var values: [String: String]

    /// A number between 1 and 2²⁴, `usual` if it isn't given; an error if there is no usual one.
    func size(_ name: String, _ usual: Int? = nil, least: Int = 1) throws(Failure) -> Int {
      guard let text = values[name] else {
        guard let usual else { throw Failure(.usage, place: kind, "\(name)= is missing") }
        return usual
      }
      guard let value = Int(text), (least...1 << 24).contains(value) else {
        throw Failure(.usage, place: kind, "\(name) is a number from \(least) to \(1 << 24), not '\(text)'")
      }
      return value
    }

    func choice(_ name: String, _ all: [String]) throws(Failure) -> String {
      let text = values[name] ?? all[0]
      guard all.contains(text) else {
        throw Failure(.usage, place: kind, "\(name) is one of \(all.joined(separator: ", ")), not '\(text)'")
      }
      return text
    }

    func allow(_ names: Set<String>) throws(Failure) {
      if let unknown = values.keys.sorted().first(where: { !names.contains($0) }) {
        throw Failure(.usage, place: kind, "no '\(unknown)'; there are \(names.sorted().joined(separator: ", "))")
      }
    }
  }

  private static func matmul(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    try r.allow(["m", "n", "k", "batch", "b"])
    let (m, n, k) = (Dim(try r.size("m")), Dim(try r.size("n")), Dim(try r.size("k")))
    let batch = Dim(try r.size("batch", 1))
    let isConstant = try r.choice("b", ["constant", "input"]) == "constant"
    let b: Shape = isConstant ? [1, k, n] : [batch, k, n]
    var right = View(element, b)
    if isConstant {
      right = View(element, [batch, k, n], strides: [0, n, 1])
    }
    return .matmul(
      MatmulWorkload(
        a: View(element, [batch, m, k]), b: right, bIsConstant: isConstant,
        epilogue: Epilogue(output: View(element, [batch, m, n]))))
  }

  /// A product with weights of a few bits, which lie as MatMulNBits has them: `[n, k]`.
  private static func coded(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    try r.allow(["m", "n", "k", "bits", "group", "zeros"])
    let (m, n, k) = (Dim(try r.size("m")), try r.size("n"), try r.size("k"))
    let (bits, group) = (Int(try r.choice("bits", ["4", "8"])) ?? 4, try r.size("group", k))
    func matrix(_ element: ElementType, _ depth: Int) -> View {
      View(element, [1, Dim(depth), Dim(n)], strides: [0, 1, Dim(depth)])
    }
    let scales = matrix(.float32, (k + group - 1) / group)
    let zeros = try r.choice("zeros", ["0", "1"]) == "1" ? View(.int8, scales.shape, strides: scales.strides) : nil
    let scaling = WeightScaling(bits: bits, group: group, scales: scales, zeros: zeros)
    guard element == .float32, scaling.fits(k) else {
      throw Failure(.usage, place: "nbits", "f32, with groups of a multiple of \(scaling.steps) steps")
    }
    return .matmul(
      MatmulWorkload(
        a: View(element, [1, m, Dim(k)]), b: matrix(.int8, k), bIsConstant: true, scaling: scaling,
        epilogue: Epilogue(output: View(element, [1, m, Dim(n)]))))
  }

  private static func convolution(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    try r.allow(["n", "c", "h", "w", "o", "k", "kw", "stride", "dilation", "pad", "groups", "layout"])
    let (n, c, o) = (try r.size("n", 1), try r.size("c"), try r.size("o"))
    let (h, w) = (try r.size("h"), try r.size("w"))
    let kh = try r.size("k", 3)
    let kw = try r.size("kw", kh)
    let (stride, dilation) = (try r.size("stride", 1), try r.size("dilation", 1))
    let groups = try r.size("groups", 1)
    guard c % groups == 0, o % groups == 0 else { throw Failure(.usage, place: "conv", "groups must divide c and o") }
    // `pad` is that of both dimensions, but a dimension of one tap has none.
    let pads = [kh, kw].map { $0 == 1 ? 0 : $0 / 2 * dilation }
    let given = try r.size("pad", -1, least: 0)
    let pad = given >= 0 ? [given, given] : pads
    let sizes = zip(zip([h, w], [kh, kw]), pad).map { ($0.0 + 2 * $1 - (($0.1 - 1) * dilation + 1)) / stride + 1 }
    guard sizes.allSatisfy({ $0 > 0 }) else { throw Failure(.usage, place: "conv", "the window is larger than x") }
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
        padsBefore: pad,
        groups: groups, epilogue: Epilogue(output: image(sizes[0], sizes[1], o))))
  }

  private static func attention(_ r: Reader, _ element: ElementType) throws(Failure) -> Workload {
    try r.allow(["n", "h", "q", "keys", "d", "causal", "kvheads"])
    let (n, h, q, d) = (Dim(try r.size("n", 1)), try r.size("h"), try r.size("q"), try r.size("d"))
    let (keys, kvHeads) = (try r.size("keys", q), try r.size("kvheads", h))
    guard h % kvHeads == 0 else { throw Failure(.usage, place: "attention", "kvheads must divide h") }
    let queries = View(element, [n, Dim(h), Dim(q), Dim(d)])
    let other = View(element, [n, Dim(kvHeads), Dim(keys), Dim(d)])
    return .attention(
      AttentionWorkload(
        q: queries, k: other, v: other, mask: nil, scale: 1 / Double(d).squareRoot(),
        causalOffset: try r.choice("causal", ["0", "1"]) == "1" ? Dim(keys - q) : nil, output: queries))
  }
}
