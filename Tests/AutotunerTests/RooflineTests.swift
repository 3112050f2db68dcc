import Kernels
import LLVMBackend
import Testing

@testable import Autotuner

@Suite struct RooflineTests {
  private let roofline = Roofline(operations: 100, reading: [(1e4, 200), (1e6, 50), (1e8, 10)])

  /// What a cache holds is read as fast as it gives it, what none holds as memory does.
  @Test func ratesByAmount() {
    #expect(roofline.rate(1) == 200)
    #expect(roofline.rate(3e4) == 200)
    #expect(roofline.rate(1e5) == 50)
    #expect(roofline.rate(3e6) == 50)
    #expect(roofline.rate(1e8) == 10)
    #expect(roofline.rate(1e12) == 10)
    #expect(roofline.memoryRate == 10)
  }

  /// Words of narrow numbers are multiplied at a time.
  @Test func timesOfProducts() throws {
    let workload = try OperationText(parsing: "matmul f32 m=512 n=512 k=512").workload
    let work = Work(workload, sizes: [:])
    #expect(workload.productsAtATime(on: Target.avx2.machine) == 1)
    #expect(roofline.time(work, productsAtATime: 1) == work.operations / 100)
    #expect(roofline.time(work, productsAtATime: 4) == work.operations / 400)
  }
}
