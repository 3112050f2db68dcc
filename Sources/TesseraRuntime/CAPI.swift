// swift-format-ignore-file: AlwaysUseLowerCamelCase
//
// The C API of tessera.h: each function checks what it is given, does its work through the Swift API, and turns what
// is thrown into a status and the thread's error text.

internal import TensorTypes
public import TesseraABI
internal import TesseraHost

private let libraries = HandleTable<Library>("library")
private let sessions = HandleTable<Session>("session")

/// Runs `body`; what it throws becomes the status and the thread's text.
private func status(_ body: () throws(Failure) -> Void) -> Int32 {
  do throws(Failure) {
    try body()
    return Int32(TESSERA_OK)
  } catch {
    tsr_set_text(error.description)
    return error.kind.rawValue
  }
}

private func given<T>(_ pointer: T?, _ name: String) throws(Failure) -> T {
  guard let pointer else { throw Failure(.usage, "\(name) is null") }
  return pointer
}

/// The options at `pointer`, as far as the caller's version of them goes; zeros beyond.
private func options<T: BitwiseCopyable>(_ pointer: UnsafePointer<T>?, zero: T) throws(Failure) -> T {
  guard let pointer else { return zero }
  let size = pointer.withMemoryRebound(to: UInt32.self, capacity: 1) { $0.pointee }
  guard size >= 4, size <= 4096 else { throw Failure(.usage, "the options' size is \(size), not their sizeof") }
  var options = zero
  withUnsafeMutableBytes(of: &options) {
    $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: min(Int(size), MemoryLayout<T>.size)))
  }
  return options
}

@c @implementation
public func tessera_version() -> UnsafePointer<CChar>! { tsr_version() }

@c @implementation
public func tessera_error() -> UnsafePointer<CChar>! { tsr_text() }

@c @implementation
public func tessera_load(
  _ path: UnsafePointer<CChar>!, _ options: UnsafePointer<TesseraLoadOptions>!,
  _ library: UnsafeMutablePointer<TesseraLibrary>!
) -> Int32 {
  status { () throws(Failure) in
    let result = try given(library, "library")
    result.pointee = 0
    let path = String(cString: try given(path, "path"))
    let chosen = try TesseraRuntime.options(options, zero: TesseraLoadOptions())
    guard chosen.threads >= 0 else { throw Failure(.usage, "threads is \(chosen.threads)") }
    result.pointee = libraries.insert(
      try Library(
        path: path,
        options: Library.Options(
          threads: chosen.threads == 0 ? nil : Int(chosen.threads), verification: chosen.verify == 0 ? .quick : .full)))
  }
}

@c @implementation
public func tessera_unload(_ library: TesseraLibrary) -> Int32 {
  status { () throws(Failure) in try libraries.remove(library) }
}

@c @implementation
public func tessera_describe(
  _ library: TesseraLibrary, _ description: UnsafeMutablePointer<TesseraDescription>!
) -> Int32 {
  status { () throws(Failure) in
    let library = try libraries[library]
    let result = try given(description, "description")
    let size = result.pointee.size
    guard size >= 4, size <= 4096 else { throw Failure(.usage, "the description's size is \(size), not its sizeof") }
    let plugin = library.plugin.value.pointee
    var filled = TesseraDescription(
      size: size, threads: Int32(library.pool.workers), model_name: plugin.model_name,
      target: library.variant.value.pointee.target, manifest: plugin.manifest, inputs: plugin.inputs,
      outputs: plugin.outputs, symbols: plugin.symbols, input_count: plugin.input_count,
      output_count: plugin.output_count, symbol_count: plugin.symbol_count, reserved: 0)
    withUnsafeBytes(of: &filled) {
      UnsafeMutableRawPointer(result).copyMemory(
        from: $0.baseAddress.unsafelyUnwrapped, byteCount: min(Int(size), $0.count))
    }
  }
}

