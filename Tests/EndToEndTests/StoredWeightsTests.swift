import Compiler
import Foundation
import GraphIR
import ONNXImport
import TensorTypes
import TesseraRuntime
import Testing

/// A model with weights of a few bits, its inputs, and what ONNX Runtime or ONNX's reference gives:
/// `Fixtures/make-narrow.py` made them.
struct NarrowCase: Decodable, CustomTestStringConvertible {
  struct Tensor: Decodable {
    var shape: [Int]
    var values: [Float]
    var tensor: HostTensor { HostTensor(.float32, shape, values) }
  }
  var name: String
  var model: String
  var inputs: [Tensor]
  var output: Tensor

  var testDescription: String { name }

  private enum Key: String, CodingKey { case name, model, inputs, output }

  init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    name = try fields.decode(String.self, forKey: .name)
    model = try fields.decode(String.self, forKey: .model)
    inputs = try fields.decode([Tensor].self, forKey: .inputs)
    output = try fields.decode(Tensor.self, forKey: .output)
  }

  static let all: [NarrowCase] = {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/narrow.json")
    guard let data = try? Data(contentsOf: path), let cases = try? JSONDecoder().decode([NarrowCase].self, from: data)
    else { preconditionFailure("Fixtures/narrow.json beside this file") }
    return cases
  }()

  func graph() throws -> Graph {
    let bytes = Array(model.utf8)
    let storage = HostTensor.Storage.make(byteCount: bytes.count) { $0.copyBytes(from: bytes) }
    return try importModel(ONNXModelReader.read(storage, beside: "model.json"))
  }
}

@Suite struct StoredWeightsTests {
  /// Sums of at most 128 products, each rounded: k · ε/2 of the terms' sum, of which the peak is no less than a tenth here.
  private func expectNear(_ x: HostTensor, _ expected: HostTensor, terms: Double = 1280) {
    #expect(x.type == expected.type)
    let peak = expected.doubles.map(abs).max() ?? 0
    let worst = zip(x.doubles, expected.doubles).map { abs($0 - $1) }.max() ?? 0
    #expect(worst <= terms * 0x1p-24 * peak, "error \(worst) of \(peak)")
  }

  @Test(arguments: NarrowCase.all) func agreesWithPeers(_ example: NarrowCase) throws {
    let graph = try example.graph()
    let inputs = example.inputs.map(\.tensor)
    expectNear(try graph.evaluate(inputs)[0], example.output.tensor)
    let compiled = try CompiledGraph(graph)
    defer { compiled.remove() }
    let y = try Session(library: compiled.library, options: .init(poison: true)).run(inputs)[0]
    expectNear(y, example.output.tensor)
  }

  /// What products read stays narrow, the rest is widened.
  @Test func onlyProductsReadStoredWeights() throws {
    for example in NarrowCase.all {
      let graph = try optimise(try example.graph())
      let kept = graph.nodes.compactMap { $0.op as? Dequantize }
      let isAcross = ["i8, one scale a row", "i4 in blocks along n", "4 bits, zero points between codes"]
      #expect(kept.count == (isAcross.contains(example.name) ? 0 : 1), "\(example.name): \(graph)")
      guard let op = kept.first else { continue }
      #expect(op.bits == (example.name.contains("4") && !example.name.hasPrefix("u8") ? 4 : 8), "\(example.name)")
    }
  }

  private func product(_ weights: HostTensor, transposed: Bool, rows: Dim = "rows") throws -> Graph {
    var net = Net()
    let x = net.input("x", [rows, Dim(weights.shape[transposed ? 1 : 0])])
    return try net.returning(
      net.graph.add(MatMul(transposeRight: transposed), x, net.graph.addConstant(weights)))
  }

