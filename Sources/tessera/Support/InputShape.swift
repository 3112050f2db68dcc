import ArgumentParser

/// An input's sizes as the command line gives them: `x=1x3x224x224`, or `x=` for a scalar.
struct InputShape: ExpressibleByArgument {
  let name: String
  let sizes: [Int]

  init?(argument: String) {
    guard let sign = argument.lastIndex(of: "="), sign != argument.startIndex else { return nil }
    let parts = argument[argument.index(after: sign)...].split(separator: "x", omittingEmptySubsequences: false)
    let sizes = parts == [""] ? [] : parts.map { part in Int(part).flatMap { $0 >= 0 ? $0 : nil } }
    guard !sizes.contains(nil) else { return nil }
    (name, self.sizes) = (String(argument[..<sign]), sizes.compactMap { $0 })
  }
}
