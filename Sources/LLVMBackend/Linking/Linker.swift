import Glibc
import TensorTypes

/// Joins objects into a shared library with LLVM's linker, which runs as a process of its own.
public enum Linker {
  /// - Parameters:
  ///   - objects: paths of object files, in the order that fixes the output's bytes.
  ///   - soname: the library's own name, no path.
  /// - Throws: `Failure` if there is no linker, or with what it said.
  public static func link(objects: [String], output: String, soname: String) throws {
    let arguments = [
      "-shared", "-o", output, "-soname", soname, "--hash-style=gnu", "--build-id=none", "--no-undefined-version",
      "-z", "now", "-z", "relro", "-z", "noexecstack", "--strip-all", "--gc-sections",
    ]
    try run(locate(), arguments + objects)
  }

  /// The linker's path: `TESSERA_LLD`, or where Debian's lld-22 puts it.
  public static func locate() throws -> String {
    if let named = getenv("TESSERA_LLD") { return String(cString: named) }
    let places = ["/usr/bin/ld.lld-22", "/usr/lib/llvm-22/bin/ld.lld", "/usr/local/bin/ld.lld-22", "/usr/bin/ld.lld"]
    guard let found = places.first(where: { access($0, X_OK) == 0 }) else {
      throw Failure(.ours, "no ld.lld-22 found; install it with: apt-get install lld-22 (or set TESSERA_LLD)")
    }
    return found
  }

  private static func run(_ program: String, _ arguments: [String]) throws {
    var pipes: [Int32] = [0, 0]
    guard pipe(&pipes) == 0 else {
      throw Failure(.inputOutput, "no pipe to the linker: \(String(cString: strerror(errno)))")
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 2)
    posix_spawn_file_actions_addclose(&actions, pipes[0])
    var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var pid: pid_t = 0
    let status = posix_spawn(&pid, program, &actions, nil, &argv, environ)
    close(pipes[1])
    guard status == 0 else {
      close(pipes[0])
      throw Failure(.ours, "could not start \(program): \(String(cString: strerror(status)))")
    }
    var said: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(pipes[0], &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { break }
      said += buffer[0..<count]
    }
    close(pipes[0])
    var result: Int32 = 0
    while waitpid(pid, &result, 0) < 0, errno == EINTR {}
    guard result == 0 else { throw Failure(.ours, "\(program) failed: \(String(decoding: said, as: UTF8.self))") }
  }
}
