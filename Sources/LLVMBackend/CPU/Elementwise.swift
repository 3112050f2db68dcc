internal import CLLVM
import TensorTypes
import TileIR

// One chunk at a time: the functions of ScalarFunctions.swift as LLVM instructions. Transcendental ones were expanded
// into these before lowering.

extension KernelLowering {
  func unary(_ function: UnaryFunction, _ x: LLVMValueRef, _ element: ElementType) -> LLVMValueRef {
    let b = e.builder
    let type = LLVMTypeOf(x)!
    if element == .bfloat16 || (element == .float16 && !function.keepsBits) {
      let wide = unary(function, convert(x, element, .float32), .float32)
      return function.resultType(element) == .bool ? wide : convert(wide, .float32, element)
    }
    let zero = LLVMConstNull(type)!
    switch function {
    case .negate: return element.isFloat ? LLVMBuildFNeg(b, x, "") : LLVMBuildNeg(b, x, "")
    case .abs:
      if element.isFloat { return e.intrinsic("llvm.fabs", [type], [x]) }
      return element.isSignedInteger ? e.intrinsic("llvm.abs", [type], [x, LLVMConstInt(e.i1, 0, 0)]) : x
    case .sign: return sign(x, element)
    case .sqrt: return e.intrinsic("llvm.sqrt", [type], [x])
    case .reciprocal:
      return LLVMBuildFDiv(b, splatConstant(.float(1), element, like: x), x, "")
    case .floor: return element.isFloat ? e.intrinsic("llvm.floor", [type], [x]) : x
    case .ceil: return element.isFloat ? e.intrinsic("llvm.ceil", [type], [x]) : x
    case .truncate: return element.isFloat ? e.intrinsic("llvm.trunc", [type], [x]) : x
    case .round: return element.isFloat ? e.intrinsic("llvm.roundeven", [type], [x]) : x
    case .not: return LLVMBuildNot(b, x, "")
    case .isNaN:
      return element.isFloat ? LLVMBuildFCmp(b, LLVMRealUNO, x, x, "") : LLVMConstNull(boolType(like: x))
    case .isInfinite:
      guard element.isFloat else { return LLVMConstNull(boolType(like: x)) }
      let magnitude = e.intrinsic("llvm.fabs", [type], [x])
      return LLVMBuildFCmp(b, LLVMRealOEQ, magnitude, splatConstant(.float(.infinity), element, like: x), "")
    case .exp, .expm1, .log, .log1p, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh, .asinh, .acosh,
      .atanh, .erf, .sigmoid:
      preconditionFailure("\(function) expanded before lowering; zero is \(zero)")
    }
  }

  private func sign(_ x: LLVMValueRef, _ element: ElementType) -> LLVMValueRef {
    let b = e.builder
    let zero = LLVMConstNull(LLVMTypeOf(x))!
    let one = splatConstant(element.isFloat ? .float(1) : .integer(1), element, like: x)
    if element.isFloat {
      let negative = LLVMBuildFCmp(b, LLVMRealOLT, x, zero, "")
      let positive = LLVMBuildFCmp(b, LLVMRealOGT, x, zero, "")
      let minusOne = splatConstant(.float(-1), element, like: x)
      // Neither: zero of its sign, or NaN.
      return LLVMBuildSelect(b, positive, one, LLVMBuildSelect(b, negative, minusOne, x, ""), "")
    }
    let nonzero = LLVMBuildICmp(b, LLVMIntNE, x, zero, "")
    let magnitude = LLVMBuildSelect(b, nonzero, one, zero, "")!
    guard element.isSignedInteger else { return magnitude }
    let negative = LLVMBuildICmp(b, LLVMIntSLT, x, zero, "")
    return LLVMBuildSelect(b, negative, splatConstant(.integer(-1), element, like: x), magnitude, "")
  }

