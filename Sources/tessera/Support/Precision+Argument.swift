import ArgumentParser
import Compiler

extension Precision: ExpressibleByArgument {
  /// What each permits, for `--help`.
  static let help = ArgumentHelp(
    "What products may round: fp32 (nothing), bf16, fp16 or int8.",
    discussion: """
      Sums are fp32 in any case; weights that a model itself holds in fewer bits are read as they are, whatever this is.
      fp32: the model's numbers, every output within the rounding of single precision. bf16: what matrix products, \
      convolutions and attention multiply is rounded to 8 bits, each number off by at most 1/256 of itself, where the \
      machine is quicker so; sums of fewer than 16 terms are not. fp16: constant matrices are stored with 11 bits, each \
      weight off by at most 1/2048. int8: as integers with a scale for every 128 steps of k of a column, off by at most \
      1/254 of the largest weight among them.
      """)
}
