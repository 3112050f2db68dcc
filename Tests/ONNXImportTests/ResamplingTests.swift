import GraphIR
import TensorTypes
import Testing

@testable import ONNXImport

extension ImportTests {
  /// Resizes whose taps are constants: few of many elements are picked, more are a product; whichever axes there are, and in any order.
  @Test(arguments: [Resize.Mode.linear, .cubic])
  func antialiasedResizesAgreeWithTheOp(mode: Resize.Mode) throws {
    let cases: [(shape: [Int], axes: [Int], sizes: [Int], picks: Int)] = [
      ([2, 3, 61, 45], [2, 3], [29, 24], 2), ([1, 2, 61, 45], [3, 2], [24, 29], 2), ([3, 61], [1], [60], 0),
      ([3, 200], [1], [199], 1),
      ([2, 61, 5], [1], [29], 1), ([2, 47, 53, 3], [1, 2], [40, 37], 2), ([2, 45, 6, 49], [1, 2, 3], [25, 3, 29], 3),
      ([1, 2, 40, 50], [2, 3], [3, 4], 0), ([2, 61], [0, 1], [1, 70], 2), ([1, 90, 8], [1], [3], 0),
    ]
    for (shape, axes, sizes, picks) in cases {
      let graph = try importModel(
        model(
          [
            constant("s", sizes),
            node(
              "Resize", ["x", "", "", "s"], ["y"],
              [
                ints("axes", axes), #"{"name": "antialias", "i": 1, "type": "INT"}"#,
                #"{"name": "mode", "s": "\#(mode == .linear ? "bGluZWFy" : "Y3ViaWM=")", "type": "STRING"}"#,
              ].joined(separator: ",")),
          ].joined(separator: ","),
          inputs: "x: FLOAT[\(shape.map(String.init).joined(separator: ","))]"))
      #expect(graph.nodes.count { $0.op is GatherSum } == picks, "\(shape) to \(sizes)")
      let order = axes.indices.sorted { axes[$0] < axes[$1] }
      let op = Resize(
        mode, axes: order.map { axes[$0] }, sizes: order.map { Dim(sizes[$0]) }, scales: axes.map { _ in 0 },
        antialias: true)
      let x = floats(shape, (0..<shape.reduce(1, *)).map { Float(($0 * 7919) % 1013) / 1013 })
      let (y, expected) = (try graph.evaluate([x])[0], try op.reference([x])[0])
      #expect(y.shape == expected.shape)
      #expect(zip(y.doubles, expected.doubles).allSatisfy { abs($0 - $1) < 1e-5 }, "\(shape) to \(sizes)")
    }
  }
}
