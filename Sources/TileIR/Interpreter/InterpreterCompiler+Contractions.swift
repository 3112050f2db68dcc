import TensorTypes

extension InterpreterCompiler {
  /// Pairwise halving along a dimension: element i with i + n/2, n the next power of two, until one is left.
  func reduction(_ function: ReductionFunction, _ x: Slot, _ dimension: Int, _ result: Slot) -> Computation {
    let combiner = function.combiner
    switch x.register {
    case .float where x.element.isNarrowFloat:
      let (f, element) = (combiner.onFloats, x.element)
      return halving(x, dimension, result, Float.self) { Float(element.rounded(f(Double($0), Double($1)))) }
    case .float:
      switch function {
      case .sum: return halving(x, dimension, result, Float.self) { $0 + $1 }
      case .product: return halving(x, dimension, result, Float.self) { $0 * $1 }
      case .minimum, .maximum:
        let f = combiner.onFloats
        return halving(x, dimension, result, Float.self) { Float(f(Double($0), Double($1))) }
      }
    case .double: return halving(x, dimension, result, Double.self, combiner.onFloats)
    case .integer: return halving(x, dimension, result, Int64.self, combiner.onIntegers(x.element))
    }
  }

  @inline(__always)
  private func halving<T: Numeric>(
    _ x: Slot, _ dimension: Int, _ result: Slot, _: T.Type, _ combine: @escaping (T, T) -> T
  ) -> Computation {
    let length = x.shape[dimension]
    let inner = x.shape[(dimension + 1)...].reduce(1, *)
    let outer = x.count / (length * inner)
    var power = 1
    while power < length { power *= 2 }
    return { frame in
      let source = (frame + x.offset).assumingMemoryBound(to: T.self)
      let target = (frame + result.offset).assumingMemoryBound(to: T.self)
      var line = [T](repeating: 0, count: length)
      for o in 0..<outer {
        for i in 0..<inner {
          for k in 0..<length { line[k] = source[(o * length + k) * inner + i] }
          var count = length
          var half = power / 2
          while half > 0 {
            for k in 0..<max(count - half, 0) { line[k] = combine(line[k], line[k + half]) }
            count = min(count, half)
            half /= 2
          }
          target[o * inner + i] = line[0]
        }
      }
    }
  }

  /// `acc[m, n] + Σₖ a[m, k] · b[k, n]`, each step one fma, in order of k.
  func dot(_ accumulator: Slot, _ a: Slot, _ b: Slot, _ result: Slot) -> Computation {
    switch result.register {
    case .float: contraction(accumulator, a, b, result, Float.self) { $0.addingProduct($1, $2) }
    case .double: contraction(accumulator, a, b, result, Double.self) { $0.addingProduct($1, $2) }
    case .integer:
      contraction(accumulator, a, b, result, Int64.self) { Int64(Int32(truncatingIfNeeded: $0 &+ $1 &* $2)) }
    }
  }

  /// The same with the numbers in words; floats in the order of the bits.
  func dotOfWords(_ parts: WordParts, _ accumulator: Slot, _ a: Slot, _ b: Slot, _ result: Slot) -> Computation {
    let bits = Int64(32 / parts.count)
    func part(_ word: Int64, _ j: Int64, _ element: ElementType) -> Int64 { element.wrapped(word >> (j * bits)) }
    let elements = parts.elements
    switch parts {
    case .i16x2, .u8i8x4, .u8i7x4:
      return contraction(accumulator, a, b, result, Int64.self, Int64.self) { sum, x, y in
        let products = (0..<Int64(parts.count)).reduce(Int64(0)) {
          $0 + part(x, $1, elements.a) * part(y, $1, elements.b)
        }
        return Int64(Int32(truncatingIfNeeded: sum &+ products))
      }
    case .bf16x2:
      func number(_ word: Int64, _ j: Int64) -> Float {
        Float(bfloat16Bits: UInt16(truncatingIfNeeded: word >> (j * bits)))
      }
      return contraction(accumulator, a, b, result, Float.self, Int64.self) { sum, x, y in
        (0..<2).reduce(sum) { $0.addingProduct(number(x, $1), number(y, $1)) }
      }
    }
  }

  @inline(__always)
  private func contraction<T>(
    _ accumulator: Slot, _ a: Slot, _ b: Slot, _ result: Slot, _ type: T.Type, _ step: @escaping (T, T, T) -> T
  ) -> Computation { contraction(accumulator, a, b, result, type, type, step) }

  @inline(__always)
  private func contraction<T, S>(
    _ accumulator: Slot, _ a: Slot, _ b: Slot, _ result: Slot, _: T.Type, _: S.Type,
    _ step: @escaping (T, S, S) -> T
  ) -> Computation {
    let (m, n, depth) = (result.shape[0], result.shape[1], a.shape[1])
    return { frame in
      let z = (frame + accumulator.offset).assumingMemoryBound(to: T.self)
      let x = (frame + a.offset).assumingMemoryBound(to: S.self)
      let y = (frame + b.offset).assumingMemoryBound(to: S.self)
      let r = (frame + result.offset).assumingMemoryBound(to: T.self)
      for i in 0..<m * n { r[i] = z[i] }
      for i in 0..<m {
        for k in 0..<depth {
          let left = x[i * depth + k]
          for j in 0..<n { r[i * n + j] = step(r[i * n + j], left, y[k * n + j]) }
        }
      }
    }
  }
}
