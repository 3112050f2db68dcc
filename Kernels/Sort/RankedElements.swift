import TensorTypes
import TileIR

/// Elements of a row in local memory: the rank of each (the larger one comes first) and where in the row it stands.
struct RankedElements {
  let ranks: TileBuffer
  let positions: TileBuffer

  /// - Parameter shape: in halves by places, or places alone.
  init(_ b: TileBuilder, _ rank: ElementType, _ shape: Shape) {
    ranks = b.allocate(BufferType(rank, shape, space: .local))
    positions = b.allocate(BufferType(.int64, shape, space: .local))
  }

  func store(_ rank: Tile, _ position: Tile, _ place: [TileBuffer.Index], limits: [Tile?] = []) {
    ranks.store(rank, place, limits: limits)
    positions.store(position, place, limits: limits)
  }
}
