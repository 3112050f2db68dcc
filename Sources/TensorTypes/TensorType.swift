/// Dimensions, outermost first. Empty for a scalar.
public typealias Shape = [Dim]

/// What is known of a tensor before it exists: element type and dimensions.
public struct TensorType: Hashable, Sendable, Codable, CustomStringConvertible {
  public var element: ElementType
  public var shape: Shape

  public init(_ element: ElementType, _ shape: Shape) {
    self.element = element
    self.shape = shape
  }

  public var rank: Int { shape.count }
  public var elementCount: Dim { shape.product }
  public var byteCount: Dim { elementCount * Dim(element.byteCount) }

  /// The dimensions as integers, if all are known.
  public var staticShape: [Int]? {
    let sizes = shape.compactMap(\.constant)
    return sizes.count == shape.count ? sizes : nil
  }

  /// `f32[1, 3, h, w]`
  public var description: String { "\(element.rawValue)[\(shape.map(\.description).joined(separator: ", "))]" }
}
