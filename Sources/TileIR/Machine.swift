/// What kernel templates and lowerings know of the machine that code is made for: never of the machine at hand.
public struct Machine: Hashable, Sendable, Codable {
  /// `x86-64-v3`
  public var name: String
  /// Bytes of a vector register.
  public var vectorBytes: Int
  public var vectorRegisters: Int
  /// Whether `a·b + c` is one instruction; else it is a call or emulated, and kernels use `a·b`, then `+ c`.
  public var hasFMA: Bool
  /// Bytes of data cache a core can count on: level 1, level 2, its share of level 3.
  public var cacheBytes: [Int]
  /// Threads that will share the work, where that is known: what schedules suit, never what results depend on.
  public var workers: Int?
  /// Which short dot products take an instruction or two; the others are spelled out.
  public var wordDots: [WordParts]

  public init(
    name: String, vectorBytes: Int, vectorRegisters: Int, hasFMA: Bool, cacheBytes: [Int],
    wordDots: [WordParts] = [.i16x2, .u8i7x4]
  ) {
    self.name = name
    self.vectorBytes = vectorBytes
    self.vectorRegisters = vectorRegisters
    self.hasFMA = hasFMA
    self.cacheBytes = cacheBytes
    self.wordDots = wordDots
  }

  /// f32 elements in a vector register.
  public var lanes: Int { vectorBytes / 4 }
  /// How many vectors hold `count` f32 elements.
  public func vectors(for count: Int) -> Int { (count + lanes - 1) / lanes }
  /// Bytes from which on a tensor is no longer in the caches when it is read: the threads' shares of level 3, or those of eight.
  public var keptBytes: Int { cacheBytes[2] * max(8, workers ?? 8) }
  /// `count`, or as many more as fill the last vector.
  public func wholeVectors(_ count: Int) -> Int { vectors(for: count) * lanes }
}
