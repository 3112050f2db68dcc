import Compiler
import Foundation
import Glibc
import LLVMBackend
import TensorTypes
import TesseraRuntime
import TileIR
import TuningDB

/// The child's side: builds or measures the entries of one job, and says so line by line. May die at any moment.
public enum Worker {
  /// Serves the job in the file at `path`.
  public static func serve(jobAt path: String) throws {
    // With the parent's death this one's work has lost its meaning.
    ThisProcess.endWithParent()
    limit(RLIMIT_CORE, to: 0)
    limit(RLIMIT_FSIZE, to: 256 << 20)
    let job = try JSONDecoder().decode(WorkerJob.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    let task = try CanonicalTask(job.task)
    let target = try Target.named(job.target)
    let marker = try Marker(path: job.marker)
    switch job.work {
    case .build:
      for (i, entry) in job.entries.enumerated() {
        marker.note(i)
        say(build(entry, i, task, target))
      }
    case .measure(let measurement):
      // Where that is granted, before what else is on the machine.
      setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, -5)
      limit(RLIMIT_DATA, to: measurement.memoryLimit)
      try Contest(task, target, job.entries, measurement, marker).run(say)
    }
  }

  private static func build(_ entry: WorkerJob.Entry, _ i: Int, _ task: CanonicalTask, _ target: Target) -> WorkerEvent
  {
    let hash = task.programHash(entry.candidate, on: target.machine)
    do {
      let program = task.program(entry.candidate, on: target.machine)
      try program.verify()
      try KernelLibrary.write(program, symbols: task.symbols, for: target, to: entry.library)
      return .built(i, program: hash)
    } catch { return .failed(i, .buildFailure, "\(error)") }
  }

  private static func limit(_ resource: __rlimit_resource, to value: Int) {
    var limits = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
    setrlimit(__rlimit_resource_t(resource.rawValue), &limits)
  }

  private static func say(_ event: WorkerEvent) {
    guard var line = try? JSONEncoder().encode(event) else { return }
    line.append(UInt8(ascii: "\n"))
    FileHandle.standardOutput.write(line)
  }
}
