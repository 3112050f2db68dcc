import Foundation

extension WorkerProcess {
  /// This program's own worker: in bubblewrap where that is installed and allowed, with nothing writable but `folder`
  /// and without a network; else as a plain child.
  public static func ofThisProgram(
    folder: String, arguments: [String] = ["tune-worker"], isCancelled: @escaping @Sendable () -> Bool = { false }
  ) -> WorkerProcess {
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    // For tests that plant faults.
    if let other = ProcessInfo.processInfo.environment["TESSERA_TUNE_WORKER"] {
      return WorkerProcess(command: [other], temporary: folder, isCancelled: isCancelled)
    }
    let sandbox = [
      "/usr/bin/bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", folder, folder,
      "--unshare-net", "--die-with-parent",
    ]
    let isSandboxed = FileManager.default.isExecutableFile(atPath: sandbox[0]) && works(sandbox + ["/bin/true"])
    return WorkerProcess(
      command: (isSandboxed ? sandbox : []) + [program] + arguments, temporary: folder, isCancelled: isCancelled)
  }

  /// Whether the sandbox may be made here: containers often forbid it.
  private static func works(_ command: [String]) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: command[0])
    process.arguments = Array(command.dropFirst())
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}
