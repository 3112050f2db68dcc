internal import CSQLite
import TensorTypes

/// A connection to one SQLite file. Used by one thread at a time.
final class SQLite {
  private let handle: OpaquePointer
  let path: String

  /// - Throws: `Failure`: `inputOutput` if the file cannot be opened, `badData` if it is no database.
  init(path: String, isReadOnly: Bool) throws(Failure) {
    var opened: OpaquePointer?
    let flags = isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
    let code = sqlite3_open_v2(path, &opened, flags | SQLITE_OPEN_FULLMUTEX, nil)
    guard let opened else { throw Failure(.inputOutput, file: path, "no memory for a database") }
    guard code == SQLITE_OK else {
      let message = String(cString: sqlite3_errmsg(opened))
      sqlite3_close_v2(opened)
      throw Failure(.inputOutput, file: path, message)
    }
    handle = opened
    self.path = path
    // Another tune may be writing.
    sqlite3_busy_timeout(handle, 10_000)
  }

  deinit { sqlite3_close_v2(handle) }

  /// Runs one statement, `?`s standing for `values`, and calls `row` for each line of its result.
  func run(_ statement: String, _ values: [String] = [], row: ((Row) throws(Failure) -> Void)? = nil) throws(Failure) {
    var prepared: OpaquePointer?
    guard sqlite3_prepare_v2(handle, statement, -1, &prepared, nil) == SQLITE_OK, let prepared else { throw failure() }
    defer { sqlite3_finalize(prepared) }
    for (i, value) in values.enumerated() {
      // SQLITE_TRANSIENT: SQLite copies the text at once.
      let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
      guard sqlite3_bind_text(prepared, Int32(i + 1), value, Int32(value.utf8.count), copied) == SQLITE_OK else {
        throw failure()
      }
    }
    while true {
      switch sqlite3_step(prepared) {
      case SQLITE_ROW: try row?(Row(statement: prepared))
      case SQLITE_DONE: return
      default: throw failure()
      }
    }
  }

  struct Row {
    fileprivate let statement: OpaquePointer
    func text(_ column: Int32) -> String { sqlite3_column_text(statement, column).map { String(cString: $0) } ?? "" }
    func integer(_ column: Int32) -> Int { Int(sqlite3_column_int64(statement, column)) }
  }

  /// All of `body` or nothing of it.
  func transaction(_ body: () throws(Failure) -> Void) throws(Failure) {
    try run("BEGIN IMMEDIATE")
    do throws(Failure) { try body() } catch {
      try? run("ROLLBACK")
      throw error
    }
    try run("COMMIT")
  }

  private func failure() -> Failure {
    let message = String(cString: sqlite3_errmsg(handle))
    switch sqlite3_errcode(handle) {
    case SQLITE_CORRUPT, SQLITE_NOTADB:
      return .badData("no whole database: \(message); move it away and import an export of it", file: path)
    default: return Failure(.inputOutput, file: path, message)
    }
  }
}