  func binary(_ function: BinaryFunction, _ x: LLVMValueRef, _ y: LLVMValueRef, _ element: ElementType) -> LLVMValueRef
  {
    if element == .bfloat16 || element == .float16 {
      let wide = binary(function, convert(x, element, .float32), convert(y, element, .float32), .float32)
      return function.isComparison ? wide : convert(wide, .float32, element)
    }
    return element.isFloat ? floatBinary(function, x, y) : integerBinary(function, x, y, element)
  }

  private func floatBinary(_ function: BinaryFunction, _ x: LLVMValueRef, _ y: LLVMValueRef) -> LLVMValueRef {
    let b = e.builder
    let type = LLVMTypeOf(x)!
    switch function {
    case .add: return LLVMBuildFAdd(b, x, y, "")
    case .subtract: return LLVMBuildFSub(b, x, y, "")
    case .multiply: return LLVMBuildFMul(b, x, y, "")
    case .divide: return quotient(x, byConstant: y) ?? LLVMBuildFDiv(b, x, y, "")
    case .minimum: return e.intrinsic("llvm.minimum", [type], [x, y])
    case .maximum: return e.intrinsic("llvm.maximum", [type], [x, y])
    case .equal: return LLVMBuildFCmp(b, LLVMRealOEQ, x, y, "")
    case .notEqual: return LLVMBuildFCmp(b, LLVMRealUNE, x, y, "")
    case .less: return LLVMBuildFCmp(b, LLVMRealOLT, x, y, "")
    case .lessEqual: return LLVMBuildFCmp(b, LLVMRealOLE, x, y, "")
    case .greater: return LLVMBuildFCmp(b, LLVMRealOGT, x, y, "")
    case .greaterEqual: return LLVMBuildFCmp(b, LLVMRealOGE, x, y, "")
    case .power, .modulo, .remainder: preconditionFailure("\(function) on floats expanded before lowering")
    case .and, .or, .xor, .shiftLeft, .shiftRight: preconditionFailure("integer operands for \(function)")
    }
  }

  /// x / c for a constant c, rounded as a division, without one, which takes 16 cycles for a vector of 64 bytes: the product with c's
  /// reciprocal, corrected by what it leaves of x, which fma finds exactly (Markstein, IBM J. Res. Dev. 34, 1990). Where what is left
  /// is subnormal (|x| < 2⁻⁶⁰) the last place may differ. nil where the theorem or the machine has no place for it.
  private func quotient(_ x: LLVMValueRef, byConstant y: LLVMValueRef) -> LLVMValueRef? {
    let type = LLVMTypeOf(x)!
    guard target.machine.vectorBytes == 64, target.machine.hasFMA, LLVMGetTypeKind(type) == LLVMVectorTypeKind,
      LLVMGetElementType(type) == e.type(.float32), let c = constant(y),
      (-40...40).contains(c.exponent), c.significandBitPattern != (1 << 23) - 1
    else { return nil }
    let inverse = splatConstant(.float(Double(1 / c)), .float32, like: x)
    let estimate = LLVMBuildFMul(e.builder, x, inverse, "")!
    let left = e.intrinsic("llvm.fma", [type], [LLVMBuildFNeg(e.builder, estimate, ""), y, x])
    let corrected = e.intrinsic("llvm.fma", [type], [left, inverse, estimate])
    // Zeros keep their sign, infinities and what is not a number stay.
    let isNormal = e.intrinsic("llvm.is.fpclass", [type], [estimate, e.constant32(0x108)])
    return LLVMBuildSelect(e.builder, isNormal, corrected, estimate, "")
  }

  /// The f32 that all lanes of a constant hold.
  private func constant(_ y: LLVMValueRef) -> Float? {
    guard LLVMIsConstant(y) != 0 else { return nil }
    let lanes = (0..<LLVMGetVectorSize(LLVMTypeOf(y))).map { LLVMGetAggregateElement(y, $0) }
    guard let first = lanes[0], LLVMIsAConstantFP(first) != nil, lanes.allSatisfy({ $0 == first }) else { return nil }
    var losesInformation: LLVMBool = 0
    return Float(LLVMConstRealGetDouble(first, &losesInformation))
  }

