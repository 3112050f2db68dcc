import Foundation
import TensorTypes
import Testing

@testable import Autotuner

@Suite struct StatisticsTests {
  /// Times of a loaded machine: bursts in which everything takes up to three times as long, and a few outliers.
  private func times(_ speed: Double, _ weather: [Double], _ generator: inout SeededGenerator) -> [Double] {
    weather.map { slow in
      let jitter = 1 + 0.05 * Double.random(in: -1...1, using: &generator)
      let outlier = Double.random(in: 0...1, using: &generator) < 0.05 ? 4.0 : 1.0
      return speed * slow * jitter * outlier
    }
  }

  private func weather(_ rounds: Int, _ generator: inout SeededGenerator) -> [Double] {
    var slow = 1.0
    return (0..<rounds).map { _ in
      if Double.random(in: 0...1, using: &generator) < 0.2 { slow = Double.random(in: 1...3, using: &generator) }
      return slow
    }
  }

  @Test func aBetterOneIsFoundThroughNoise() {
    let seed = UInt64.random(in: 0 ... .max)
    var generator = SeededGenerator(seed: seed)
    var found = 0
    for _ in 0..<200 {
      let weather = weather(24, &generator)
      let (old, new) = (times(1, weather, &generator), times(0.9, weather, &generator))
      if let interval = PairedRatios(new, over: old).interval(), interval.upperBound < 1 { found += 1 }
    }
    #expect(found > 160, "seed \(seed): a tenth was found in \(found) of 200")
  }

  /// At 99 % one in 200 equal challengers seems better; more than 12 in 800 has a probability under 0.001.
  @Test func equalOnesDoNotFlip() {
    let seed = UInt64.random(in: 0 ... .max)
    var generator = SeededGenerator(seed: seed)
    var flips = 0
    for _ in 0..<800 {
      let weather = weather(24, &generator)
      let (old, new) = (times(1, weather, &generator), times(1, weather, &generator))
      if let interval = PairedRatios(new, over: old).interval(), interval.upperBound < 1 { flips += 1 }
    }
    #expect(flips <= 12, "seed \(seed): \(flips) of 800 equal challengers won")
  }

  /// P(Bin(8, ½) = 0) = 1/256 ≤ 0.005 gives the extremes; with 7 rounds nothing is certain at 99 %.
  @Test func intervalsAreOrderStatistics() {
    #expect(PairedRatios([1, 2, 3, 4, 5, 6, 7]).interval() == nil)
    #expect(PairedRatios([8, 1, 2, 3, 4, 5, 6, 7]).interval() == 1...8)
    // P(Bin(15, ½) ≤ 2) = 0.0037, P(≤ 3) = 0.0176: the third smallest and largest.
    #expect(PairedRatios((1...15).map(Double.init)).interval() == 3...13)
    #expect(PairedRatios([3, 1, 2]).median == 2)
  }

  @Test func budgetsAreRead() throws {
    #expect(try Budget(parsing: "120s") == .seconds(120))
    #expect(try Budget(parsing: "1.5m") == .seconds(90))
    #expect(try Budget(parsing: "500 trials") == .trials(500))
    for wrong in ["", "s", "-1", "0", "1 day", "1.5 trials", "1e99"] {
      #expect(throws: (any Error).self) { try Budget(parsing: wrong) }
    }
  }
}
