import TensorTypes

extension TileProgram {
  /// The program with transcendental functions, powers and floating remainders written out in basic operations:
  /// arithmetic, fma, minimum and maximum, comparisons, selections, casts and integer operations on bits, which both
  /// lowerings have.
  ///
  /// Each function says how large its error is: the largest found over every 37th f32 (sine, cosine, tangent, log1p:
  /// every 11th; exp, sigmoid, tanh, erf, log: every 7th; power: 2¹⁷
  /// random pairs) against the C library in f64, rounded up; not a proof. f64 was only sampled at random:
  /// below 5 units in the last place for tanh and tan, 4 for the others, 2 for exp, log and power.
  ///
  /// The bounds are those of machines with fma. x86-64-v2 has none: there `fma` is a product and a sum, each rounded, what
  /// argument reductions gain by it is lost, and the errors are larger; how much has not been measured.
  ///
  /// f32 and f64 are computed in themselves (f32 powers in f64); f16 and bf16 in f32, rounded once at the end. The
  /// expansions rely on IEEE semantics of each operation: none may be reassociated, contracted, or assume that NaN or
  /// infinity does not occur.
  public func expandingMath() -> TileProgram {
    TileRewriter.rewrite(self) { kind, operands in
      switch kind {
      case .unary(let function, _): operands[0].expanding(function)
      case .binary(let function, _, _): operands[0].expanding(function, operands[1])
      default: nil
      }
    }
  }
}

extension UnaryFunction {
  /// How the function is written in basic operations on f32 or f64; nil where it is basic.
  var expansion: ((Tile) -> Tile)? {
    switch self {
    case .negate, .abs, .sign, .sqrt, .reciprocal, .floor, .ceil, .truncate, .round, .not, .isNaN, .isInfinite: nil
    case .exp: { $0.exp }
    case .expm1: { $0.expm1 }
    case .log: { $0.log }
    case .log1p: { $0.log1p }
    case .sin: { $0.sin }
    case .cos: { $0.cos }
    case .tan: { $0.tan }
    case .asin: { $0.asin }
    case .acos: { $0.acos }
    case .atan: { $0.atan }
    case .sinh: { $0.sinh }
    case .cosh: { $0.cosh }
    case .tanh: { $0.tanh }
    case .asinh: { $0.asinh }
    case .acosh: { $0.acosh }
    case .atanh: { $0.atanh }
    case .erf: { $0.erf }
    case .sigmoid: { $0.sigmoid }
    }
  }
}

extension Tile {
  /// f16 and bf16 as f32.
  private var widened: Tile { element == .float16 || element == .bfloat16 ? cast(.float32) : self }

  func expanding(_ function: UnaryFunction) -> Tile? {
    guard element.isFloat, let expansion = function.expansion else { return nil }
    return expansion(widened).cast(element)
  }

  func expanding(_ function: BinaryFunction, _ other: Tile) -> Tile? {
    switch function {
    case .power where element.isFloat: widened.power(other.widened).cast(element)
    case .power: integerPower(other)
    case .modulo where element.isFloat: widened.modulo(other.widened).cast(element)
    case .remainder where element.isFloat: widened.remainder(other.widened).cast(element)
    default: nil
    }
  }
}