  private func integerBinary(
    _ function: BinaryFunction, _ x: LLVMValueRef, _ y: LLVMValueRef, _ element: ElementType
  ) -> LLVMValueRef {
    let b = e.builder
    let type = LLVMTypeOf(x)!
    let signed = element.isSignedInteger
    switch function {
    case .add: return LLVMBuildAdd(b, x, y, "")
    case .subtract: return LLVMBuildSub(b, x, y, "")
    case .multiply: return LLVMBuildMul(b, x, y, "")
    case .divide, .modulo, .remainder: return integerDivision(function, x, y, element)
    case .power: preconditionFailure("power on integers expanded before lowering")
    case .minimum: return e.intrinsic(signed ? "llvm.smin" : "llvm.umin", [type], [x, y])
    case .maximum: return e.intrinsic(signed ? "llvm.smax" : "llvm.umax", [type], [x, y])
    case .equal: return LLVMBuildICmp(b, LLVMIntEQ, x, y, "")
    case .notEqual: return LLVMBuildICmp(b, LLVMIntNE, x, y, "")
    case .less: return LLVMBuildICmp(b, signed ? LLVMIntSLT : LLVMIntULT, x, y, "")
    case .lessEqual: return LLVMBuildICmp(b, signed ? LLVMIntSLE : LLVMIntULE, x, y, "")
    case .greater: return LLVMBuildICmp(b, signed ? LLVMIntSGT : LLVMIntUGT, x, y, "")
    case .greaterEqual: return LLVMBuildICmp(b, signed ? LLVMIntSGE : LLVMIntUGE, x, y, "")
    case .and: return LLVMBuildAnd(b, x, y, "")
    case .or: return LLVMBuildOr(b, x, y, "")
    case .xor: return LLVMBuildXor(b, x, y, "")
    case .shiftLeft, .shiftRight:
      // LLVM's shifts by the width or more are undefined; ours give 0.
      let width = splatConstant(.integer(Int64(element.byteCount * 8)), element, like: x)
      let inRange = LLVMBuildICmp(b, LLVMIntULT, y, width, "")
      let safe = LLVMBuildSelect(b, inRange, y, LLVMConstNull(type), "")
      let shifted =
        function == .shiftLeft
        ? LLVMBuildShl(b, x, safe, "") : signed ? LLVMBuildAShr(b, x, safe, "") : LLVMBuildLShr(b, x, safe, "")
      return LLVMBuildSelect(b, inRange, shifted, LLVMConstNull(type), "")
    }
  }

  /// Division that cannot trap: by zero gives 0, the smallest number by -1 wraps around.
  private func integerDivision(
    _ function: BinaryFunction, _ x: LLVMValueRef, _ y: LLVMValueRef, _ element: ElementType
  ) -> LLVMValueRef {
    let b = e.builder
    let zero = LLVMConstNull(LLVMTypeOf(x))!
    let one = splatConstant(.integer(1), element, like: x)
    let byZero = LLVMBuildICmp(b, LLVMIntEQ, y, zero, "")
    guard element.isSignedInteger else {
      let divisor = LLVMBuildSelect(b, byZero, one, y, "")
      let quotient = function == .divide ? LLVMBuildUDiv(b, x, divisor, "") : LLVMBuildURem(b, x, divisor, "")
      return LLVMBuildSelect(b, byZero, zero, quotient, "")
    }
    let byMinusOne = LLVMBuildICmp(b, LLVMIntEQ, y, splatConstant(.integer(-1), element, like: x), "")
    let divisor = LLVMBuildSelect(b, LLVMBuildOr(b, byZero, byMinusOne, ""), one, y, "")!
    if function == .divide {
      let quotient = LLVMBuildSelect(b, byMinusOne, LLVMBuildNeg(b, x, ""), LLVMBuildSDiv(b, x, divisor, ""), "")
      return LLVMBuildSelect(b, byZero, zero, quotient, "")
    }
    let rest = LLVMBuildSRem(b, x, divisor, "")!
    guard function == .modulo else { return rest }
    let differs = LLVMBuildICmp(b, LLVMIntSLT, LLVMBuildXor(b, rest, divisor, ""), zero, "")
    let nonzero = LLVMBuildICmp(b, LLVMIntNE, rest, zero, "")
    return LLVMBuildSelect(b, LLVMBuildAnd(b, differs, nonzero, ""), LLVMBuildAdd(b, rest, divisor, ""), rest, "")
  }