@c @implementation
public func tessera_session_create(
  _ library: TesseraLibrary, _ options: UnsafePointer<TesseraSessionOptions>!,
  _ session: UnsafeMutablePointer<TesseraSession>!
) -> Int32 {
  status { () throws(Failure) in
    let result = try given(session, "session")
    result.pointee = 0
    let library = try libraries[library]
    let chosen = try TesseraRuntime.options(options, zero: TesseraSessionOptions())
    result.pointee = sessions.insert(
      try Session(library: library, options: Session.Options(profile: chosen.profile != 0, poison: chosen.poison != 0)))
  }
}

@c @implementation
public func tessera_session_destroy(_ session: TesseraSession) -> Int32 {
  status { () throws(Failure) in try sessions.remove(session) }
}

@c @implementation
public func tessera_output_dims(
  _ session: TesseraSession, _ inputs: UnsafePointer<TesseraBuffer>!, _ input_count: UInt32,
  _ dims: UnsafeMutablePointer<Int64>!, _ capacity: UInt64, _ written: UnsafeMutablePointer<UInt64>!
) -> Int32 {
  status { () throws(Failure) in
    let session = try sessions[session]
    let buffers = try array(inputs, input_count, session.library.inputs, "input")
    var shapes: [[Int]] = []
    for (buffer, port) in zip(buffers, session.library.inputs) { shapes.append(try buffer.shape(port, "input")) }
    let all = try session.outputShapes(for: shapes).flatMap { $0 }
    written?.pointee = UInt64(all.count)
    guard all.count <= capacity else { throw Failure(.usage, "room for \(capacity) of \(all.count) dimensions") }
    guard !all.isEmpty else { return }
    let result = try given(dims, "dims")
    for (i, size) in all.enumerated() { result[i] = Int64(size) }
  }
}

@c @implementation
public func tessera_run(
  _ session: TesseraSession, _ inputs: UnsafePointer<TesseraBuffer>!, _ input_count: UInt32,
  _ outputs: UnsafePointer<TesseraBuffer>!, _ output_count: UInt32
) -> Int32 {
  status { () throws(Failure) in
    let session = try sessions[session]
    let library = session.library
    var inputViews: [TensorView] = []
    for (buffer, port) in zip(try array(inputs, input_count, library.inputs, "input"), library.inputs) {
      inputViews.append(try buffer.view(port, "input"))
    }
    var outputViews: [MutableTensorView] = []
    for (buffer, port) in zip(try array(outputs, output_count, library.outputs, "output"), library.outputs) {
      outputViews.append(try buffer.mutableView(port, "output"))
    }
    try session.run(inputViews, into: outputViews)
  }
}

@c @implementation
public func tessera_output(
  _ session: TesseraSession, _ index: UInt32, _ output: UnsafeMutablePointer<TesseraBuffer>!
) -> Int32 {
  status { () throws(Failure) in
    let (view, dims) = try sessions[session].lastOutput(Int(index))
    let result = try given(output, "output")
    result.pointee = TesseraBuffer(
      data: view.bytes.baseAddress, size: UInt64(view.bytes.count), element: view.element.code,
      rank: Int32(view.shape.count), dims: dims)
  }
}

@c @implementation
public func tessera_bind_input(
  _ session: TesseraSession, _ index: UInt32, _ buffer: UnsafePointer<TesseraBuffer>!
) -> Int32 {
  status { () throws(Failure) in
    let session = try sessions[session]
    let ports = session.library.inputs
    guard index < ports.count else { throw Failure(.usage, "the model has no input \(index)") }
    let view = try given(buffer, "buffer").pointee.view(ports[Int(index)], "input")
    try session.bind(input: Int(index), to: view)
  }
}

