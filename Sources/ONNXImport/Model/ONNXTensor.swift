import TensorTypes

/// `TensorProto`: its data are found and as long as its dimensions say, whatever the file kept them in.
public struct ONNXTensor: Sendable {
  public enum Content: Sendable {
    /// Elements in little-endian order, row-major: a slice of a mapped file, or decoded. Elements of less than a byte
    /// are packed, the first one lowest.
    case bytes(HostTensor.Storage)
    case strings([String])
  }

  public var name: String
  public var dims: [Int]
  public var dataType: ONNXDataType
  public var content: Content

  public init(name: String, dims: [Int], dataType: ONNXDataType, content: Content) {
    self.name = name
    self.dims = dims
    self.dataType = dataType
    self.content = content
  }

  public init(name: String, _ tensor: HostTensor) {
    self.init(
      name: name, dims: tensor.shape, dataType: ONNXDataType(tensor.element),
      content: .bytes(tensor.storage))
  }

  /// The tensor to compute with; it shares the bytes, unless they hold two elements each.
  /// - Throws: `Failure` if Tessera has no such element type.
  public func tensor() throws -> HostTensor {
    if let halves = fourBitIntegers { return halves }
    guard let element = dataType.element, case .bytes(let storage) = content else {
      throw Failure.badData("elements of type \(dataType.name) are not supported", place: place)
    }
    do { return try HostTensor.checked(element, dims, storage) } catch let failure as Failure {
      throw failure.at(place)
    }
  }

  /// INT4 and UINT4 as i8 and u8.
  private var fourBitIntegers: HostTensor? {
    guard dataType == .int4 || dataType == .uint4, case .bytes(let storage) = content else { return nil }
    let isSigned = dataType == .int4
    return HostTensor(isSigned ? .int8 : .uint8, dims) { memory in
      for i in memory.indices {
        let bits = storage.bytes[i / 2] >> (i % 2 * 4) & 0xF
        memory[i] = isSigned && bits > 7 ? bits | 0xF0 : bits
      }
    }
  }

  var place: String { "tensor '\(name)'" }
}

/// `SparseTensorProto`: `values` at `indices`, which are linear ([n]) or one row of coordinates each ([n, rank]).
public struct ONNXSparseTensor: Sendable {
  public var values: ONNXTensor
  public var indices: ONNXTensor
  public var dims: [Int]

  public var name: String { values.name }
}
