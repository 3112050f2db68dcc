import GraphIR
import Kernels
import TensorTypes

/// Memory that tensors live in, before it has an address.
struct Storage {
  enum Kind {
    case input(Int)
    case output(Int)
    /// A constant of the graph; its bytes lie in the weights.
    case constant(ConstantID)
    case arena
    /// Memory that steps of its own get, when they know how much.
    case register
  }

  /// A constant of one of the graphs.
  struct ConstantID: Hashable {
    var graph: Int
    var value: ValueID
  }
  var kind: Kind
  var byteCount: Dim
  /// Steps between which the contents are needed; nil before the first use.
  var life: ClosedRange<Int>?
}

/// Where a value is: elements of a storage under a view. Many values may be views of one storage.
struct Placement {
  /// Index into the planner's storages.
  var storage: Int
  /// In elements.
  var offset: Dim
  var view: View
}

extension Placement {
  func transposed(_ permutation: [Int]) -> Placement {
    var copy = self
    copy.view.shape = permutation.map { view.shape[$0] }
    copy.view.strides = permutation.map { view.strides[$0] }
    return copy
  }

  func sliced(_ op: Slice) -> Placement {
    var copy = self
    for (i, axis) in op.axes.enumerated() {
      copy.offset = copy.offset + op.starts[i] * view.strides[axis]
      copy.view.shape[axis] = op.sizes[i]
      copy.view.strides[axis] = view.strides[axis] * Dim(op.steps[i])
    }
    return copy
  }

  func broadcast(to shape: Shape) -> Placement {
    var copy = self
    copy.view = view.broadcast(to: shape)
    return copy
  }

  /// The same elements in row-major order under another shape, if strides can say so.
  func reshaped(_ shape: Shape) -> Placement? {
    guard let strides = view.strides(reshapedTo: shape) else { return nil }
    var copy = self
    copy.view = View(view.element, shape, strides: strides)
    return copy
  }

  /// Whether elements lie in row-major order without gaps.
  var isDense: Bool { view.isDense }
}

extension View {
  var isDense: Bool {
    var running = Dim(1)
    for (size, stride) in zip(shape, strides).reversed() {
      if size == 1 { continue }
      if stride != running { return false }
      running = running * size
    }
    return true
  }

  /// Strides under which the elements, in row-major order, have another shape: dimensions are matched in groups of
  /// equal size, and each group must be evenly spaced.
  func strides(reshapedTo target: Shape) -> [Dim]? {
    if isDense { return View(element, target).strides }
    let old = zip(shape, strides).filter { $0.0 != 1 }
    let kept = target.indices.filter { target[$0] != 1 }
    var result = [Dim](repeating: 0, count: target.count)
    var (i, j) = (0, 0)
    while i < old.count, j < kept.count {
      var (group, newGroup) = ([old[i]], [kept[j]])
      var (size, newSize) = (old[i].0, target[kept[j]])
      i += 1
      j += 1
      while size != newSize {
        if size.divided(exactlyBy: newSize) != nil, j < kept.count {
          newSize = newSize * target[kept[j]]
          newGroup.append(kept[j])
          j += 1
        } else if newSize.divided(exactlyBy: size) != nil, i < old.count {
          size = size * old[i].0
          group.append(old[i])
          i += 1
        } else {
          return nil
        }
      }
      for (outer, inner) in zip(group, group.dropFirst()) where outer.1 != inner.1 * inner.0 { return nil }
      var running = group.last!.1
      for dimension in newGroup.reversed() {
        result[dimension] = running
        running = running * target[dimension]
      }
    }
    return i == old.count && j == kept.count ? result : nil
  }
}