  /// The error that each precision's documentation states, and the bytes that it saves.
  @Test(arguments: [false, true]) func precisionsKeepTheirBounds(transposed: Bool) throws {
    let (n, k) = (40, 300)
    let weights = ramp(transposed ? [n, k] : [k, n])
    let graph = try product(weights, transposed: transposed)
    let x = ramp([5, k], from: 0.7)
    let exact = try graph.evaluate([x])[0].doubles
    let magnitudes = try graph.mappingConstants { HostTensor(.float32, $0.shape, .floats($0.doubles.map(abs))) }
      .evaluate([HostTensor(.float32, x.shape, .floats(x.doubles.map(abs)))])[0].doubles
    let largest = x.doubles.chunks(of: k).map { $0.reduce(0) { $0 + abs($1) } }
    let peak = weights.doubles.map(abs).max() ?? 0
    for (precision, bits) in [(Precision.bf16, 16), (.fp16, 16), (.int8, 8)] {
      var options = PipelineOptions()
      options.precision = precision
      let narrow = try optimise(graph, options: options)
      let stored = narrow.valueIDs.compactMap { narrow.constant($0) }.map(\.byteCount).reduce(0, +)
      #expect(stored < n * k * bits / 8 + n * k / 16, "\(precision): \(stored) bytes")
      let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tessera-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let path = folder.appendingPathComponent("model.so").path
      try CompiledGraph.write(graph, to: path, options)
      let library = try Library(path: path, options: .init(threads: 2))
      let y = try Session(library: library, options: .init(poison: true)).run([x])[0].doubles
      for i in y.indices {
        let rounding = Double(k) * 0x1p-24 * magnitudes[i]
        let bound =
          switch precision {
          case .fp32: 0.0
          // Both factors.
          case .bf16: magnitudes[i] / 128 * 1.004
          case .fp16: magnitudes[i] / 2048
          case .int8: largest[i / n] * peak / 254 * 1.001
          }
        #expect(abs(y[i] - exact[i]) <= bound + rounding, "\(precision) at \(i): \(y[i]), not \(exact[i])")
      }
    }
  }

  /// Places and angles are sums of few terms, which are to stay as exact as they are.
  @Test(arguments: [(1, false), (3, false), (15, false), (16, true), (64, true)])
  func shortSumsMayNotRound(terms: Int, mayRound: Bool) throws {
    var options = PipelineOptions()
    options.precision = .bf16
    let text = "\(try optimise(try product(ramp([terms, 24]), transposed: false), options: options))"
    #expect(text.contains("may_round") == mayRound, "\(terms) terms: \(text)")
  }

  /// A constant of 16 bits that is widened for a product stays as it is: no error at all but the sum's.
  @Test(arguments: [ElementType.float16, .bfloat16]) func widenedWeightsStayAsTheyAre(element: ElementType) throws {
    let weights = HostTensor(element, [96, 64], .floats(ramp([96, 64]).doubles))
    var net = Net()
    let x = net.input("x", ["rows", 96])
    let cast = Expression(inputs: [element]) { $0.cast($0.input(0), .float32) }
    let wide = try net.graph.add(Elementwise(cast), net.graph.addConstant(weights))
    let graph = try net.returning(net.graph.add(MatMul(), x, wide))
    let kept = try optimise(graph)
    #expect(kept.valueIDs.compactMap { kept.constant($0) }.map(\.element) == [element])
    let compiled = try CompiledGraph(graph)
    defer { compiled.remove() }
    try compiled.expectAgreement([[ramp([1, 96])], [ramp([7, 96])]])
  }
}

extension Graph {
  /// The graph with other constants of the same types.
  fileprivate func mappingConstants(_ f: (HostTensor) -> HostTensor) throws -> Graph {
    try Rewriter.rewrite(self) { rewriter, node in
      let operands = self[node].operands.map { operand in
        operand.map { value in constant(value).map { rewriter.result.addConstant(f($0)) } ?? rewriter[value] }
      }
      return try rewriter.result.add(self[node].op, operands, origin: self[node].origin)
    }
  }
}

extension [Double] {
  fileprivate func chunks(of size: Int) -> [[Double]] {
    stride(from: 0, to: count, by: size).map { Array(self[$0..<$0 + size]) }
  }
}
