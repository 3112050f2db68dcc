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

  /// Crops have a region for every axis, most often all of batch and channels: those stay as they are.
  @Test(arguments: [(0.0, 1.0, 2), (0.25, 1.0, 3)])
  func cropsLeaveWholeAxesAlone(start: Double, end: Double, steps: Int) throws {
    func reals(_ name: String, _ values: [Double]) -> String {
      node("Constant", [], [name], #"{"name": "value_floats", "floats": \#(values), "type": "FLOATS"}"#)
    }
    let (starts, ends) = ([0, start, 0.1, 0.2], [1, end, 0.7, 1.3])
    let graph = try importModel(
      model(
        [
          reals("r", starts + ends), constant("s", [2, 6, 31, 43]),
          node(
            "Resize", ["x", "r", "", "s"], ["y"],
            #"{"name": "coordinate_transformation_mode", "s": "dGZfY3JvcF9hbmRfcmVzaXpl", "type": "STRING"},"#
              + #"{"name": "mode", "s": "bGluZWFy", "type": "STRING"}"#),
        ].joined(separator: ","),
        inputs: "x: FLOAT[2,6,50,70]"))
    #expect(graph.nodes.count { $0.op is GatherSum || $0.op is MatMul } == steps)
    let op = Resize(
      .linear, axes: [0, 1, 2, 3], sizes: [2, 6, 31, 43], scales: [0, 0, 0, 0], coordinateMode: .tfCropAndResize,
      regionStarts: starts.map { Double(Float($0)) }, regionEnds: ends.map { Double(Float($0)) })
    let x = floats([2, 6, 50, 70], (0..<42000).map { Float(($0 * 7919) % 1013) / 1013 })
    let (y, expected) = (try graph.evaluate([x])[0], try op.reference([x])[0])
    #expect(y.shape == expected.shape)
    #expect(zip(y.doubles, expected.doubles).allSatisfy { abs($0 - $1) < 1e-5 })
  }
}