@c @implementation
public func tessera_bind_output(
  _ session: TesseraSession, _ index: UInt32, _ buffer: UnsafePointer<TesseraBuffer>!
) -> Int32 {
  status { () throws(Failure) in
    let session = try sessions[session]
    let ports = session.library.outputs
    guard index < ports.count else { throw Failure(.usage, "the model has no output \(index)") }
    let view = try given(buffer, "buffer").pointee.mutableView(ports[Int(index)], "output")
    try session.bind(output: Int(index), to: view)
  }
}

@c @implementation
public func tessera_run_bound(_ session: TesseraSession) -> Int32 {
  status { () throws(Failure) in try sessions[session].runBound() }
}

@c @implementation
public func tessera_profile(
  _ session: TesseraSession, _ times: UnsafeMutablePointer<TesseraKernelTime>!, _ capacity: UInt32,
  _ written: UnsafeMutablePointer<UInt32>!
) -> Int32 {
  status { () throws(Failure) in
    let profile = try sessions[session].profile
    written?.pointee = UInt32(profile.count)
    guard profile.count <= capacity else { throw Failure(.usage, "room for \(capacity) of \(profile.count) kernels") }
    guard !profile.isEmpty else { return }
    let result = try given(times, "times")
    for (i, time) in profile.enumerated() {
      result[i] = TesseraKernelTime(
        kernel: Int32(time.kernel), reserved: 0, calls: UInt64(time.calls), nanoseconds: UInt64(time.nanoseconds))
    }
  }
}

@c @implementation
public func tessera_profile_reset(_ session: TesseraSession) -> Int32 {
  status { () throws(Failure) in try sessions[session].resetProfile() }
}

/// The caller's `count` buffers, which must be as many as there are `ports`.
private func array(
  _ buffers: UnsafePointer<TesseraBuffer>?, _ count: UInt32, _ ports: [Port], _ role: String
) throws(Failure) -> UnsafeBufferPointer<TesseraBuffer> {
  guard count == ports.count else { throw Failure(.usage, "the model has \(ports.count) \(role)s, not \(count)") }
  guard count > 0 else { return UnsafeBufferPointer(start: nil, count: 0) }
  return UnsafeBufferPointer(start: try given(buffers, "\(role)s"), count: Int(count))
}

extension TesseraBuffer {
  fileprivate func shape(_ port: Port, _ role: String) throws(Failure) -> [Int] {
    let place = "\(role) '\(port.name)'"
    guard (0...Descriptor.maximumRank).contains(rank) else { throw .badData("rank \(rank) cannot be", place: place) }
    guard rank > 0 else { return [] }
    guard let dims else { throw Failure(.usage, place: place, "dims is null") }
    return (0..<Int(rank)).map { Int(dims[$0]) }
  }

  fileprivate func mutableView(_ port: Port, _ role: String) throws(Failure) -> MutableTensorView {
    let place = "\(role) '\(port.name)'"
    guard let type = ElementType(code: element) else {
      throw .badData("element type \(element) is unknown", place: place)
    }
    if port.isUnknown {
      guard size <= 1 << 62 else { throw .badData("\(size) bytes of memory cannot be", place: place) }
      let memory = UnsafeMutableRawBufferPointer(start: data, count: data == nil ? 0 : Int(size))
      return MutableTensorView(type, [Int](repeating: -1, count: port.rank), memory)
    }
    let shape = try shape(port, role)
    guard let needed = byteCount(type, shape) else { throw .badData("sizes \(shape) make no tensor", place: place) }
    guard size >= needed else {
      throw .badData("\(size) bytes of memory for sizes \(shape), which take \(needed)", place: place)
    }
    guard data != nil || needed == 0 else { throw Failure(.usage, place: place, "data is null") }
    return MutableTensorView(type, shape, UnsafeMutableRawBufferPointer(start: data, count: needed))
  }

  fileprivate func view(_ port: Port, _ role: String) throws(Failure) -> TensorView {
    let view = try mutableView(port, role)
    return TensorView(view.element, view.shape, UnsafeRawBufferPointer(view.bytes))
  }
}
