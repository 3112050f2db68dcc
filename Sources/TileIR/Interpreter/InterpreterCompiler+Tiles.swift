import TensorTypes

typealias Computation = (UnsafeMutableRawPointer) -> Void

extension InterpreterCompiler {
  /// What an operation on tiles does to a frame.
  func computation(_ kind: Operation.Kind, _ result: Slot) -> Computation {
    switch kind {
    case .constant(let scalar): return filling(scalar, result)
    case .iota(let dimension):
      let inner = result.shape[(dimension + 1)...].reduce(1, *)
      let positions = (0..<result.count).map { Int64($0 / inner % result.shape[dimension]) }
      return { frame in
        let y = (frame + result.offset).assumingMemoryBound(to: Int64.self)
        for (i, position) in positions.enumerated() { y[i] = position }
      }
    case .unary(let function, let x): return rounded(unary(function, slot(x), result), result)
    case .binary(let function, let x, let y): return rounded(binary(function, slot(x), slot(y), result), result)
    case .select(let c, let x, let y):
      let (c, x, y) = (slot(c), slot(x), slot(y))
      return result.register.byteCount == 4
        ? selecting(UInt32.self, c, x, y, result) : selecting(UInt64.self, c, x, y, result)
    case .fma(let x, let y, let z): return rounded(fma(slot(x), slot(y), slot(z), result), result)
    case .cast(let x): return cast(slot(x), result)
    case .bitcast(let x): return bitcast(slot(x), result)
    case .broadcast(let x):
      let source = slot(x)
      var strides = [Int](repeating: 0, count: result.shape.count)
      var running = 1
      for d in source.shape.indices.reversed() {
        strides[d + result.shape.count - source.shape.count] = source.shape[d] == 1 ? 0 : running
        running *= source.shape[d]
      }
      return moving(source, strides, result)
    case .reshape(let x):
      let source = slot(x)
      return { ($0 + result.offset).copyMemory(from: $0 + source.offset, byteCount: source.byteCount) }
    case .transpose(let x, let permutation):
      let source = slot(x)
      let strides = rowMajorStrides(source.shape)
      return moving(source, permutation.map { strides[$0] }, result)
    case .rotate(let x, let by):
      let source = slot(x)
      let row = source.shape.last! * source.byteCount / max(1, source.count)
      let start = by * source.byteCount / max(1, source.count)
      return { frame in
        for begin in stride(from: 0, to: source.byteCount, by: row) {
          let (from, to) = (frame + source.offset + begin, frame + result.offset + begin)
          to.copyMemory(from: from + start, byteCount: row - start)
          (to + (row - start)).copyMemory(from: from, byteCount: start)
        }
      }
    case .reduce(let function, let x, let dimension): return reduction(function, slot(x), dimension, result)
    case .dot(let z, let x, let y): return dot(slot(z), slot(x), slot(y), result)
    case .dotOfWords(let parts, let z, let x, let y): return dotOfWords(parts, slot(z), slot(x), slot(y), result)
    case .size, .load, .store, .prefetch, .allocate, .loop, .conditional, .barrier:
      preconditionFailure("an operation on tiles")
    }
  }

  // MARK: Elementwise

  /// f16 and bf16 are held as f32, and each operation rounds its result (ScalarFunctions.swift).
  private func rounded(_ compute: @escaping Computation, _ result: Slot) -> Computation {
    let element = result.element
    guard element.isNarrowFloat else { return compute }
    return { frame in
      compute(frame)
      let y = (frame + result.offset).assumingMemoryBound(to: Float.self)
      for i in 0..<result.count { y[i] = Float(element.rounded(Double(y[i]))) }
    }
  }

  @inline(__always)
  private func each<A, R>(_ a: Slot, _ r: Slot, _: A.Type, _ f: @escaping (A) -> R) -> Computation {
    let (n, a, r) = (r.count, a.offset, r.offset)
    return { frame in
      let x = (frame + a).assumingMemoryBound(to: A.self)
      let y = (frame + r).assumingMemoryBound(to: R.self)
      for i in 0..<n { y[i] = f(x[i]) }
    }
  }

  @inline(__always)
  private func each<A, R>(_ a: Slot, _ b: Slot, _ r: Slot, _: A.Type, _ f: @escaping (A, A) -> R) -> Computation {
    let (n, a, b, r) = (r.count, a.offset, b.offset, r.offset)
    return { frame in
      let x = (frame + a).assumingMemoryBound(to: A.self)
      let y = (frame + b).assumingMemoryBound(to: A.self)
      let z = (frame + r).assumingMemoryBound(to: R.self)
      for i in 0..<n { z[i] = f(x[i], y[i]) }
    }
  }