  func fma(_ x: LLVMValueRef, _ y: LLVMValueRef, _ z: LLVMValueRef, _ element: ElementType) -> LLVMValueRef {
    if element == .float16 || element == .bfloat16 {
      let wide = fma(
        convert(x, element, .float32), convert(y, element, .float32), convert(z, element, .float32), .float32)
      return convert(wide, .float32, element)
    }
    if !element.isFloat { return LLVMBuildAdd(e.builder, LLVMBuildMul(e.builder, x, y, ""), z, "") }
    // Without the instruction LLVM would call libm's fma for every lane; two roundings instead of one are within
    // every tolerance that is derived from the number of roundings.
    if !target.machine.hasFMA { return LLVMBuildFAdd(e.builder, LLVMBuildFMul(e.builder, x, y, ""), z, "") }
    return e.intrinsic("llvm.fma", [LLVMTypeOf(x)], [x, y, z])
  }

  // MARK: Conversion

  func splatConstant(_ value: Scalar, _ element: ElementType, like x: LLVMValueRef) -> LLVMValueRef {
    e.splat(e.constant(value, element), width(x))
  }

  func width(_ x: LLVMValueRef) -> Int {
    let type = LLVMTypeOf(x)
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? Int(LLVMGetVectorSize(type)) : 1
  }

  private func boolType(like x: LLVMValueRef) -> LLVMTypeRef { e.vector(e.i1, width(x)) }

  func convert(_ x: LLVMValueRef, _ from: ElementType, _ to: ElementType) -> LLVMValueRef {
    if from == to { return x }
    let b = e.builder
    let type = e.vector(e.type(to), width(x))
    if from == .bfloat16 {
      let wide = LLVMBuildZExt(b, x, e.vector(e.i32, width(x)), "")
      let shifted = LLVMBuildShl(b, wide, e.splat(e.constant32(16), width(x)), "")
      return convert(LLVMBuildBitCast(b, shifted, e.vector(e.type(.float32), width(x)), ""), .float32, to)
    }
    if to == .bfloat16 { return roundToBFloat16(convert(x, from, .float32)) }
    switch (from.isFloat, to.isFloat) {
    case (true, true):
      return from.byteCount < to.byteCount ? LLVMBuildFPExt(b, x, type, "") : LLVMBuildFPTrunc(b, x, type, "")
    case (true, false):
      if to == .bool { return LLVMBuildFCmp(b, LLVMRealUNE, x, LLVMConstNull(LLVMTypeOf(x)), "") }
      if to.byteCount < 4 || width(x) > 1 { return saturate(x, from, to) }
      let name = to.isSignedInteger ? "llvm.fptosi.sat" : "llvm.fptoui.sat"
      return e.intrinsic(name, [type, LLVMTypeOf(x)], [x])
    case (false, true):
      return from.isSignedInteger ? LLVMBuildSIToFP(b, x, type, "") : LLVMBuildUIToFP(b, x, type, "")
    case (false, false):
      if to == .bool { return LLVMBuildICmp(b, LLVMIntNE, x, LLVMConstNull(LLVMTypeOf(x)), "") }
      if from == .bool { return LLVMBuildZExt(b, x, type, "") }
      if from.byteCount == to.byteCount { return x }
      if from.byteCount > to.byteCount { return LLVMBuildTrunc(b, x, type, "") }
      return from.isSignedInteger ? LLVMBuildSExt(b, x, type, "") : LLVMBuildZExt(b, x, type, "")
    }
  }

