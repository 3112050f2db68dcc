import Foundation
import GraphIR
import TensorTypes
import Testing

@testable import ONNXImport

/// The models in `Examples/`, written by hand; expected values are ONNX Runtime's (1.32, CPU).
@Suite struct ExampleTests {
  func graph(_ name: String) throws -> Graph {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Examples")
    return try importModel(ONNXModelReader.read(path: folder.appendingPathComponent(name).path))
  }

  /// Both sides round to f32 once an operation; with at most 12 terms a sum and a dozen operations in a row, none of
  /// which magnifies, 64 epsilon of the largest value is ample.
  func expectClose(_ actual: HostTensor, _ expected: [Double]) {
    let peak = expected.map(abs).max() ?? 0
    for (a, e) in zip(actual.doubles, expected) { #expect(abs(a - e) <= 64 * 0x1p-23 * peak) }
    #expect(actual.elementCount == expected.count)
  }

  @Test func attentionBlock() throws {
    let x = HostTensor(.float32, [2, 3, 4], (0..<24).map { Float($0 % 7) * 0.25 - 0.5 })
    let y = try graph("attention_block.json").evaluate([x])[0]
    #expect(y.shape == [2, 3, 4])
    expectClose(
      y,
      [
        -0.7310951948165894, -0.2553820013999939, -0.7901695370674133, 0.5062161684036255, 1.157188892364502,
        1.4395999908447266, 0.8581100702285767, -1.0891780853271484, -0.48109522461891174, -0.005381990689784288,
        -0.5401695370674133, 0.7562161684036255, 0.9383572340011597, 1.0542124509811401, -0.04764643311500549,
        -0.4689429998397827, -0.08998429030179977, 0.22916904091835022, 0.2958260774612427, 0.8344358205795288,
        0.875852108001709, -0.7062878608703613, 0.03634411096572876, 0.05896073952317238,
      ])
  }

  @Test func smallConvolutionNet() throws {
    let image = HostTensor(.float32, [2, 1, 8, 8], (0..<128).map { Float($0 % 11) * 0.125 - 0.5 })
    let y = try graph("small_cnn.json").evaluate([image])[0]
    expectClose(
      y,
      [
        0.3200421929359436, 0.4293769896030426, 0.25058069825172424, 0.3190998435020447, 0.43024495244026184,
        0.25065523386001587,
      ])
  }
}