  private func unary(_ function: UnaryFunction, _ x: Slot, _ result: Slot) -> Computation {
    let isTest = function.resultType(x.element) == .bool
    switch x.register {
    case .float:
      let f = function.onFloats
      if isTest { return each(x, result, Float.self) { f(Double($0)) != 0 ? 1 as Int64 : 0 } }
      return each(x, result, Float.self) { Float(f(Double($0))) }
    case .double:
      let f = function.onFloats
      if isTest { return each(x, result, Double.self) { f($0) != 0 ? 1 as Int64 : 0 } }
      return each(x, result, Double.self, f)
    case .integer: return each(x, result, Int64.self, function.onIntegers(x.element))
    }
  }

  private func binary(_ function: BinaryFunction, _ x: Slot, _ y: Slot, _ result: Slot) -> Computation {
    switch x.register {
    case .float:
      // The common ones without a call an element; f64 in between would give the same f32.
      switch function {
      case .add: return each(x, y, result, Float.self) { $0 + $1 }
      case .subtract: return each(x, y, result, Float.self) { $0 - $1 }
      case .multiply: return each(x, y, result, Float.self) { $0 * $1 }
      case .maximum: return each(x, y, result, Float.self) { $0.isNaN || $1.isNaN ? .nan : Swift.max($0, $1) }
      case .minimum: return each(x, y, result, Float.self) { $0.isNaN || $1.isNaN ? .nan : Swift.min($0, $1) }
      default:
        let f = function.onFloats
        if function.isComparison {
          return each(x, y, result, Float.self) { f(Double($0), Double($1)) != 0 ? 1 as Int64 : 0 }
        }
        return each(x, y, result, Float.self) { Float(f(Double($0), Double($1))) }
      }
    case .double:
      let f = function.onFloats
      if function.isComparison { return each(x, y, result, Double.self) { f($0, $1) != 0 ? 1 as Int64 : 0 } }
      return each(x, y, result, Double.self, f)
    case .integer:
      if x.element == .int64, function == .add { return each(x, y, result, Int64.self) { $0 &+ $1 } }
      if x.element == .int64, function == .multiply { return each(x, y, result, Int64.self) { $0 &* $1 } }
      return each(x, y, result, Int64.self, function.onIntegers(x.element))
    }
  }

  private func fma(_ x: Slot, _ y: Slot, _ z: Slot, _ result: Slot) -> Computation {
    func loop<T: FloatingPoint>(_: T.Type) -> Computation {
      { frame in
        let a = (frame + x.offset).assumingMemoryBound(to: T.self)
        let b = (frame + y.offset).assumingMemoryBound(to: T.self)
        let c = (frame + z.offset).assumingMemoryBound(to: T.self)
        let r = (frame + result.offset).assumingMemoryBound(to: T.self)
        for i in 0..<result.count { r[i] = c[i].addingProduct(a[i], b[i]) }
      }
    }
    return result.register == .double ? loop(Double.self) : loop(Float.self)
  }

  private func selecting<T>(_: T.Type, _ c: Slot, _ x: Slot, _ y: Slot, _ result: Slot) -> Computation {
    let n = result.count
    return { frame in
      let condition = (frame + c.offset).assumingMemoryBound(to: Int64.self)
      let a = (frame + x.offset).assumingMemoryBound(to: T.self)
      let b = (frame + y.offset).assumingMemoryBound(to: T.self)
      let r = (frame + result.offset).assumingMemoryBound(to: T.self)
      for i in 0..<n { r[i] = condition[i] != 0 ? a[i] : b[i] }
    }
  }

  // MARK: Types

  private func cast(_ x: Slot, _ result: Slot) -> Computation {
    let (from, to) = (x.element, result.element)
    switch (x.register, result.register) {
    case (.float, .float): return each(x, result, Float.self) { Float(to.rounded(Double($0))) }
    case (.float, .double): return each(x, result, Float.self) { Double($0) }
    case (.double, .float): return each(x, result, Double.self) { Float(to.rounded($0)) }
    case (.double, .double): return each(x, result, Double.self) { $0 }
    case (.float, .integer): return each(x, result, Float.self) { to.saturated(Double($0)) }
    case (.double, .integer): return each(x, result, Double.self) { to.saturated($0) }
    case (.integer, .float): return each(x, result, Int64.self) { Float(from.float($0, as: to)) }
    case (.integer, .double): return each(x, result, Int64.self) { from.float($0, as: to) }
    case (.integer, .integer): return each(x, result, Int64.self) { from.saturated($0, to: to) }
    }
  }

