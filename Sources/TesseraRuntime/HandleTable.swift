internal import Synchronization
internal import TensorTypes

/// Objects under numbers that are never used twice: the low half of a number is a place in the table, the high half
/// counts how often the place was given away, so that a number released, or made up, finds nothing.
final class HandleTable<Object: AnyObject & Sendable>: Sendable {
  private struct Slot {
    var generation: UInt32
    var object: Object?
  }
  private struct Table {
    var slots: [Slot] = []
    var free: [Int] = []
  }
  private let table = Mutex(Table())
  private let what: String

  /// - Parameter what: what the objects are called in messages.
  init(_ what: String) { self.what = what }

  func insert(_ object: Object) -> UInt64 {
    table.withLock { table in
      let index: Int
      if let reused = table.free.popLast() {
        index = reused
        table.slots[index].object = object
      } else {
        index = table.slots.count
        table.slots.append(Slot(generation: 1, object: object))
      }
      return UInt64(table.slots[index].generation) << 32 | UInt64(index + 1)
    }
  }

  subscript(handle: UInt64) -> Object {
    get throws(Failure) {
      guard let object = table.withLock({ table in Self.index(handle, table).flatMap { table.slots[$0].object } })
      else {
        throw stale(handle)
      }
      return object
    }
  }

  func remove(_ handle: UInt64) throws(Failure) {
    // The object leaves the lock before it dies: its end may take long, or release other handles.
    let object = table.withLock { table -> Object? in
      guard let index = Self.index(handle, table) else { return nil }
      let object = table.slots[index].object
      table.slots[index].object = nil
      // A place whose count is used up is never given away again.
      if table.slots[index].generation < .max {
        table.slots[index].generation += 1
        table.free.append(index)
      }
      return object
    }
    guard object != nil else { throw stale(handle) }
  }

  private static func index(_ handle: UInt64, _ table: borrowing Table) -> Int? {
    let index = Int(handle & 0xFFFF_FFFF) - 1
    guard table.slots.indices.contains(index), table.slots[index].generation == UInt32(handle >> 32),
      table.slots[index].object != nil
    else { return nil }
    return index
  }

  private func stale(_ handle: UInt64) -> Failure {
    Failure(.usage, "\(handle) is no \(what): it was released, or never given out")
  }
}
