import TensorTypes

// How a picture is a tensor. Of its dimensions the third last is the channels if there are 1, 3 or 4 of them, else the last
// if there are; rank 2 is grey. A dimension before these is a batch of one. Floats are 0 to 1, u8 0 to 255.

/// Where a picture's dimensions are in a tensor's.
private struct PictureLayout {
  enum Order { case channelsFirst, channelsLast, grey }
  var order: Order
  var channels: Int

  /// - Parameter sizes: nil for an open one.
  init?(_ sizes: [Int?], _ element: ElementType) {
    guard (2...4).contains(sizes.count), element.isFloat || element == .uint8 else { return nil }
    if sizes.count == 4, let batch = sizes[0], batch != 1 { return nil }
    if sizes.count == 2 {
      (order, channels) = (.grey, 1)
    } else if let first = sizes[sizes.count - 3], [1, 3, 4].contains(first) {
      (order, channels) = (.channelsFirst, first)
    } else if let last = sizes[sizes.count - 1], [1, 3, 4].contains(last) {
      (order, channels) = (.channelsLast, last)
    } else {
      return nil
    }
  }
}

extension Picture {
  /// The tensor of an input with these sizes, nil for open ones; nil if such an input is no picture.
  func tensor(_ element: ElementType, _ sizes: [Int?]) -> HostTensor? {
    guard let layout = PictureLayout(sizes, element) else { return nil }
    let picture = converted(to: layout.channels)
    let (area, channels) = (width * height, layout.channels)
    let shape: [Int]
    switch layout.order {
    case .grey: shape = [height, width]
    case .channelsFirst: shape = [channels, height, width]
    case .channelsLast: shape = [height, width, channels]
    }
    let batch = [Int](repeating: 1, count: sizes.count - shape.count)
    return HostTensor(element, batch + shape) { i in
      let sample = picture.samples[layout.order == .channelsFirst ? i % area * channels + i / area : i]
      return element.isFloat ? .float(Double(sample) / 255) : .integer(Int64(sample))
    }
  }

  /// The picture that a tensor is; nil if it is none. Floats outside 0...1 are brought to the nearer end.
  init?(_ tensor: HostTensor) {
    guard let layout = PictureLayout(tensor.shape, tensor.element), tensor.elementCount > 0 else { return nil }
    let shape = tensor.shape.suffix(layout.order == .grey ? 2 : 3)
    channels = layout.channels
    height = layout.order == .channelsFirst ? shape[shape.endIndex - 2] : shape[shape.startIndex]
    width = layout.order == .channelsLast ? shape[shape.endIndex - 2] : shape[shape.endIndex - 1]
    let (area, channels) = (width * height, channels)
    let values = tensor.column()
    samples = (0..<area * channels).map { i in
      switch values[layout.order == .channelsFirst ? i % channels * area + i / channels : i] {
      case .integer(let value): return UInt8(truncatingIfNeeded: value)
      case .float(let value): return value.isNaN ? 0 : UInt8(max(0, min(255, (value * 255).rounded())))
      }
    }
  }

  /// With another number of channels: grey is repeated, colours become their luminance (ITU-R BT.601), alpha is dropped
  /// or opaque.
  func converted(to count: Int) -> Picture {
    if count == channels { return self }
    var result = Picture(width: width, height: height, channels: count, samples: [])
    result.samples.reserveCapacity(width * height * count)
    for pixel in stride(from: 0, to: samples.count, by: channels) {
      let own = samples[pixel..<pixel + channels]
      let (r, g, b) = channels < 3 ? (own[pixel], own[pixel], own[pixel]) : (own[pixel], own[pixel + 1], own[pixel + 2])
      let alpha = channels % 2 == 0 ? own[pixel + channels - 1] : 255
      if count < 3 {
        let luminance: Int = 299 * Int(r) + 587 * Int(g) + 114 * Int(b)
        result.samples.append(UInt8((luminance + 500) / 1000))
      } else {
        result.samples += [r, g, b]
      }
      if count % 2 == 0 { result.samples.append(alpha) }
    }
    return result
  }
}

// How sound is a tensor: floats, -1 to 1, of one dimension; all others are 1.

extension Sound {
  /// The tensor of an input with these sizes, nil for open ones; nil if such an input is no sound.
  func tensor(_ element: ElementType, _ sizes: [Int?]) -> HostTensor? {
    guard element.isFloat, let length = sizes.last, sizes.dropLast().allSatisfy({ $0 == nil || $0 == 1 }),
      length == nil || length == samples.count
    else { return nil }
    let shape = [Int](repeating: 1, count: sizes.count - 1) + [samples.count]
    return HostTensor(element, shape) { .float(Double(samples[$0])) }
  }

  /// The sound that a tensor is; nil if it is none.
  init?(_ tensor: HostTensor, rate: Int) {
    guard tensor.element.isFloat, tensor.shape.count(where: { $0 != 1 }) <= 1 else { return nil }
    (self.rate, samples) = (rate, tensor.doubles.map { Float($0) })
  }
}
