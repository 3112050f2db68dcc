import TensorTypes

/// One thing that a library's run entry does. Steps make a tree: what is compiled from it is straight-line code with
/// branches and loops; nothing interprets it at run time.
///
/// `Launch` says what a kernel's launch is: a plan names a kernel by its number, a host program by its symbol.
public indirect enum RunStep<Launch: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
  case launch(Launch)
  /// Gives symbols values that lie in memory, one after the other. Ends the run with `message` if one is negative or
  /// larger than any tensor's size.
  case bind(symbols: [String], from: HostProgram.Location, ElementType, message: String)
  /// Gives symbols the values of expressions; all are evaluated before any is assigned.
  case assign([Assignment])
  /// Ends the run with `message` unless the relation holds.
  case require(SizeRelation, message: String)
  /// Ends the run with `message` unless the bool in memory is `value`.
  case requireFlag(HostProgram.Location, value: Bool, message: String)
  /// Makes a register point to memory of so many bytes, whose contents are unspecified but for the first `keeping`
  /// bytes of what the register pointed to before.
  case allocate(register: Int, bytes: Dim, keeping: Dim)
  /// Asks the host for the memory of an output whose sizes are known by now.
  case output(Int)
  /// Makes a register point to a place in other memory.
  case point(register: Int, to: HostProgram.Location)
  /// Exchanges what two registers point to.
  case exchange(Int, Int)
  /// One of two lists, as a bool in memory says.
  case branch(HostProgram.Location, then: [RunStep], otherwise: [RunStep])
  case loop(Loop)

  public struct Assignment: Hashable, Sendable, Codable {
    public var symbol: String
    public var value: Dim
    public init(_ symbol: String, _ value: Dim) { (self.symbol, self.value) = (symbol, value) }
  }

  /// Runs `body` while the conditions hold and the iteration's number is below the limit.
  public struct Loop: Hashable, Sendable, Codable {
    /// Holds the iteration's number, and after the loop how many there were.
    public var iteration: String
    public var limit: Limit
    /// A bool that says whether the loop starts; nil if it does.
    public var starts: HostProgram.Location?
    public var body: [RunStep]
    /// A bool that says after each iteration whether to go on; nil if so.
    public var goesOn: HostProgram.Location?

    public enum Limit: Hashable, Sendable, Codable {
      case size(Dim)
      /// An i64 in memory.
      case memory(HostProgram.Location)
    }

    public init(
      iteration: String, limit: Limit, starts: HostProgram.Location?, body: [RunStep], goesOn: HostProgram.Location?
    ) {
      self.iteration = iteration
      self.limit = limit
      self.starts = starts
      self.body = body
      self.goesOn = goesOn
    }
  }

  /// The same steps with launches of another kind.
  public func mapLaunches<New>(_ transform: (Launch) -> New) -> RunStep<New> {
    switch self {
    case .launch(let launch): .launch(transform(launch))
    case .bind(let symbols, let location, let element, let message):
      .bind(symbols: symbols, from: location, element, message: message)
    case .assign(let values): .assign(values.map { .init($0.symbol, $0.value) })
    case .require(let relation, let message): .require(relation, message: message)
    case .requireFlag(let location, let value, let message): .requireFlag(location, value: value, message: message)
    case .allocate(let register, let bytes, let keeping): .allocate(register: register, bytes: bytes, keeping: keeping)
    case .output(let number): .output(number)
    case .point(let register, let location): .point(register: register, to: location)
    case .exchange(let a, let b): .exchange(a, b)
    case .branch(let condition, let then, let otherwise):
      .branch(
        condition, then: then.map { $0.mapLaunches(transform) }, otherwise: otherwise.map { $0.mapLaunches(transform) })
    case .loop(let loop):
      .loop(
        .init(
          iteration: loop.iteration, limit: loop.limit.mapped(), starts: loop.starts,
          body: loop.body.map { $0.mapLaunches(transform) }, goesOn: loop.goesOn))
    }
  }

  /// Every step, those inside before what follows.
  public func visit(_ body: (RunStep) -> Void) {
    body(self)
    switch self {
    case .branch(_, let then, let otherwise): for step in then + otherwise { step.visit(body) }
    case .loop(let loop): for step in loop.body { step.visit(body) }
    case .launch, .bind, .assign, .require, .requireFlag, .allocate, .output, .point, .exchange: break
    }
  }
}

extension RunStep.Loop.Limit {
  fileprivate func mapped<New>() -> RunStep<New>.Loop.Limit {
    switch self {
    case .size(let dim): .size(dim)
    case .memory(let location): .memory(location)
    }
  }
}

/// What must hold of two sizes.
public struct SizeRelation: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable { case equal, atLeast }
  public var left: Dim
  public var kind: Kind
  public var right: Dim
  public init(_ left: Dim, _ kind: Kind, _ right: Dim) { (self.left, self.kind, self.right) = (left, kind, right) }

  public var symbols: Set<String> { left.symbols.union(right.symbols) }
}

extension Sequence {
  /// All launches in these steps, in their order: a launch's number is its place here.
  public func launches<Launch>() -> [Launch] where Element == RunStep<Launch> {
    var all: [Launch] = []
    for step in self { step.visit { if case .launch(let launch) = $0 { all.append(launch) } } }
    return all
  }

  /// Texts of the steps that can end the run.
  public func messages<Launch>() -> [String] where Element == RunStep<Launch> {
    var all: [String] = []
    for step in self {
      step.visit {
        switch $0 {
        case .bind(_, _, _, let message), .require(_, let message), .requireFlag(_, _, let message):
          all.append(message)
        case .launch, .assign, .allocate, .output, .point, .exchange, .branch, .loop: break
        }
      }
    }
    return all
  }
}
