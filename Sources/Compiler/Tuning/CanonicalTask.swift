import Foundation
import Kernels
import LLVMBackend
import TensorTypes
import TileIR
import TuningDB

/// A workload as tuning knows it: a model's names for sizes are gone, so that equal tasks of two models are one.
public struct CanonicalTask: Hashable, Sendable {
  public let task: TuningTask
  /// With sizes called `s0`, `s1`, …
  public let workload: Workload
  /// What each of the given workload's symbols is called.
  public let names: [String: String]

  public init(_ workload: Workload) {
    let names = SymbolNames()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = Self.infinities.encoding
    encoder.userInfo[.symbolNames] = names
    guard let data = try? encoder.encode(workload) else { preconditionFailure("a workload is written as JSON") }
    task = TuningTask(family: workload.family, text: String(decoding: data, as: UTF8.self))
    self.names = names.all
    guard let renamed = try? Self.workload(task) else { preconditionFailure("a workload reads what it writes") }
    self.workload = renamed
  }

  /// - Throws: `Failure` of kind `badData` if the text is no workload of today's Tessera.
  public init(_ task: TuningTask) throws(Failure) { self.init(try Self.workload(task)) }

  private static func workload(_ task: TuningTask) throws(Failure) -> Workload {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = infinities.decoding
    do { return try decoder.decode(Workload.self, from: Data(task.text.utf8)) } catch {
      throw .badData("a task that this tessera does not know: \(task.text.prefix(80))")
    }
  }

  private static let infinities = (
    encoding: JSONEncoder.NonConformingFloatEncodingStrategy.convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan"),
    decoding: JSONDecoder.NonConformingFloatDecodingStrategy.convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  )

  /// The workload's sizes that are open, in the order that its library takes them.
  public var symbols: [String] {
    let views = workload.operands + [workload.output] + workload.extraOutputs
    return views.flatMap { $0.shape + $0.strides }.reduce(into: Set<String>()) { $0.formUnion($1.symbols) }.sorted()
  }

  /// The candidate's tile program.
  public func program(_ candidate: Candidate, on machine: Machine) -> TileProgram {
    candidate.kernel.build(workload, knobs: candidate.knobs, on: machine)
  }

  /// SHA-256 of what code is generated from: the program's text with its mathematics written out.
  public func programHash(_ candidate: Candidate, on machine: Machine) -> String {
    Array(program(candidate, on: machine).expandingMath().description.utf8).withUnsafeBytes { SHA256.hexDigest($0) }
  }
}

extension Workload {
  /// The folder of its kernels, in small letters.
  public var family: String {
    switch self {
    case .matmul: "matmul"
    case .convolution: "convolution"
    case .attention: "attention"
    case .normalization: "normalization"
    case .reduction: "reduction"
    case .elementwise: "elementwise"
    case .movement: "movement"
    case .pool: "pool"
    case .gather: "gather"
    case .gatherSum: "gather-sum"
    case .resize: "resize"
    case .generate: "generate"
    case .scatter: "scatter"
    case .scan: "scan"
    case .sort: "sort"
    case .argReduce: "argreduce"
    case .random: "random"
    case .recurrent: "recurrent"
    case .nonZero: "nonzero"
    }
  }
}

/// One way to do a task: a template and a setting of its knobs.
public struct Candidate: Hashable, Sendable, Codable {
  public var template: String
  public var knobs: Knobs

  public init(template: String, knobs: Knobs) {
    self.template = template
    self.knobs = knobs
  }

  /// - Precondition: `isLegal` was asked, or Planning chose it.
  public var kernel: any KernelTemplate {
    guard let found = Self.kernel(template) else { preconditionFailure("a template named \(template)") }
    return found
  }

  static func kernel(_ name: String) -> (any KernelTemplate)? { allKernels.first { $0.name == name } }

  /// Whether there is such a template and it takes these knobs for the workload.
  public func isLegal(for workload: Workload, on machine: Machine) -> Bool {
    guard let space = Self.kernel(template)?.space(for: workload, on: machine) else { return false }
    guard Set(space.choices.map(\.name)) == Set(knobs.values.keys) else { return false }
    // A default's value may lie between the listed ones; it is as legal as they are.
    let usual = kernel.defaultKnobs(for: workload, on: machine)
    if knobs == usual { return true }
    return space.isLegal(knobs)
      && space.choices.allSatisfy { name, values in
        values.contains(knobs[name]) || usual.values[name] == knobs[name]
      }
  }
}
