public import TensorTypes

/// What a library says of itself in its ELF note, read before any of its code is mapped.
public struct LibraryNote: Hashable, Sendable {
  public struct Variant: Hashable, Sendable {
    public var target: String
    public var features: [String]

    public init(target: String, features: [String]) {
      self.target = target
      self.features = features
    }
  }

  public var abi: Int
  /// Most demanding first.
  public var variants: [Variant]
  /// SHA-256 of the file with these 64 digits read as zeros, and without `data`.
  public var hash: String
  /// The range of the file that holds nothing but weights, left out of `hash` so that checking it stays quick. The
  /// weights have a hash of their own in the descriptor.
  public var data: Range<Int>?

  /// Parses `key value` lines. Unknown keys are ignored, as later versions may add some.
  public init(parsing text: String) throws(Failure) {
    var abi: Int?
    var hash: String?
    variants = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard let key = words.first else { continue }
      switch key {
      case "abi":
        guard words.count == 2, let number = Int(words[1]) else {
          throw .badData("the note's ABI line is not a number")
        }
        abi = number
      case "variant":
        guard words.count >= 2 else { throw .badData("the note has a variant without a name") }
        variants.append(Variant(target: String(words[1]), features: words.dropFirst(2).map(String.init)))
      case "hash":
        guard words.count == 2, Self.isHash(words[1]) else { throw .badData("the note's hash is not 64 hex digits") }
        hash = String(words[1])
      case "data":
        guard words.count == 3, let offset = Int(words[1], radix: 16), let size = Int(words[2], radix: 16),
          offset >= 0, size >= 0, offset <= Int.max - size
        else { throw .badData("the note's data line is not an offset and a size") }
        data = offset..<(offset + size)
      default: continue
      }
    }
    guard let abi else { throw .badData("the note names no ABI version") }
    guard let hash else { throw .badData("the note holds no hash") }
    guard !variants.isEmpty else { throw .badData("the note names no variant") }
    self.abi = abi
    self.hash = hash
  }

  private static func isHash(_ text: Substring) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }

  /// - Throws: `noDevice` if no variant runs on a CPU with `features`, naming what is missing for the least demanding.
  public func checkRunnable(on features: Set<String>) throws(Failure) {
    let missing = variants.map { $0.features.filter { !features.contains($0) } }
    guard !missing.contains(where: \.isEmpty), let least = missing.min(by: { $0.count < $1.count }) else { return }
    let targets = variants.map(\.target).joined(separator: ", ")
    throw Failure(
      .noDevice,
      "this CPU lacks \(least.joined(separator: ", ")); the library was compiled for \(targets). "
        + "Compile it for this CPU, or for one with fewer features, with --target")
  }
}
