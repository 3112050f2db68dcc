import TensorTypes

/// The dimensions that a kernel loops over, in the form that loops want: without those of size 1, ordered so that a
/// leading view is walked in memory order, and joined where the strides of all views allow.
struct LoopSpace {
  /// Never empty: what is left of a scalar is one dimension of size 1.
  private(set) var shape: [Dim]
  /// All of `shape`.
  private(set) var views: [View]
  /// A number per dimension, ascending; dimensions of different classes (kept, reduced) are never joined.
  private(set) var classes: [Int]

  /// - Parameters:
  ///   - views: of one shape.
  ///   - classes: per dimension.
  ///   - leaders: per class, the view whose strides order its dimensions.
  init(_ views: [View], classes given: [Int]? = nil, leaders: [Int]) {
    let given = given ?? views[0].shape.map { _ in 0 }
    var order: [Int] = []
    for dimension in views[0].shape.indices where views[0].shape[dimension] != 1 {
      let stride = views[leaders[given[dimension]]].strides[dimension]
      // Insertion keeps the given order of strides that cannot be compared.
      var place = order.count
      while place > 0 {
        let before = order[place - 1]
        guard given[before] >= given[dimension] else { break }
        let isInner =
          given[before] == given[dimension] && !stride.isMultiple(of: views[leaders[given[before]]].strides[before])
        if isInner { break }
        place -= 1
      }
      order.insert(dimension, at: place)
    }
    shape = order.map { views[0].shape[$0] }
    classes = order.map { given[$0] }
    self.views = views.map { view in
      View(view.element, order.map { view.shape[$0] }, strides: order.map { view.strides[$0] })
    }
    join()
    for kind in leaders.indices where !classes.contains(kind) { insertUnit(kind) }
  }

  /// Joins neighbours `outer, inner` where every view has `strides[outer] == strides[inner] · shape[inner]`.
  private mutating func join() {
    var d = shape.count - 2
    while d >= 0 {
      let joins = classes[d] == classes[d + 1] && views.allSatisfy { $0.strides[d] == $0.strides[d + 1] * shape[d + 1] }
      if joins {
        views = views.map { view in
          View(
            view.element, view.shape[..<d] + [shape[d] * shape[d + 1]] + view.shape[(d + 2)...],
            strides: Array(view.strides[..<d] + view.strides[(d + 1)...]))
        }
        shape = views[0].shape
        classes.remove(at: d)
      }
      d -= 1
    }
  }

  /// Every class has a dimension, if only of size 1.
  private mutating func insertUnit(_ kind: Int) {
    let place = classes.firstIndex { $0 > kind } ?? classes.count
    classes.insert(kind, at: place)
    shape.insert(1, at: place)
    views = views.map { view in
      View(
        view.element, Array(view.shape[..<place] + [1] + view.shape[place...]),
        strides: Array(view.strides[..<place] + [0] + view.strides[place...]))
    }
  }

  /// The dimensions of a class.
  func range(_ kind: Int) -> Range<Int> { classes.firstIndex(of: kind)!..<(classes.lastIndex(of: kind)! + 1) }
}

extension Dim {
  /// Whether a dimension with this stride goes outside of one with stride `other`: as far as known, it is larger.
  fileprivate func isMultiple(of other: Dim) -> Bool {
    if let x = constant, let y = other.constant { return x > y }
    if other == 0 { return self != 0 }
    return self != other && divided(exactlyBy: other) != nil
  }

  /// The size, or a guess where it is known only at run time: for deciding how to share out work, never for bounds.
  public var estimate: Int { constant ?? 256 }
}

extension Sequence where Element == Dim {
  /// Elements, by estimate where a size is not known: at least 1 and at most 2⁴⁰, which can still be multiplied.
  var estimatedCount: Int { reduce(1) { Swift.min(1 << 40, $0 * Swift.max(1, $1.estimate)) } }
}

extension View {
  /// The dimensions in another order.
  public func permuted(_ order: [Int]) -> View {
    View(element, order.map { shape[$0] }, strides: order.map { strides[$0] })
  }

  /// With stride 0 along `axes`, which get `target`'s sizes: how a reduction's result looks from its operand's side.
  func repeated(along axes: [Int], to target: Shape) -> View {
    View(
      element, target,
      strides: strides.enumerated().map { axes.contains($0) || (shape[$0] == 1 && target[$0] != 1) ? 0 : $1 })
  }
}
