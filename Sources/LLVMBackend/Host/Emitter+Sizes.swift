internal import CLLVM
import TensorTypes

// Size expressions as code.

extension Emitter {
  /// The value of a size expression; `symbol` gives that of a name.
  func size(_ dim: Dim, _ symbol: (String) -> LLVMValueRef) -> LLVMValueRef {
    var sum = constant(0)
    for term in dim.terms {
      var product = constant(term.coefficient)
      for factor in term.factors { product = multiply(product, atom(factor, symbol)) }
      sum = add(sum, product)
    }
    return sum
  }

  private func atom(_ atom: Dim.Atom, _ symbol: (String) -> LLVMValueRef) -> LLVMValueRef {
    switch atom {
    case .symbol(let name): return symbol(name)
    case .quotient(let a, let b): return floorDivide(size(a, symbol), divisor(b, symbol))
    case .remainder(let a, let b):
      let (x, y) = (size(a, symbol), divisor(b, symbol))
      return LLVMBuildSub(builder, x, LLVMBuildMul(builder, floorDivide(x, y), y, ""), "")
    case .minimum(let a, let b): return intrinsic("llvm.smin", [i64], [size(a, symbol), size(b, symbol)])
    case .maximum(let a, let b): return intrinsic("llvm.smax", [i64], [size(a, symbol), size(b, symbol)])
    }
  }

  /// A divisor, at least 1: expressions divide by sizes, and of a size of 0 nothing is made.
  private func divisor(_ dim: Dim, _ symbol: (String) -> LLVMValueRef) -> LLVMValueRef {
    if dim.constant != nil { return size(dim, symbol) }
    return intrinsic("llvm.smax", [i64], [size(dim, symbol), constant(1)])
  }

  /// A number of type double that the size is not above, whatever overflows: the sum of the terms' amounts.
  func estimate(_ dim: Dim, _ symbol: (String) -> LLVMValueRef) -> LLVMValueRef {
    let double = type(.float64)
    var sum = LLVMConstReal(double, 0)!
    for term in dim.terms {
      var product = LLVMConstReal(double, abs(Double(term.coefficient)))!
      for factor in term.factors {
        let value = LLVMBuildSIToFP(builder, atom(factor, symbol), double, "")!
        product = LLVMBuildFMul(builder, product, value, "")
      }
      sum = LLVMBuildFAdd(builder, sum, intrinsic("llvm.fabs", [double], [product]), "")
    }
    return sum
  }
}
