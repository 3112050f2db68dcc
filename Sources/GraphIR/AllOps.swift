/// Every core op. The parser looks mnemonics up here, and tests run over it.
public let allOps: [any Op.Type] = [
  // Elements
  Elementwise.self,
  // Reductions
  Reduce.self, ArgReduce.self, CumulativeSum.self,
  // Products
  MatMul.self, Convolve.self, Pool.self, Attention.self,
  // Normalisations
  Softmax.self, LayerNorm.self, GroupNorm.self,
  // Movement
  Reshape.self, Transpose.self, Broadcast.self, Slice.self, Concat.self, Pad.self, Resize.self,
  Gather.self,
  // Sources
  Iota.self, Sizes.self,
  // Sizes known at run time
  BindSymbols.self,
]

let opsByMnemonic: [String: any Op.Type] = Dictionary(uniqueKeysWithValues: allOps.map { ($0.mnemonic, $0) })
