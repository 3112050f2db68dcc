/// The machine that a record was measured on.
public struct Device: Hashable, Sendable, Codable {
  /// What the CPU calls itself, with family and model where it tells.
  public var cpu: String
  /// Spelled as in /proc/cpuinfo, in alphabetical order.
  public var features: [String]
  /// Bytes of the data and unified caches of CPU 0, level 1 first.
  public var caches: [Int]
  /// CPUs that the process might run on.
  public var cores: Int

  public init(cpu: String, features: [String], caches: [Int], cores: Int) {
    self.cpu = cpu
    self.features = features.sorted()
    self.caches = caches
    self.cores = cores
  }

  /// Whether a time measured on one is evidence for the other: all is equal but the number of cores, since a record
  /// says how many threads it was measured with.
  public func isSameClass(as other: Device) -> Bool {
    cpu == other.cpu && features == other.features && caches == other.caches
  }
}
