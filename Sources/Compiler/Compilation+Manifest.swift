import GraphIR
import Kernels
import LLVMBackend

extension Compilation {
  /// What the library says of its making, as JSON: the model, the compiler, each variant's kernels and launches.
  var manifest: String {
    let variants = plans.map { plan in
      let kernels = plan.kernels.map { kernel in
        let knobs = kernel.knobs.values.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\($0.value)" }
        return
          "{\"name\":\(quoted(kernel.name)),\"template\":\(quoted(kernel.template)),\"tuned\":\(kernel.isTuned),\"knobs\":{\(knobs.joined(separator: ","))}}"
      }
      let steps = plan.launches.map { step in
        "{\"kernel\":\(step.kernel),\"nodes\":[\(step.origins.map { quoted($0) }.joined(separator: ","))]}"
      }
      let arenas = plan.arenas.map { arena in
        "{\"bytes\":\(quoted("\(arena.byteCount)")),\"bound\":[\(arena.bound.map { quoted("\($0)") }.joined(separator: ","))]}"
      }
      return """
        {"target":\(quoted(plan.target)),"kernels":[\(kernels.joined(separator: ","))],"launches":[\(steps.joined(separator: ","))],\
        "arenas":[\(arenas.joined(separator: ","))]}
        """
    }
    return """
      {"model":\(quoted(graph.name)),"model_sha256":\(quoted(modelHash)),"compiler":\(quoted("tessera 0.1, \(Backend.version)")),\
      "variants":[\(variants.joined(separator: ","))]}
      """
  }

  private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
