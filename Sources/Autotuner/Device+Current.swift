import Foundation
import TesseraRuntime
import TuningDB

extension Device {
  /// This machine.
  public static let current = Device(
    cpu: cpuName, features: Array(CPU.features), caches: cacheSizes, cores: CPU.available)

  /// The CPU's name, which a virtual machine may shorten to its vendor's, with family and model, which it keeps.
  private static var cpuName: String {
    let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    func field(_ name: String) -> String? {
      for line in info.split(separator: "\n") {
        let sides = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
        if sides.count == 2, sides[0] == name { return sides[1] }
      }
      return nil
    }
    guard let family = field("cpu family"), let model = field("model") else { return CPU.name }
    return "\(CPU.name), family \(family) model \(model)"
  }

  private static var cacheSizes: [Int] {
    var sizes: [Int] = []
    for index in 0..<8 {
      let folder = "/sys/devices/system/cpu/cpu0/cache/index\(index)/"
      func text(_ name: String) -> String? {
        (try? String(contentsOfFile: folder + name, encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      guard let kind = text("type"), kind != "Instruction", let size = text("size") else { continue }
      let unit = size.hasSuffix("M") ? 1 << 20 : size.hasSuffix("K") ? 1 << 10 : 1
      if let number = Int(size.filter(\.isNumber)) { sizes.append(number * unit) }
    }
    return sizes
  }
}
