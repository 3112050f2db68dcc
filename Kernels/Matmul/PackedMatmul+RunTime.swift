import TensorTypes
import TileIR

// What a packed product makes of a matrix b that is known only at run time, and how two such matrices are cut into tasks.

extension PackedMatmul {
  /// Whether the panels of a run-time b are best read where they are. Copying one takes as long as the products of six to forty rows
  /// and pushes others out of level 2; what it would save is small unless rows of b lie so many powers of two apart that
  /// those of a panel share few cache sets.
  /// With sixteen registers it is not: measured 1.2 to 2 times as long (most 1×1 convolutions, AVX2).
  static func readsInPlace(_ w: MatmulWorkload, on machine: Machine) -> Bool {
    guard machine.vectorRegisters > 16, !w.bIsConstant, w.b.strides[2] == 1,
      let distance = w.b.strides[1].constant,
      let depth = w.b.shape[1].constant, !SkinnyMatmul.areFew(w.a.shape[1].constant)
    else { return false }
    // Sets of a level-2 cache of sixteen ways come again after that many bytes.
    let span = greatestPowerOfTwo(
      dividing: max(1, distance) * w.b.element.byteCount, atMost: machine.cacheBytes[1] / 16)
    // Constant panels of a pass through it as well. With few steps of k a row of blocks reads all panels again, which then should not
    // depend on what level 1 has room for.
    let room =
      w.aIsConstant ? machine.cacheBytes[1] / 2 : depth <= Self.fewSteps ? machine.cacheBytes[0] : machine.cacheBytes[1]
    return depth * span <= room
  }

  /// With no more steps of k than that, results on their way to memory are what takes time.
  static let fewSteps = 128

  /// Whether a task copies its panels of a run-time b: unless they are best read in place, lie like panels already, or few rows use them.
  static func copiesB(_ w: MatmulWorkload, _ tile: RegisterTile, on machine: Machine) -> Bool {
    guard !w.bIsConstant else { return false }
    guard w.b.strides[2] == 1 else { return true }
    // What is as wide as a panel lies like one.
    let isPanel =
      w.b.shape[2].constant.map { $0 <= tile.columns } ?? false
      && w.b.strides[1].constant.map { $0 <= tile.columns } ?? false
    return !(isPanel || readsInPlace(w, on: machine) || w.a.shape[1].estimate <= 2 * tile.rows)
  }

  /// Blocks of rows and panels that a task takes. One that copies panels wants all rows, and columns make the tasks; rows are cut
  /// where columns are too few, or threads would wait for each other.
  static func runTimeTasks(_ product: RunTimeProduct, mostPanels: Int, on machine: Machine)
    -> SharedResults.Rectangle
  {
    let tile = product.tile
    let blocks = max(1, (product.rows + tile.rows - 1) / tile.rows)
    // Reading a's rows again takes as long as the products of some columns, unless panels are so wide that they come in time; two
    // panels at a time are copied from longer rows.
    let reading = max(0.002, machine.vectorRegisters > 16 ? 0 : 6 / Double(max(1, product.columns)))
    let results = SharedResults(
      count: product.batch, rows: blocks, columns: max(1, (product.columns + tile.columns - 1) / tile.columns),
      workers: machine.workers)
    return results.rectangle(
      mostColumns: mostPanels,
      // Sums that wait between pieces of k take half of level 2.
      mostRows: {
        product.isWhole ? blocks : max(1, machine.cacheBytes[1] / 2 / ($0 * tile.rows * tile.columns * 4))
      },
      // Copying a panel takes as long as the products of some rows. Threads that write parts of the same rows wait for each other's
      // lines.
      anew: (
        rows: (product.copiesB ? 16 : 2) / Double(max(1, product.rows)), columns: product.isShort ? 0.05 : reading
      ))
  }
}

/// What says how a product of matrices known only at run time is best cut.
struct RunTimeProduct {
  var rows, columns, batch: Int
  var tile: RegisterTile
  /// Whether tasks copy their panels of b.
  var copiesB: Bool
  /// Whether k has so few steps that results on their way to memory are what takes time.
  var isShort: Bool
  /// Whether k is not cut.
  var isWhole: Bool
}