  private func bitcast(_ x: Slot, _ result: Slot) -> Computation {
    let (from, to) = (x.element, result.element)
    func bits(_ source: UnsafeRawPointer, _ i: Int) -> Int64 {
      switch from {
      case .float64: Int64(bitPattern: source.load(fromByteOffset: i * 8, as: Double.self).bitPattern)
      case .float32: Int64(source.load(fromByteOffset: i * 4, as: Float.self).bitPattern)
      case .float16: Int64(Float16(source.load(fromByteOffset: i * 4, as: Float.self)).bitPattern)
      case .bfloat16: Int64(bfloat16Bits(source.load(fromByteOffset: i * 4, as: Float.self)))
      case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool:
        source.load(fromByteOffset: i * 8, as: Int64.self)
      }
    }
    func put(_ bits: Int64, _ target: UnsafeMutableRawPointer, _ i: Int) {
      switch to {
      case .float64:
        target.storeBytes(of: Double(bitPattern: UInt64(bitPattern: bits)), toByteOffset: i * 8, as: Double.self)
      case .float32:
        target.storeBytes(of: Float(bitPattern: UInt32(truncatingIfNeeded: bits)), toByteOffset: i * 4, as: Float.self)
      case .float16:
        let half = Float16(bitPattern: UInt16(truncatingIfNeeded: bits))
        target.storeBytes(of: Float(half), toByteOffset: i * 4, as: Float.self)
      case .bfloat16:
        target.storeBytes(
          of: Float(bfloat16Bits: UInt16(truncatingIfNeeded: bits)), toByteOffset: i * 4, as: Float.self)
      case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8, .bool:
        target.storeBytes(of: to.wrapped(bits), toByteOffset: i * 8, as: Int64.self)
      }
    }
    if from.byteCount == to.byteCount {
      return { frame in
        for i in 0..<result.count { put(bits(frame + x.offset, i), frame + result.offset, i) }
      }
    }
    let (short, long) = (min(from.byteCount, to.byteCount) * 8, max(from.byteCount, to.byteCount) * 8)
    let (parts, mask) = (long / short, Int64(1) << Int64(short) - 1)
    if from.byteCount < to.byteCount {
      return { frame in
        for i in 0..<result.count {
          let whole = (0..<parts).reduce(Int64(0)) {
            $0 | (bits(frame + x.offset, i * parts + $1) & mask) << Int64($1 * short)
          }
          put(whole, frame + result.offset, i)
        }
      }
    }
    return { frame in
      for i in 0..<result.count {
        put(bits(frame + x.offset, i / parts) >> Int64(i % parts * short) & mask, frame + result.offset, i)
      }
    }
  }

  /// `scalar` as the elements of a slot hold it, all of them.
  func filling(_ scalar: Scalar, _ slot: Slot) -> Computation {
    let (n, offset) = (slot.count, slot.offset)
    switch slot.register {
    case .float:
      let value = Float(slot.element.rounded(scalar.double))
      return { ($0 + offset).assumingMemoryBound(to: Float.self).update(repeating: value, count: n) }
    case .double:
      let value = scalar.double
      return { ($0 + offset).assumingMemoryBound(to: Double.self).update(repeating: value, count: n) }
    case .integer:
      guard case .integer(let i) = scalar else { preconditionFailure("an integer constant") }
      let value = slot.element == .bool ? (i != 0 ? 1 : 0) : slot.element.wrapped(i)
      return { ($0 + offset).assumingMemoryBound(to: Int64.self).update(repeating: value, count: n) }
    }
  }

  // MARK: Positions

  func rowMajorStrides(_ shape: [Int]) -> [Int] {
    shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
  }

  /// Result element at position p is the source's at `Σ pᵢ · stridesᵢ`.
  private func moving(_ source: Slot, _ strides: [Int], _ result: Slot) -> Computation {
    let own = rowMajorStrides(result.shape)
    let map = (0..<result.count).map { i in
      Int32(result.shape.indices.reduce(0) { $0 + i / own[$1] % result.shape[$1] * strides[$1] })
    }
    func loop<T>(_: T.Type) -> Computation {
      { frame in
        let x = (frame + source.offset).assumingMemoryBound(to: T.self)
        let y = (frame + result.offset).assumingMemoryBound(to: T.self)
        for i in 0..<map.count { y[i] = x[Int(map[i])] }
      }
    }
    return result.register.byteCount == 4 ? loop(UInt32.self) : loop(UInt64.self)
  }
}
