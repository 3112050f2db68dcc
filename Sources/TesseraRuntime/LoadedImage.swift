internal import Glibc
internal import Synchronization
internal import TensorTypes
internal import TesseraABI

/// A library in memory, from dlopen to dlclose.
final class LoadedImage: @unchecked Sendable {
  let plugin: UnsafePointer<TesseraPlugin>
  private let handle: UnsafeMutableRawPointer
  private let name: String

  /// The names under which libraries are loaded just now, each with the file it stood for and how often.
  ///
  /// The system's loader takes a name it knows for the library it has, even when another file, say a recompiled
  /// model, has taken that name meanwhile. Such a file is loaded as `folder/./name.so`.
  private static let loaded = Mutex<[String: (identity: LibraryFile.Identity, count: Int)]>([:])

  /// - Parameter path: absolute, without links.
  init(path: String, identity: LibraryFile.Identity) throws(Failure) {
    let name = Self.loaded.withLock { loaded in
      let slash = path.lastIndex(of: "/") ?? path.startIndex
      var name = path
      var detour = ""
      while let other = loaded[name], other.identity != identity {
        detour += "/."
        name = path[..<slash] + detour + path[slash...]
      }
      loaded[name, default: (identity, 0)].count += 1
      return name
    }
    guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else {
      Self.forget(name)
      throw .badData(Self.loaderMessage(), file: path)
    }
    guard let symbol = dlsym(handle, "tessera_plugin") else {
      dlclose(handle)
      Self.forget(name)
      throw .badData("does not export tessera_plugin", file: path)
    }
    typealias Entry = @convention(c) () -> UnsafePointer<TesseraPlugin>?
    guard let plugin = unsafeBitCast(symbol, to: Entry.self)() else {
      dlclose(handle)
      Self.forget(name)
      throw .badData("its tessera_plugin returns nothing", file: path)
    }
    self.name = name
    self.handle = handle
    self.plugin = plugin
  }

  deinit {
    dlclose(handle)
    Self.forget(name)
  }

  private static func forget(_ name: String) {
    loaded.withLock { loaded in
      guard let entry = loaded[name] else { return }
      loaded[name] = entry.count > 1 ? (entry.identity, entry.count - 1) : nil
    }
  }

  private static func loaderMessage() -> String {
    "the system cannot load it: \(dlerror().map { String(cString: $0) } ?? "no reason given")"
  }
}
