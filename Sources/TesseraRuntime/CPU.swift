internal import TesseraHost

/// The processor this process runs on.
public enum CPU {
  /// Features that the CPU has and the operating system supports, spelled as in /proc/cpuinfo.
  public static let features: Set<String> = {
    var names = [UnsafePointer<CChar>?](repeating: nil, count: 256)
    let count = tsr_cpu_features(&names, names.count)
    return Set(names.prefix(count).compactMap { $0.map { String(cString: $0) } })
  }()

  /// What the CPU calls itself; empty where it does not tell.
  public static let name: String = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
    guard let base = buffer.baseAddress else { return "" }
    tsr_cpu_name(base)
    let text = String(cString: base)
    return String(text.drop { $0 == " " })
  }

  /// How many CPUs this process may run on, at least 1.
  public static var available: Int { Int(tsr_available_cpus()) }
}

/// The process this runs in.
public enum ThisProcess {
  /// Has the system kill this process when the thread that started it ends: for children whose work is worth nothing
  /// without their parent.
  public static func endWithParent() { _ = tsr_end_with_parent() }
}
