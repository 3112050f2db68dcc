import Foundation

/// How much of the machine other work takes.
enum BusyProcessors {
  /// Processors' worth of time that is not idle, watched for a quarter of a second while this process waits, and how many there are; nil
  /// where the system does not tell (proc(5), /proc/stat).
  static func watch() -> (busy: Double, all: Int)? {
    guard let before = ticks() else { return nil }
    usleep(250_000)
    guard let after = ticks(), after.all > before.all else { return nil }
    let count = sysconf(Int32(_SC_NPROCESSORS_ONLN))
    let share = Double(after.busy - before.busy) / Double(after.all - before.all)
    return (share * Double(count), count)
  }

  /// Of all processors since the start.
  private static func ticks() -> (busy: Int, all: Int)? {
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
      let line = text.split(separator: "\n").first
    else { return nil }
    // user, nice, system, idle, waiting for devices, interrupts…, stolen; guests are counted as users already.
    let numbers = line.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
    guard numbers.count == 8 else { return nil }
    let all = numbers.reduce(0, +)
    return (all - numbers[3] - numbers[4], all)
  }
}
