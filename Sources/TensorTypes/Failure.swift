/// What went wrong because of something we were given, never because of us.
///
/// A bug of ours traps with what was expected; everything a file, a flag or a machine can cause is thrown as one
/// of these and ends the command with `kind`'s exit code.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  /// The raw value is the exit code, after BSD's `sysexits.h`.
  public enum Kind: Int32, Hashable, Sendable, Codable {
    case usage = 64
    case badData = 65
    case noInput = 66
    case noDevice = 69
    case ours = 70
    case inputOutput = 74
  }

  public var kind: Kind
  /// The file concerned, if one is.
  public var file: String?
  /// The node, tensor or kernel concerned, as its file calls it.
  public var place: String?
  /// What is wrong and, where we know it, what would mend it.
  public var message: String

  public init(_ kind: Kind, file: String? = nil, place: String? = nil, _ message: String) {
    self.kind = kind
    self.file = file
    self.place = place
    self.message = message
  }

  public static func badData(_ message: String, file: String? = nil, place: String? = nil) -> Failure {
    Failure(.badData, file: file, place: place, message)
  }

  /// The same failure, said to be in `file` unless it names one already.
  public func inFile(_ file: String) -> Failure {
    var copy = self
    copy.file = copy.file ?? file
    return copy
  }

  /// The same failure, said to be at `place` unless it names one already.
  public func at(_ place: String) -> Failure {
    var copy = self
    copy.place = copy.place ?? place
    return copy
  }

  public var description: String { [file, place, message].compactMap { $0 }.joined(separator: ": ") }
}
