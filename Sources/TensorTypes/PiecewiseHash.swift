/// A hash of much that several threads can take: the SHA-256 of the SHA-256s, 64 hexadecimal digits each, of pieces of 16 MiB.
public struct PiecewiseHash {
  public static let pieceSize = 16 << 20
  private let bytes: UnsafeRawBufferPointer

  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  public var pieceCount: Int { (bytes.count + Self.pieceSize - 1) / Self.pieceSize }

  public func digest(ofPiece i: Int) -> String {
    let end = min(bytes.count, (i + 1) * Self.pieceSize)
    return SHA256.hexDigest(UnsafeRawBufferPointer(rebasing: bytes[i * Self.pieceSize..<end]))
  }

  /// - Parameter digests: of all pieces, in order.
  public static func hexDigest(ofPieces digests: [String]) -> String {
    Array(digests.joined().utf8).withUnsafeBytes { SHA256.hexDigest($0) }
  }

  /// One piece after the other.
  public func hexDigest() -> String { Self.hexDigest(ofPieces: (0..<pieceCount).map(digest)) }
}
