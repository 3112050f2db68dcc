/// Every core op. The parser looks mnemonics up here, and tests run over it.
public let allOps: [any Op.Type] = [
  // Elements
  Elementwise.self,
  // Reductions
  Reduce.self, ArgReduce.self, Cumulative.self,
  // Products
  MatMul.self, Dequantize.self, Convolve.self, ConvolveTransposed.self, Pool.self, Attention.self, Recurrent.self,
  // Normalisations
  Softmax.self, LayerNorm.self, GroupNorm.self,
  // Movement
  Reshape.self, Bitcast.self, Transpose.self, Broadcast.self, Slice.self, Concat.self, Pad.self, Resize.self,
  Gather.self, GatherElements.self, GatherND.self, GatherSum.self, ScatterElements.self, ScatterND.self, TopK.self,
  // Sources
  Iota.self, Sizes.self, Random.self,
  // Sizes known at run time
  BindSymbols.self, NonZero.self,
  // Control flow
  If.self, Loop.self, Assert.self,
]

let opsByMnemonic: [String: any Op.Type] = Dictionary(uniqueKeysWithValues: allOps.map { ($0.mnemonic, $0) })
