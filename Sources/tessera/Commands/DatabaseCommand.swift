import ArgumentParser
import Compiler
import Foundation
import Kernels
import TensorTypes
import TuningDB

/// What the tuner has recorded.
struct DatabaseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "db", abstract: "Lists, checks, and exchanges records of tuned kernels.",
    subcommands: [List.self, Best.self, Export.self, Import.self, Merge.self, Stats.self, Verify.self])

  struct File: ParsableArguments {
    @Option(help: "The database; the user's own unless given.")
    var db: String?

    func open() throws -> TuningStore { try TuningFiles.store(db, isReadOnly: true) }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Prints every record, one a line.")
    @OptionGroup var file: File
    @Option(help: "Of this family alone: matmul, convolution, …")
    var family: String?
    @Option(help: "How to print: text or json.")
    var format = OutputFormat.text

    func run() throws {
      let store = try file.open()
      for record in try family.map({ try store.records(ofFamily: $0) }) ?? store.all() {
        Console.print(format == .json ? record.line : DatabaseCommand.text(record))
      }
    }
  }

  struct Best: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "best", abstract: "Prints the best record of each task, machine and number of threads.")
    @OptionGroup var file: File

    func run() throws {
      struct Key: Hashable {
        var task: TuningTask
        var device: Device
        var threads: Int
        var toolchain: String
      }
      let winners = Dictionary(grouping: try file.open().winners()) {
        Key(task: $0.task, device: $0.device, threads: $0.threads, toolchain: $0.toolchain.baseline)
      }
      let best = winners.values.compactMap { group in
        group.min { ($0.timing?.ratioHigh ?? 1) < ($1.timing?.ratioHigh ?? 1) }
      }
      for line in best.map(DatabaseCommand.text).sorted() { Console.print(line) }
    }
  }

  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "export", abstract: "Writes records as JSON lines, in an order that depends on the records alone.")
    @OptionGroup var file: File
    @Option(name: [.short, .long], help: "The file; standard output unless given.")
    var output: String?
    @Flag(help: "Only those that beat their default.")
    var winners = false
    @Flag(help: "Of each task only the best that today's kernels still are: what a like machine needs.")
    var best = false

    func run() throws {
      let store = try file.open()
      let text = RecordLines.text(try best ? Tunings.best(store.winners()) : winners ? store.winners() : store.all())
      if let output { try AtomicFile.write(text, to: output) } else { Console.print(String(text.dropLast())) }
    }
  }

  struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "import", abstract: "Adds the records of JSON-lines files to the database.")
    @Option(help: "The database; the user's own unless given.")
    var db: String?
    @Argument(help: "Files that export wrote.")
    var files: [String]

    func run() throws {
      let store = try TuningFiles.store(db)
      // All files are read before anything is written.
      let records = try files.flatMap { try RecordLines.read(path: $0) }
      let added = try store.merge(records)
      Console.say("\(added) of \(records.count) records are new or better known")
    }
  }

  struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "merge", abstract: "Joins exported files into one; the order of the files does not matter.")
    @Option(name: [.short, .long], help: "The file to write.")
    var output: String
    @Argument(help: "Files that export wrote.")
    var files: [String]

    func run() throws {
      let merged = RecordLines.merge(try files.flatMap { try RecordLines.read(path: $0) })
      try AtomicFile.write(RecordLines.text(merged), to: output)
      Console.say("\(output): \(merged.count) records")
    }
  }

  struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "stats", abstract: "Counts what is in the database.")
    @OptionGroup var file: File

    func run() throws {
      let records = try file.open().all()
      Console.print("\(records.count) records of \(Set(records.map(\.task)).count) tasks")
      func count(_ title: String, _ key: (TuningRecord) -> String) {
        for (name, group) in Dictionary(grouping: records, by: key).sorted(by: { $0.key < $1.key }) {
          Console.print("\(title) \(name): \(group.count)")
        }
      }
      count("status") { $0.status.rawValue }
      count("family") { $0.task.family }
      count("machine") { "\($0.device.cpu), \($0.threads) threads" }
      count("toolchain") { $0.toolchain.llvm }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "verify", abstract: "Checks that the file is whole and every record reads.")
    @OptionGroup var file: File

    func run() throws {
      let store = try file.open()
      let faults = try store.faults()
      for fault in faults { Console.print(fault) }
      guard faults.isEmpty else { throw Failure.badData("\(faults.count) faults", file: store.path) }
      Console.print("\(store.path): whole, \(try store.all().count) records")
    }
  }

  static func text(_ record: TuningRecord) -> String {
    let knobs = record.knobs.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    let summary = (try? CanonicalTask(record.task))?.workload.summary ?? record.task.family
    var outcome = record.status.rawValue
    if let timing = record.timing {
      outcome = String(
        format: "%.3f of the default (%.1f µs, %d rounds)", timing.ratio, timing.median / 1000, timing.samples)
    }
    return "\(summary), \(record.threads) threads: \(record.template) \(knobs): \(outcome)"
  }
}
