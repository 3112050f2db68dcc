internal import TensorTypes

extension Library {
  /// The symbols' values, in the descriptor's order, for inputs of these sizes.
  ///
  /// - Throws: `usage` for another number of inputs; `badData` naming input and dimension for a wrong rank, a size
  ///   other than a fixed one, or one that contradicts what another input has bound.
  func bindSymbols(_ shapes: [[Int]]) throws(Failure) -> [Int64] {
    guard shapes.count == inputs.count else {
      throw Failure(.usage, "the model has \(inputs.count) inputs, not \(shapes.count)")
    }
    var values = [Int64](repeating: -1, count: symbols.count)
    var binders = [(input: Int, dimension: Int)](repeating: (0, 0), count: symbols.count)
    for (i, (port, shape)) in zip(inputs, shapes).enumerated() {
      let place = "input '\(port.name)'"
      if port.takesAsScalar(shape) { continue }
      guard shape.count == port.rank else {
        throw .badData("\(shape.count) dimensions, but \(port) has \(port.rank)", place: place)
      }
      for (d, size) in shape.enumerated() {
        guard size >= 0 else { throw .badData("dimension \(d) is \(size)", place: place) }
        switch port.sizes[d] {
        case .fixed(let expected):
          guard size == expected else {
            throw .badData("dimension \(d) is \(size), but must be \(expected)", place: place)
          }
        case .symbol(let symbol):
          guard values[symbol] == -1 || values[symbol] == Int64(size) else {
            let binder = binders[symbol]
            throw .badData(
              "dimension \(d), '\(symbols[symbol])', is \(size), but dimension \(binder.dimension) of input "
                + "'\(inputs[binder.input].name)' makes it \(values[symbol])", place: place)
          }
          if values[symbol] == -1 { (values[symbol], binders[symbol]) = (Int64(size), (i, d)) }
        case .computed, .unknown: preconditionFailure("inputs have no computed sizes")
        }
      }
    }
    return values
  }
}

extension Port {
  /// Whether a tensor of these sizes is one element for a port that is a scalar: many files hold scalars as `[1]`.
  func takesAsScalar(_ shape: [Int]) -> Bool { rank == 0 && shape.allSatisfy { $0 == 1 } }

  /// Checks element type, and rank and memory as far as they are known, of memory for this output.
  func check(output view: MutableTensorView) throws(Failure) {
    let bytes = UnsafeRawBufferPointer(view.bytes)
    if isUnknown {
      // Sizes are what the run finds; the memory is what there is.
      try check(TensorView(view.element, [Int](repeating: 0, count: rank), bytes), "output")
    } else {
      try check(TensorView(view.element, view.shape, bytes), "output")
    }
  }

  /// Checks element type, rank and memory of a tensor meant for this port.
  func check(_ view: TensorView, _ role: String) throws(Failure) {
    let place = "\(role) '\(name)'"
    guard view.element == element else {
      throw .badData("elements are \(view.element.rawValue), but must be \(element.rawValue)", place: place)
    }
    guard view.shape.count == rank || takesAsScalar(view.shape) else {
      throw .badData("\(view.shape.count) dimensions, but must be \(rank)", place: place)
    }
    do throws(Failure) { try checkMemory(view.element, view.shape, view.bytes) } catch { throw error.at(place) }
  }
}

extension HostTensor {
  /// The same tensor where its elements may lie: itself, or a copy if it begins at an odd place of a file.
  var alignedToElements: HostTensor {
    if UInt(bitPattern: bytes.baseAddress) % UInt(element.byteCount) == 0 { return self }
    return HostTensor(
      element, shape, storage: .make(byteCount: byteCount) { memory in memory.copyMemory(from: bytes) })
  }
}
