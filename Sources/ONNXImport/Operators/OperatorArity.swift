import TensorTypes

/// How many inputs and outputs ONNX's own operators have at most, in whichever version has most; from the schemas of ONNX 1.23.
/// An operator that is in neither list takes any number of inputs; one that is not in the second has one output.
enum OperatorArity {
  static func mostInputs(_ name: String) -> Int? { inputs[name] }
  static func mostOutputs(_ name: String) -> Int { outputs[name] ?? 1 }

  private static let inputs = counts([
    (
      0,
      """
      Constant RandomNormal RandomUniform SequenceEmpty
      """
    ),
    (
      1,
      """
      Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh AveragePool Bernoulli BitCast BitwiseNot \
      BlackmanWindow Cast Ceil Celu ConcatFromSequence ConstantOfShape Cos Cosh DepthToSpace Det \
      DynamicQuantizeLinear Elu Erf Exp EyeLike Flatten Floor Gelu GlobalAveragePool GlobalLpPool \
      GlobalMaxPool HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageDecoder IsInf \
      IsNaN LRN LeakyRelu Log LogSoftmax LpNormalization LpPool MaxPool MeanVarianceNormalization Mish \
      Multinomial Neg NonZero Not Optional OptionalGetElement OptionalHasElement RandomNormalLike \
      RandomUniformLike Reciprocal RegexFullMatch Relu Round Selu SequenceLength Shape Shrink Sigmoid Sign \
      Sin Sinh Size Softmax Softplus Softsign SpaceToDepth Sqrt StringNormalizer StringSplit Swish Tan \
      Tanh TfIdfVectorizer ThresholdedRelu Transpose Unique
      """
    ),
    (
      2,
      """
      Add AffineGrid And BitShift BitwiseAnd BitwiseOr BitwiseXor CastLike CenterCropPad Compress CumProd \
      CumSum Div Equal Expand Gather GatherElements GatherND Greater GreaterOrEqual GridSample Less \
      LessOrEqual MatMul MaxRoiPool Mod Mul Or PRelu Pow RMSNormalization ReduceL1 ReduceL2 ReduceLogSum \
      ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Reshape \
      ReverseSequence SequenceAt SequenceErase Split SplitToSequence Squeeze StringConcat Sub SwiGLU TopK \
      Trilu Unsqueeze Upsample Xor
      """
    ),
    (
      3,
      """
      Clip Col2Im Conv ConvTranspose DFT DequantizeLinear Dropout Gemm GroupNormalization \
      InstanceNormalization LayerNormalization MaxUnpool NegativeLogLikelihoodLoss OneHot QuantizeLinear \
      Range RoiAlign Scatter ScatterElements ScatterND SequenceInsert SoftmaxCrossEntropyLoss \
      TensorScatter Tile Where
      """
    ),
    (
      4,
      """
      CausalConvWithState ConvInteger MatMulInteger Pad Resize RotaryEmbedding STFT
      """
    ),
    (
      5,
      """
      BatchNormalization DeformConv MelWeightMatrix NonMaxSuppression Slice
      """
    ),
    (
      6,
      """
      GRU LinearAttention RNN
      """
    ),
    (
      7,
      """
      Attention
      """
    ),
    (
      8,
      """
      LSTM QLinearMatMul
      """
    ),
    (
      9,
      """
      QLinearConv
      """
    ),
  ])

  private static let outputs = counts([
    (
      2,
      """
      CausalConvWithState Dropout GRU LinearAttention MaxPool RNN SoftmaxCrossEntropyLoss StringSplit TopK
      """
    ),
    (
      3,
      """
      DynamicQuantizeLinear LSTM LayerNormalization
      """
    ),
    (
      4,
      """
      Attention Unique
      """
    ),
    (
      5,
      """
      BatchNormalization
      """
    ),
    (Int.max, "If Loop Scan SequenceMap Split"),
  ])

  private static func counts(_ table: [(Int, String)]) -> [String: Int] {
    Dictionary(
      uniqueKeysWithValues: table.flatMap { count, names in names.split(separator: " ").map { (String($0), count) } })
  }
}

extension ONNXNode {
  /// - Throws: if an operator of ONNX's own has more inputs or outputs than there are, or a node has no output.
  func checkArity() throws {
    guard outputs.contains(where: { !$0.isEmpty }) else { throw Failure.badData("has no outputs") }
    guard domain.isEmpty else { return }
    let given = (inputs.lastIndex { !$0.isEmpty } ?? -1) + 1
    if let most = OperatorArity.mostInputs(opType), given > most {
      throw Failure.badData("has \(given) inputs where \(opType) takes at most \(most)")
    }
    let named = (outputs.lastIndex { !$0.isEmpty } ?? -1) + 1
    let most = OperatorArity.mostOutputs(opType)
    guard named <= most else { throw Failure.badData("has \(named) outputs where \(opType) gives at most \(most)") }
  }
}
