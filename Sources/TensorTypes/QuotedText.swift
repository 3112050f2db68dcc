/// Names in the texts of both intermediate representations: in double quotes, with `\"`, `\\`, `\n`, `\r` and `\t` escaped.
public enum QuotedText {
  public static func quoting(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// What stands from behind an opening quote up to the closing one.
  /// - Parameter position: moves behind the closing quote.
  /// - Returns: nil if there is none.
  public static func read(_ text: [UInt8], from position: inout Int) -> String? {
    var bytes: [UInt8] = []
    while position < text.count {
      var byte = text[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return String(decoding: bytes, as: UTF8.self) }
      if byte == UInt8(ascii: "\\") {
        guard position < text.count else { return nil }
        switch text[position] {
        case UInt8(ascii: "n"): byte = 0x0a
        case UInt8(ascii: "r"): byte = 0x0d
        case UInt8(ascii: "t"): byte = 0x09
        default: byte = text[position]
        }
        position += 1
      }
      bytes.append(byte)
    }
    return nil
  }
}
