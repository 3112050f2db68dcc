import Foundation
import TensorTypes

/// Records in a SQLite file. Several processes may use one file; what is written stays written though the process be
/// killed at any moment (write-ahead log).
public final class TuningStore {
  private let database: SQLite
  public var path: String { database.path }

  /// The layout of the tables, kept in SQLite's `user_version`.
  private static let layout = 1

  /// Opens the file, making it and its folder if they are missing.
  /// - Parameter isReadOnly: nothing is made or written; the file must be there.
  public init(path: String, isReadOnly: Bool = false) throws(Failure) {
    if isReadOnly {
      guard FileManager.default.fileExists(atPath: path) else {
        throw Failure(
          .noInput, file: path, "no such database; `tessera tune` and `tessera db import` make the one that --db names")
      }
    } else {
      let folder = (path as NSString).deletingLastPathComponent
      do {
        if !folder.isEmpty {
          try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
      } catch { throw Failure(.inputOutput, file: folder, "the folder cannot be made") }
    }
    database = try SQLite(path: path, isReadOnly: isReadOnly)
    var found = 0
    try database.run("PRAGMA user_version") { found = $0.integer(0) }
    guard found <= Self.layout else {
      throw .badData(
        "a database of layout \(found), made by a newer tessera; this one knows \(Self.layout)", file: path)
    }
    if isReadOnly { return }
    try database.run("PRAGMA journal_mode=WAL")
    try database.run("PRAGMA synchronous=NORMAL")
    if found == 0 { try makeTables() }
  }

  private func makeTables() throws(Failure) {
    try database.transaction { () throws(Failure) in
      try database.run(
        """
        CREATE TABLE IF NOT EXISTS records (
          identity TEXT PRIMARY KEY, family TEXT NOT NULL, task TEXT NOT NULL, wins TEXT NOT NULL,
          line TEXT NOT NULL) WITHOUT ROWID
        """)
      try database.run("CREATE INDEX IF NOT EXISTS records_by_task ON records (task)")
      try database.run("CREATE INDEX IF NOT EXISTS records_by_wins ON records (wins)")
      try database.run("CREATE INDEX IF NOT EXISTS records_by_family ON records (family)")
      try database.run("CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)")
      try database.run("PRAGMA user_version=\(Self.layout)")
    }
  }

  /// The user's own: `$XDG_CACHE_HOME/tessera/tuning.db`, in `~/.cache` unless that is set.
  public static var defaultPath: String {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
    return (cache ?? NSHomeDirectory() + "/.cache") + "/tessera/tuning.db"
  }

  // MARK: Writing

  /// Adds records, all or none. Of two measurements of one thing the preferred one stays.
  /// - Returns: how many records the store holds now that it didn't.
  @discardableResult public func merge(_ records: [TuningRecord]) throws(Failure) -> Int {
    var added = 0
    try database.transaction { () throws(Failure) in
      for record in records {
        let identity = record.identity
        var known: String?
        try database.run("SELECT line FROM records WHERE identity = ?", [identity]) { known = $0.text(0) }
        if let known, !record.isPreferred(to: try TuningRecord(line: known)) { continue }
        try database.run(
          "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
          [identity, record.task.family, record.task.text, record.beatsBaseline ? "1" : "0", record.line])
        added += 1
      }
    }
    return added
  }

  /// A named text of the store's own, such as how the last tune was called.
  public func note(_ name: String) throws(Failure) -> String? {
    var text: String?
    try database.run("SELECT text FROM notes WHERE name = ?", [name]) { text = $0.text(0) }
    return text
  }
  public func setNote(_ name: String, _ text: String) throws(Failure) {
    try database.run("INSERT OR REPLACE INTO notes VALUES (?, ?)", [name, text])
  }

  // MARK: Reading

  public func records(of task: TuningTask) throws(Failure) -> [TuningRecord] {
    try read("WHERE task = ? ORDER BY identity", [task.text])
  }
  public func records(ofFamily family: String) throws(Failure) -> [TuningRecord] {
    try read("WHERE family = ? ORDER BY identity", [family])
  }
  /// Those that beat their default: all that planning needs.
  public func winners() throws(Failure) -> [TuningRecord] { try read("WHERE wins = '1' ORDER BY identity", []) }
  /// Everything, in an order that depends on the contents alone.
  public func all() throws(Failure) -> [TuningRecord] { try read("ORDER BY identity", []) }

  private func read(_ condition: String, _ values: [String]) throws(Failure) -> [TuningRecord] {
    var records: [TuningRecord] = []
    try database.run("SELECT line FROM records \(condition)", values) { row throws(Failure) in
      do throws(Failure) { records.append(try TuningRecord(line: row.text(0))) } catch { throw error.inFile(self.path) }
    }
    return records
  }

  /// Checks the file's structure and every record: that it reads, and lies under its own identity.
  /// - Returns: what is wrong, one line a fault.
  public func faults() throws(Failure) -> [String] {
    var found: [String] = []
    try database.run("PRAGMA integrity_check") { if $0.text(0) != "ok" { found.append($0.text(0)) } }
    try database.run("SELECT identity, line FROM records") { row in
      let name = "record \(row.text(0).prefix(12))"
      do throws(Failure) {
        let record = try TuningRecord(line: row.text(1))
        if record.identity != row.text(0) { found.append("\(name) lies under another record's identity") }
      } catch { found.append("\(name): \(error)") }
    }
    return found
  }
}
