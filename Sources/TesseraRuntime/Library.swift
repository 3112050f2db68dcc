internal import Glibc
public import TensorTypes
internal import TesseraABI

/// A compiled model, loaded: what it takes and gives, its weights in memory, and the threads it runs on.
///
/// Sessions keep their library alive. Loading the same file twice shares its pages.
public final class Library: Sendable {
  public enum Verification: Hashable, Sendable {
    /// ELF structure, note and descriptor; the hash too if that reads no more than 4 MiB (about 15 ms).
    case quick
    /// Everything, weights included: about 300 MB a second.
    case full
  }

  public struct Options: Hashable, Sendable {
    /// Workers of a run, the calling thread included; nil for as many as the process has CPUs.
    public var threads: Int?
    public var verification: Verification

    public init(threads: Int? = nil, verification: Verification = .quick) {
      self.threads = threads
      self.verification = verification
    }
  }

  public let path: String
  public let modelName: String
  /// The variant chosen for this CPU.
  public let target: String
  public let inputs: [Port]
  public let outputs: [Port]
  /// Names of the sizes that inputs bind.
  public let symbols: [String]
  /// JSON: model hash, compiler build, kernels with their knobs, by number.
  public let manifest: String
  public let pool: ThreadPool

  /// What violated constraints and checks mean.
  let messages: [String]
  let weights: Pointer<UnsafeRawPointer?>
  let variant: Pointer<UnsafePointer<TesseraVariant>>
  let plugin: Pointer<UnsafePointer<TesseraPlugin>>
  private let image: LoadedImage
  private let sidecar: WeightsFile?

  /// A pointer into memory that never changes while the library lives.
  struct Pointer<Value>: @unchecked Sendable { let value: Value }

  private static let quickHashLimit = 4 << 20

  /// Checks the file, refuses it if it is damaged or not for this CPU, and loads it.
  ///
  /// - Throws: `noInput`, `inputOutput`; `badData` for what is no whole library of ours; `noDevice`, naming the missing
  ///   features, if this CPU cannot run it; `usage` for an impossible number of threads.
  public init(path: String, options: Options = Options()) throws(Failure) {
    guard let resolved = realpath(path, nil) else { throw LibraryFile.systemFailure(path) }
    let absolute = String(cString: resolved)
    free(resolved)
    let file = try LibraryFile(path: absolute)
    do throws(Failure) { try file.note.checkRunnable(on: CPU.features) } catch { throw error.inFile(path) }
    if options.verification == .full || file.hashedByteCount <= Self.quickHashLimit { try file.checkHash() }

    let image = try LoadedImage(path: absolute, identity: file.identity)
    let descriptor: Descriptor
    do throws(Failure) { descriptor = try Descriptor(checking: image.plugin) } catch { throw error.inFile(path) }
    guard let variant = descriptor.variants.first(where: { $0.features.allSatisfy(CPU.features.contains) }) else {
      throw .badData("its note and its descriptor disagree on the features needed", file: path)
    }
    let plugin = image.plugin.pointee
    var base = plugin.weights
    var sidecar: WeightsFile?
    if base == nil, plugin.weights_size > 0, let name = plugin.sidecar {
      let file = try WeightsFile.sidecar(String(cString: name), of: absolute, size: plugin.weights_size)
      (base, sidecar) = (file.bytes.baseAddress, file)
    }
    if options.verification == .full, plugin.weights_size > 0 {
      let weights = PiecewiseHash(UnsafeRawBufferPointer(start: base, count: Int(plugin.weights_size)))
      guard weights.hexDigest() == descriptor.weightsHash else {
        throw .badData("the weights do not match their hash: the file is damaged", file: path)
      }
    }
    let pool = try ThreadPool.shared(workers: options.threads ?? ThreadPool.usualSize)

    self.path = path
    self.pool = pool
    self.image = image
    self.sidecar = sidecar
    self.variant = Pointer(value: variant.pointer)
    self.plugin = Pointer(value: image.plugin)
    weights = Pointer(value: base.map { UnsafeRawPointer($0) + Int(variant.pointer.pointee.weights_offset) })
    modelName = descriptor.modelName
    target = variant.target
    inputs = descriptor.inputs
    outputs = descriptor.outputs
    symbols = descriptor.symbols
    manifest = descriptor.manifest
    messages = descriptor.messages
  }

  /// What code `code` of `shape` or `run` means: 0 is success, k + 1 is message k.
  /// - Parameter host: why a service failed, if one did.
  func check(_ code: Int32, host: Failure? = nil) throws(Failure) {
    guard code != 0 else { return }
    if code == TESSERA_HOST_FAILED, let host { throw host }
    guard code > 0, Int(code) <= messages.count else {
      throw Failure(.ours, file: path, "the library failed with the unknown code \(code)")
    }
    throw .badData(messages[Int(code) - 1])
  }
}
