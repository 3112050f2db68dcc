import Foundation
import TensorTypes
import TuningDB

/// What tunes of one set of tasks have used up together: a budget is theirs in all, so that a tune that is called again
/// does not begin anew, and one that was broken off has what is left.
struct Spending: Codable {
  var seconds = 0.0
  var trials = 0

  /// Under this name it is kept. Kernels that have changed since make it another one.
  static func note(_ shares: [ModelTuner.Share]) -> String {
    let text = shares.map { "\($0.calls) \($0.tuner.searchKey)" }.sorted().joined(separator: "\n")
    return "spent " + Array(text.utf8).withUnsafeBytes { SHA256.hexDigest($0) }
  }

  /// - Returns: nothing spent, if nothing is noted.
  init(reading note: String, in database: SharedDatabase) throws {
    let text = try database.value.store?.note(note)
    self = text.flatMap { try? JSONDecoder().decode(Spending.self, from: Data($0.utf8)) } ?? Spending()
  }
  init() {}

  func write(_ note: String, in database: SharedDatabase) throws {
    try database.value.store?.setNote(note, String(decoding: JSONEncoder().encode(self), as: UTF8.self))
  }

  /// The share of a budget that this is.
  func part(of budget: Budget) -> Double {
    switch budget {
    case .seconds(let limit): seconds / limit
    case .trials(let limit): Double(trials) / Double(limit)
    }
  }
}
