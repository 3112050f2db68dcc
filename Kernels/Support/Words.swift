import TensorTypes
import TileIR

extension Tile {
  /// Words of numbers that lie side by side, rounded to what words hold.
  func words(of parts: WordParts) -> Tile { cast(parts.elements.a).bitcast(.int32) }
}

extension TileBuilder {
  /// Words of numbers that lie apart: the bits of `numbers(j)`, floats rounded to what words hold, become part `j`, from the lowest.
  func words(_ parts: WordParts, _ numbers: (Int) -> Tile) -> Tile {
    let bits = 32 / parts.count
    /// In a word's lowest bits.
    func part(_ j: Int) -> Tile {
      let numbers = numbers(j)
      let integers = numbers.element.isFloat ? numbers.cast(parts.elements.a).bitcast(.uint16) : numbers
      return integers.cast(.int32).binary(.and, constant(.integer(1 << Int64(bits) - 1), .int32, numbers.shape))
    }
    return (1..<parts.count).reduce(part(0)) { word, j in
      let part = part(j)
      return word.binary(.or, part.binary(.shiftLeft, constant(.integer(Int64(j * bits)), .int32, part.shape)))
    }
  }
}
