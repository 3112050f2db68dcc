import GraphIR
import TensorTypes
import Testing

@testable import Compiler

struct PoolRuleTests {
  private func left(
    _ shape: Shape, _ window: [Int], strides: [Int]? = nil, pads: Int = 0, dilation: Int = 1,
    layout: ConvolutionLayout = .channelsFirst, _ element: ElementType = .float32
  ) throws -> [String] {
    var results: [[String]] = []
    for kind in Pool.Kind.allCases {
      for ceilMode in [false, true] {
        for countsPadding in [false, true] {
          var n = Net()
          let op = Pool(
            kind, window: window, strides: strides ?? window, dilations: window.map { _ in dilation },
            padsBefore: window.map { _ in pads }, padsAfter: window.map { _ in pads }, ceilMode: ceilMode,
            countIncludesPadding: countsPadding, layout: layout)
          let graph = try n.returning(n.add(op, n.input(shape, element)))
          let after = try graph.rewritten(poolRules + simplificationRules)
          try expectAgreement(graph, after, sizes: ["n": 2, "h": 9])
          results.append(after.mnemonics.filter { $0 != "elementwise" })
        }
      }
    }
    let first = try #require(results.first)
    #expect(results.allSatisfy { $0 == first })
    return first
  }

  @Test func wholeDimensions() throws {
    #expect(try left(["n", 3, 5, 7], [5, 7]) == ["reduce"])
    #expect(try left([2, 3, 5, 7], [5, 7], strides: [1, 2]) == ["reduce"])
    #expect(try left([2, 3, "h", 7], [1, 7], strides: [1, 3]) == ["reduce"])
    #expect(try left([2, 3, 5, 7], [5, 1], strides: [2, 1]) == ["reduce"])
    #expect(try left([2, 5, 7, 3], [5, 7], layout: .channelsLast) == ["reduce"])
    #expect(try left([2, 3, 2, 5, 7], [2, 5, 7]) == ["reduce"])
    #expect(try left([2, 3, 11], [11], .float16) == ["reduce"])
    #expect(try left([2, 3, 4], [1]) == [])
  }

  @Test func sideBySide() throws {
    #expect(try left(["n", 3, 48], [8]) == ["reshape", "reduce", "reshape"])
    #expect(try left([2, 3, "h", 48], [1, 16]) == ["reshape", "reduce", "reshape"])
    #expect(try left([2, 3, 6, 32], [3, 16]) == ["reshape", "reduce", "reshape"])
    #expect(try left([2, 3, 6, 5], [2, 5]) == ["reshape", "reduce", "reshape"])
    #expect(try left([1, 2, 4, 6, 32], [4, 3, 16]) == ["reshape", "reduce", "reshape"])
    #expect(try left([2, 3, 24], [12], .float16) == ["reshape", "reduce", "reshape"])
  }

  @Test func others() throws {
    #expect(try left([2, 3, 6, 8], [2, 2]) == ["pool"])
    #expect(try left([2, 3, 16, 16], [8, 8]) == ["pool"])
    #expect(try left([2, 3, 49], [8]) == ["pool"])
    #expect(try left([2, 3, 48], [8], strides: [7]) == ["pool"])
    #expect(try left([2, 3, 7], [7], pads: 1) == ["pool"])
    #expect(try left([2, 3, 10], [5], dilation: 2) == ["pool"])
    #expect(try left([2, 3, 8], [1], strides: [2]) == ["pool"])
    #expect(try left([2, "h", 48, 3], [1, 16], layout: .channelsLast) == ["pool"])
    #expect(try left([2, 3, "h"], [9]) == ["pool"])
  }
}
