import Glibc
import LLVMBackend
import TensorTypes
import TesseraABI
import TileIR

/// A tile program compiled, linked and loaded into this process.
public final class NativeKernel {
  private typealias Entry = @convention(c) (UnsafeRawPointer, UnsafeMutablePointer<UnsafeMutableRawPointer?>) -> Void
  private let handle: UnsafeMutableRawPointer
  private let entry: Entry
  private let symbols: [String]
  private let localBytes: Dim

  /// - Parameter program: with transcendental functions as they are.
  public init(_ program: TileProgram, for target: Target, symbols: [String] = []) throws {
    self.symbols = symbols
    let path = "/tmp/tessera-kernel-\(getpid())-\(UInt64.random(in: 0 ... .max)).so"
    defer { unlink(path) }
    localBytes = try NativeKernel.link(program, for: target, symbols: symbols, to: path)
    guard let opened = dlopen(path, RTLD_NOW | RTLD_LOCAL), let symbol = dlsym(opened, program.name) else {
      throw Failure(.ours, "the kernel does not load: \(String(cString: dlerror()))")
    }
    handle = opened
    entry = unsafeBitCast(symbol, to: Entry.self)
  }

  deinit { dlclose(handle) }

  /// Compiles and links the program into a library at `path` that exports it under its name.
  /// - Returns: the bytes of local memory that each worker needs.
  static func link(_ program: TileProgram, for target: Target, symbols: [String], to path: String) throws -> Dim {
    let compiled = try Backend.compile(program.expandingMath(), for: target, symbols: symbols)
    var object = compiled.object
    export(&object)
    defer { unlink(path + ".o") }
    guard let file = fopen(path + ".o", "w") else { throw Failure(.inputOutput, "no file \(path).o") }
    fwrite(object, 1, object.count, file)
    fclose(file)
    try Linker.link(objects: [path + ".o"], output: path, soname: "kernel.so")
    return compiled.localBytes
  }

  /// Makes hidden symbols of an ELF64 object visible (protected), so that dlsym finds the kernel without a host program.
  private static func export(_ object: inout [UInt8]) {
    object.withUnsafeMutableBytes { bytes in
      let sections = Int(bytes.loadUnaligned(fromByteOffset: 40, as: UInt64.self))
      let count = Int(bytes.loadUnaligned(fromByteOffset: 60, as: UInt16.self))
      for section in 0..<count {
        let header = sections + section * 64
        guard bytes.loadUnaligned(fromByteOffset: header + 4, as: UInt32.self) == 2 else { continue }  // SHT_SYMTAB
        let offset = Int(bytes.loadUnaligned(fromByteOffset: header + 24, as: UInt64.self))
        let size = Int(bytes.loadUnaligned(fromByteOffset: header + 32, as: UInt64.self))
        for symbol in stride(from: offset, to: offset + size, by: 24) where bytes[symbol + 5] == 2 {
          bytes[symbol + 5] = 3
        }
      }
    }
  }

  /// Runs the kernel with two workers taking turns at pieces, last piece first.
  public func run(_ buffers: [GuardedMemory], sizes: [String: Int] = [:]) {
    let workers = 2
    let perWorker = (localBytes.evaluate(sizes)! + 63) / 64 * 64
    let local = GuardedMemory(.uint8, count: (perWorker * workers + 4095) / 4096 * 4096)
    var values = symbols.map { Int64(sizes[$0]!) }
    var services = TesseraServices()
    services.size = UInt32(MemoryLayout<TesseraServices>.size)
    services.worker_count = Int32(workers)
    services.parallel_for = { _, body, context, count, grain in
      let step = max(grain, (count + 4) / 5)
      var end = count
      var worker: Int32 = 0
      while end > 0 {
        let begin = max(0, end - step)
        body!(context, worker, begin, end)
        end = begin
        worker = 1 - worker
      }
    }
    values.withUnsafeMutableBytes { symbolBytes in
      var context: [UnsafeMutableRawPointer?] = buffers.map(\.start)
      context.append(symbolBytes.baseAddress)
      context.append(local.start)
      context.append(UnsafeMutableRawPointer(bitPattern: perWorker))
      context.append(nil)  // for the iteration of a loop that repeats phases
      withExtendedLifetime((buffers, local)) { entry(&services, &context) }
    }
  }
}