  /// A float to an integer, one of 8 or 16 bits by way of i32: LLVM's own saturating conversion goes lane by lane, with branches.
  private func saturate(_ x: LLVMValueRef, _ from: ElementType, _ to: ElementType) -> LLVMValueRef {
    let b = e.builder
    if from == .float16 { return saturate(convert(x, from, .float32), .float32, to) }
    let bits = to.byteCount * 8 - (to.isSignedInteger ? 1 : 0)
    let top = Double(sign: .plus, exponent: bits, significand: 1)
    // The greatest that can be converted: some numbers of the integer's type are none of the float's.
    let isExact = bits <= (from == .float32 ? 24 : 53)
    let greatest = isExact ? top - 1 : from == .float32 ? Double(Float(top).nextDown) : top.nextDown
    let low = splatConstant(.float(to.isSignedInteger ? -top : 0), from, like: x)
    let high = splatConstant(.float(greatest), from, like: x)
    let above = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOGT, x, low, ""), x, low, "")!
    var bounded = LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOLT, above, high, ""), above, high, "")!
    if to.isSignedInteger {
      // NaN became the lowest number above, and gives 0.
      let ordered = LLVMBuildFCmp(b, LLVMRealORD, x, x, "")
      bounded = LLVMBuildSelect(b, ordered, bounded, LLVMConstNull(LLVMTypeOf(x)), "")
    }
    let type = e.vector(e.type(to), width(x))
    if to.byteCount < 4 {
      return LLVMBuildTrunc(b, LLVMBuildFPToSI(b, bounded, e.vector(e.i32, width(x)), ""), type, "")
    }
    let whole =
      to.isSignedInteger ? LLVMBuildFPToSI(b, bounded, type, "")! : LLVMBuildFPToUI(b, bounded, type, "")!
    if isExact { return whole }
    let ones = LLVMConstAllOnes(type)!
    let most = to.isSignedInteger ? LLVMBuildLShr(b, ones, e.splat(e.constant(.integer(1), to), width(x)), "")! : ones
    return LLVMBuildSelect(b, LLVMBuildFCmp(b, LLVMRealOGT, x, high, ""), most, whole, "")
  }

  /// f32 to the upper half of its bits, rounded to nearest even; NaN stays NaN. By an instruction where there is one for so many, which
  /// takes subnormal numbers for zeros (`vcvtneps2bf16`).
  private func roundToBFloat16(_ x: LLVMValueRef) -> LLVMValueRef {
    let b = e.builder
    let n = width(x)
    if target.roundsToBFloat16, n * 32 == 256 || n * 32 == 512 {
      let halves = e.call("llvm.x86.avx512bf16.cvtneps2bf16.\(n * 32)", [x])
      return LLVMBuildBitCast(b, halves, e.vector(e.type(.bfloat16), n), "")
    }
    func c(_ value: Int) -> LLVMValueRef { e.splat(e.constant32(value), n) }
    let bits = LLVMBuildBitCast(b, x, e.vector(e.i32, n), "")!
    let odd = LLVMBuildAnd(b, LLVMBuildLShr(b, bits, c(16), ""), c(1), "")
    let rounded = LLVMBuildAdd(b, bits, LLVMBuildAdd(b, odd, c(0x7FFF), ""), "")
    let isNaN = LLVMBuildFCmp(b, LLVMRealUNO, x, x, "")
    let result = LLVMBuildSelect(b, isNaN, c(0x7FC0_0000), rounded, "")
    return LLVMBuildTrunc(b, LLVMBuildLShr(b, result, c(16), ""), e.vector(e.type(.bfloat16), n), "")
  }
}

extension UnaryFunction {
  /// Whether the result's bits are a plain function of the operand's, exact in any float type.
  var keepsBits: Bool {
    switch self {
    case .negate, .abs, .isNaN, .isInfinite, .floor, .ceil, .truncate, .round: true
    default: false
    }
  }
}
