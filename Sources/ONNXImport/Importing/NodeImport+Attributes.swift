import GraphIR
import TensorTypes

// A node's attributes, with the defaults that ONNX's documentation gives.

extension NodeImport {
  func has(_ name: String) -> Bool { node.attribute(name) != nil }

  func int(_ name: String) throws -> Int { try required(name, optionalInt(name)) }
  func int(_ name: String, default value: Int) throws -> Int { try optionalInt(name) ?? value }
  func flag(_ name: String, default value: Bool = false) throws -> Bool {
    try optionalInt(name).map { $0 != 0 } ?? value
  }

  func optionalInt(_ name: String) throws -> Int? {
    try attribute(name, "an integer") { if case .int(let value) = $0 { Int(value) } else { nil } }
  }

  func ints(_ name: String) throws -> [Int]? {
    try attribute(name, "integers") {
      switch $0 {
      case .ints(let values): values.map { Int($0) }
      case .int(let value): [Int(value)]
      // An empty list has no kind of its own.
      case .floats(let values) where values.isEmpty: []
      default: nil
      }
    }
  }

  func optionalFloat(_ name: String) throws -> Double? {
    try attribute(name, "a number") {
      switch $0 {
      case .float(let value): Double(value)
      case .int(let value): Double(value)
      default: nil
      }
    }
  }

  func float(_ name: String, default value: Double) throws -> Double { try optionalFloat(name) ?? value }

  func floats(_ name: String) throws -> [Double]? {
    try attribute(name, "numbers") {
      switch $0 {
      case .floats(let values): values.map { Double($0) }
      case .ints(let values): values.map { Double($0) }
      default: nil
      }
    }
  }

  func string(_ name: String, default value: String) throws -> String {
    try attribute(name, "a string") { if case .string(let value) = $0 { value } else { nil } } ?? value
  }

  func strings(_ name: String) throws -> [String]? {
    try attribute(name, "strings") { if case .strings(let values) = $0 { values } else { nil } }
  }

  func tensor(_ name: String) throws -> HostTensor? {
    try attribute(name, "a tensor") { if case .tensor(let value) = $0 { value } else { nil } }?.tensor()
  }

  func graph(_ name: String) throws -> ONNXGraph {
    try required(name, attribute(name, "a graph") { if case .graph(let value) = $0 { value } else { nil } })
  }

  /// The element type that an attribute gives by ONNX's number.
  func elementType(_ name: String) throws -> ElementType? {
    guard let number = try optionalInt(name) else { return nil }
    guard let type = ONNXDataType(rawValue: number), let element = type.element else {
      throw Failure.badData("elements of type \(ONNXDataType(rawValue: number)?.name ?? "\(number)") are not supported")
    }
    return element
  }

  /// A string that is one of an enum's raw values.
  func choice<E: RawRepresentable<String>>(_ name: String, default value: E) throws -> E {
    let text = try string(name, default: value.rawValue)
    guard let choice = E(rawValue: text) else { throw Failure.badData("attribute '\(name)' is '\(text)'") }
    return choice
  }

  private func attribute<T>(
    _ name: String, _ kind: String, _ convert: (ONNXAttribute.Value) -> T?
  ) throws -> T? {
    guard let attribute = node.attribute(name) else { return nil }
    guard let value = convert(attribute.value) else { throw Failure.badData("attribute '\(name)' must be \(kind)") }
    return value
  }

  private func required<T>(_ name: String, _ value: T?) throws -> T {
    guard let value else { throw Failure.badData("attribute '\(name)' is missing") }
    return value
  }
}
