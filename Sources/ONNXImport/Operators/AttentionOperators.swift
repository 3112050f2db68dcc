import GraphIR
import TensorTypes

// Attention and rotary embedding, operators since version 23.

let attentionRows: [OperatorRow] = [
  OperatorRow("Attention", since: 23) { n in try n.attention() },
  .one("RotaryEmbedding", since: 23) { n in try n.rotaryEmbedding() },
]

extension NodeImport {
  /// `[B, S, H·D]` as `[B, H, S, D]`; of rank 4 it is that already.
  private func heads(_ x: ValueID, _ attribute: String) throws -> ValueID {
    if rank(x) == 4 { return x }
    let count = Dim(try int(attribute))
    guard rank(x) == 3, count != 0 else { throw Failure.badData("needs a tensor of rank 3 or 4, not \(type(x))") }
    let s = shape(x)
    return try transpose(reshape(x, [s[0], s[1], count, s[2].floorDivided(by: count)]), [0, 2, 1, 3])
  }

  fileprivate func attention() throws -> [ValueID?] {
    let isFlat = rank(try input(0)) == 3
    let q = try heads(input(0), "q_num_heads")
    var (k, v) = (try heads(input(1), "kv_num_heads"), try heads(input(2), "kv_num_heads"))
    var past = Dim(0)
    if let pastKey = try optionalInput(4), let pastValue = try optionalInput(5) {
      guard rank(pastKey) == 4 else { throw Failure.badData("needs a cache of rank 4, not \(type(pastKey))") }
      past = shape(pastKey)[2]
      (k, v) = (try add(Concat(axis: 2), pastKey, k), try add(Concat(axis: 2), pastValue, v))
    }
    guard !wants(3), try optionalInput(6) == nil,
      try int("left_window_size", default: -1) < 0, try int("right_window_size", default: -1) < 0
    else { throw Failure.badData("windows, the scores as an output, and nonpad_kv_seqlen are not supported") }
    guard let depth = shape(q)[3].constant, depth > 0 else { throw Failure.badData("needs a known size of heads") }
    let op = Attention(
      scale: try float("scale", default: 1 / Double(depth).squareRoot()), causal: try flag("is_causal"),
      causalOffset: past, softcap: try float("softcap", default: 0))
    let mask = try optionalInput(3)
    var y = try addAll(op, [q, k, v] + (mask.map { [$0] } ?? []))[0]
    if isFlat {
      let s = shape(y)
      y = try reshape(transpose(y, [0, 2, 1, 3]), [s[0], s[2], s[1] * s[3]])
    }
    return [y, k, v]
  }

  /// Pairs of elements turned by the angles of their positions: `(a·cos − b·sin, a·sin + b·cos)`.
  fileprivate func rotaryEmbedding() throws -> ValueID {
    let given = try input(0)
    let x = try heads(given, "num_heads")
    let width = shape(x)[3]
    let turned = try int("rotary_embedding_dim", default: 0)
    let size = turned > 0 ? Dim(turned) : width
    let half = size.floorDivided(by: 2)
    var (cos, sin) = (try input(1), try input(2))
    if let positions = try optionalInput(3) {
      (cos, sin) = (try add(Gather(axis: 0), cos, positions), try add(Gather(axis: 0), sin, positions))
    }
    // [B, S, half] against heads.
    (cos, sin) = (try unsqueeze(cos, [1]), try unsqueeze(sin, [1]))
    try requireOneType(x, cos, sin)
    let interleaved = try flag("interleaved")
    let step = interleaved ? 2 : 1
    let a = try slice(x, axis: 3, start: 0, size: half, step: step)
    let b = try slice(x, axis: 3, start: interleaved ? 1 : half, size: half, step: step)
    let first = try map(a, b, cos, sin) { e, x in
      e.binary(.subtract, e.binary(.multiply, x[0], x[2]), e.binary(.multiply, x[1], x[3]))
    }
    let second = try map(a, b, cos, sin) { e, x in
      e.binary(.add, e.binary(.multiply, x[0], x[3]), e.binary(.multiply, x[1], x[2]))
    }
    var y: ValueID
    if interleaved {
      let pairs = try add(Concat(axis: 4), unsqueeze(first, [4]), unsqueeze(second, [4]))
      y = try reshape(pairs, shape(x)[..<3] + [size])
    } else {
      y = try add(Concat(axis: 3), first, second)
    }
    if size != width { y = try add(Concat(axis: 3), y, slice(x, axis: 3, start: size, size: width - size)) }
    return rank(given) == 4 ? y : try reshape(transpose(y, [0, 2, 1, 3]), shape(given))
  }
}
