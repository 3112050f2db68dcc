import ArgumentParser
import Compiler

extension Precision: ExpressibleByArgument {
  /// What each permits, for `--help`.
  static let help = ArgumentHelp(
    "What constant matrices of products may be stored as: fp32, bf16, fp16 or int8.",
    discussion: """
      All are computed with in fp32; weights that a model itself holds in fewer bits are read as they are, whatever this is.
      fp32: the model's numbers, every output within the rounding of single precision. bf16: each weight rounded to 8 \
      bits, off by at most 1/512 of itself. fp16: to 11 bits, at most 1/4096. int8: to integers with a scale for every \
      128 steps of k of a column, off by at most 1/254 of the largest weight among them.
      """)
}
