import TensorTypes

/// How much a tune may do.
public enum Budget: Hashable, Sendable {
  case seconds(Double)
  case trials(Int)

  /// Reads `90s`, `90`, `5m`, `1h`, `500 trials`.
  public init(parsing text: String) throws(Failure) {
    let trimmed = text.filter { $0 != " " }
    let digits = trimmed.prefix { $0.isNumber || $0 == "." }
    let unit = trimmed.dropFirst(digits.count)
    let units: [Substring: Double] = ["": 1, "s": 1, "m": 60, "min": 60, "h": 3600]
    if unit == "trials" || unit == "trial", let count = Int(digits), count > 0 {
      self = .trials(count)
    } else if let scale = units[unit], let value = Double(digits), value > 0, value < 1e6 {
      self = .seconds(value * scale)
    } else {
      throw Failure(.usage, "a budget is like 120s, 5m or '500 trials', not '\(text)'")
    }
  }
}
