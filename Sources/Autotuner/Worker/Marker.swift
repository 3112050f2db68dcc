import Glibc
import TensorTypes

/// A file of 16 bytes by which a worker tells, without waking its parent, which entry it is at.
final class Marker {
  private let descriptor: Int32
  private var step: Int64 = 0

  init(path: String) throws(Failure) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure(.inputOutput, file: path, "can't be opened") }
  }

  deinit { close(descriptor) }

  /// The worker begins a step on `entry`.
  func note(_ entry: Int) {
    step += 1
    var both = (step, Int64(entry))
    withUnsafeBytes(of: &both) { _ = pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  }

  /// Number of the step and entry last noted; nil before the first.
  var last: (step: Int, entry: Int)? {
    var both: (Int64, Int64) = (0, 0)
    let count = withUnsafeMutableBytes(of: &both) { pread(descriptor, $0.baseAddress, $0.count, 0) }
    return count == 16 ? (Int(both.0), Int(both.1)) : nil
  }
}
