import Foundation
import Glibc
import Synchronization
import TensorTypes

/// A child process that builds or measures: in its own process group, with limits that it sets on itself before it
/// loads anything, killed when a step takes too long or when this process dies.
public struct WorkerProcess: Sendable {
  public enum End: Hashable, Sendable {
    case finished
    /// By a signal not ours.
    case killed(Int32)
    case exited(Int32)
    case timedOut
    /// `isCancelled` said so.
    case cancelled
  }

  /// Program and arguments that serve a job.
  public var command: [String]
  public var isCancelled: @Sendable () -> Bool
  /// Where it leaves temporary files: what one that dies leaves there goes with the folder.
  public var temporary: String?

  public init(
    command: [String], temporary: String? = nil, isCancelled: @escaping @Sendable () -> Bool = { false }
  ) {
    self.command = command
    self.temporary = temporary
    self.isCancelled = isCancelled
  }

  /// Runs one job.
  /// - Parameter stepLimit: seconds that one step may take.
  /// - Returns: how it ended, and the entry that the worker was at.
  public func run(_ job: WorkerJob, stepLimit: Double, _ event: (WorkerEvent) -> Void) throws
    -> (end: End, entry: Int?)
  {
    unlink(job.marker)
    let marker = try Marker(path: job.marker)
    guard let text = try? JSONEncoder().encode(job) else { throw Failure(.ours, "a job is written as JSON") }
    let jobPath = job.marker + ".job"
    try AtomicFile.write(Array(text), to: jobPath)
    defer { for path in [jobPath, job.marker] { unlink(path) } }
    let (pid, output) = try Self.spawning.withLock { _ in try spawn(command + [jobPath]) }
    defer { close(output) }
    let wasKilled = follow(output, marker, stepLimit, event)
    // The whole group: the worker may have started a linker.
    kill(-pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    if let wasKilled { return (wasKilled, marker.last?.entry) }
    let signal = status & 0x7F
    if signal != 0 { return (.killed(signal), marker.last?.entry) }
    let code = (status >> 8) & 0xFF
    // A sandbox says so of the worker within it, as shells do.
    if (129...192).contains(code) { return (.killed(code - 128), marker.last?.entry) }
    return (code == 0 ? .finished : .exited(code), marker.last?.entry)
  }

  /// One at a time: until its pipe is marked as closed on exec, another worker might keep it open.
  private static let spawning = Mutex(())

  private func spawn(_ words: [String]) throws -> (pid: pid_t, output: Int32) {
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else { throw Failure(.inputOutput, "no pipe to a worker") }
    for descriptor in pipes { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1)
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)
    var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for word in argv { free(word) } }
    // A candidate that crashes is no news: Swift would look up names in all of LLVM for a backtrace, for up to twenty seconds, which
    // is then taken for a hang.
    var variables = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    if let temporary { variables["TMPDIR"] = temporary }
    var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
    defer { for variable in environment { free(variable) } }
    var pid: pid_t = 0
    let status = posix_spawn(&pid, words[0], &actions, &attributes, &argv, &environment)
    close(pipes[1])
    guard status == 0 else {
      close(pipes[0])
      throw Failure(.ours, file: words[0], "could not be started: \(String(cString: strerror(status)))")
    }
    return (pid, pipes[0])
  }

  /// Reads events until the worker closes its output; nil then.
  private func follow(_ output: Int32, _ marker: Marker, _ limit: Double, _ event: (WorkerEvent) -> Void) -> End? {
    var pending = Data()
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    let clock = ContinuousClock()
    var (step, since) = (-1, clock.now)
    while true {
      var waiting = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      let ready = poll(&waiting, 1, 50)
      if isCancelled() { return .cancelled }
      if ready > 0 {
        let count = read(output, &chunk, chunk.count)
        if count == 0 { return nil }
        if count > 0 { pending.append(contentsOf: chunk[0..<count]) }
        while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
          if let parsed = try? JSONDecoder().decode(WorkerEvent.self, from: pending[pending.startIndex..<end]) {
            event(parsed)
          }
          pending.removeSubrange(pending.startIndex...end)
        }
      }
      let now = marker.last?.step ?? 0
      if now != step {
        (step, since) = (now, clock.now)
      } else if (clock.now - since) / .seconds(1) > limit {
        return .timedOut
      }
    }
  }
}
