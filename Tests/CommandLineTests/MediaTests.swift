import Foundation
import TensorTypes
import TesseraRuntime
import Testing

@testable import tessera

@Suite struct MediaTests {
  /// 2-bit palette, written by Python's zlib.
  private static let indexed = """
    iVBORw0KGgoAAAANSUhEUgAAAAkAAAAEAgMAAAAhYf1dAAAADFBMVEUAAAD/AAAA/wAJCAfvrth1AAAAGElEQVR42mOQlmZgyMlxYNi4sYHh2L
    EDAB5WBX1qJQZgAAAAAElFTkSuQmCC
    """
  /// 40 × 30 pixels, rows predicted in each of the five ways in turn, compressed by Python's zlib: dynamic codes.
  private static let predicted = """
    iVBORw0KGgoAAAANSUhEUgAAACgAAAAeCAIAAADRv8uKAAAJLklEQVR42r2XezzVeRrHncu4xOSSpoTmCMclt1wqMQmJQuYIHYxLbFmRiqGsUj
    g7GrJpXZYdxmXSupeIPSLqDCIbZSq3yBROrCNSR85m9nP82rNeW/9ur5fXi/N4vpfn+b6f5/kcMbEvt1M2WMts3KO8zdPIJczx8PehyaVp1+43
    Dy++Utik53g4JKnkahdPsM7cKSTpp9sj8A+ML+icXGHhFQ37xj3B5XcnTFyPw39f+MV/Susml7Zjn4EFpfNlHbYBcfDn/ErC395/yIZdWnc3fH
    pm5UmfadiKi4vLyMgoKCisXbt2/fr1Ghoaq1evNjIy2rx5s6WlpY2NjYODw969e62srLy8vPz9/Q8dOhQaGhoeHn7y5Mng4GAWi5WUlJSampqZ
    mZmTk1NYWJiWllZZWVlTU1NfX9/c3Nza2trZ2dnY2Njb2zs0NPT8+fOJiQmyrKwsjsRJOBU3kJKSwiU+gZGibmKjqKiopKQkKSm5YcMGeXl5Go
    22bt06HZ2SSgMDVVXVLVu20OmXr183MzQ03L59O4dja2xs7NTZaWFhsWdPx887d+7b19PLZNq3tY0cONDd3e3n59fX5/l7LvfIkSODg9+8efPm
    4MHRuW+/5fHC3r17RyaTZ2ZmkqWlqerq6riLmJiYsrIy7qWlpUUknG5urquoqKenh0vgJBsbGjzpdLqiG2H0hxFXDF8yxi55Ji150mh31HOWPB
    Xvwfj06VMYm2mzY63qVCp1fn4eRiRc7HTOjQuV//hzVfcP9X1NQ+9+eaUwvVJfznAvUIrOqgM4C0pbzZknYnMb2rkShnuPfFf08zOyGkjBLzBV
    3Da2dX8Uu5e/wy/2VxItMr16pb5TRedk0HdFCpu+BlbYHFvJGjj38r9oGFi4eLUL8AbE5ZNqemaR9w/5Akof8gWUPuQLKH3IF1D6kK/x8XERX2
    Rra2s8HrJhZma2detWvBwe8hMYKa3uB0t1dWEyMTHBZ8QHD8RqZdUEcBCos7Mzg8Hw8PCws7Nzc3Pz9PT08fEJCAhA0CEhIUgA0sALC0P0J06c
    iBEIzp49Oz19NDZ2MSEhQUIi8byMDDKRkZFBpbJWrVqFjOaoqBQUqFHd3d2BO/giEq6mprbElzuTaWJubk4k3NHFxZXBQMKZPj6B3t6+vr44z8
    XFpaMjBsuZg4Mp3t48XpqTk9NkXp6r61xmpru4eJW3t2xjo69MZSV2dnVd39zsPjAwMDIyQiRcbG6VMZoLQFhtug+w2Bw4i8dPvNzSOCh4u3YL
    3e53YSnlf2sdRecCPvlNQ+KaO31O/dDF+9yYcQyd68vtPiV3xkFffd+8R2Q6uEPn0rANAEoA9qtvYtAW8S90LpewFH2nEHkjl7HPNB69ViRhl4
    +WE8LV1dVFesEXYylcpD0wMBDZPnr0KPiKiYkh+EpJSYmNjc3OzgZfRUVFBF91dXXFxcUcDgd8dXV1EXwh3AcPHkxNTYEvckRERFRUVHR0dFBQ
    0JkzZ1D1x44d+wRGyuhr1l1HxxY7u/bdu21tbREWngoh+vs/7e/3GvL1ZTLxsj4jIwdAU2RkJMDBFtgLsWIjQUwMAkU5nTt3Lj4+PjFRIjk5WU
    4uNS8vDzlQzc39y5o1SEB+fr6mZpGpqSm64bVr18rLy6mJiYkUCkXEFxK+xFdiZKQ+OCf4iouLc3R0ZDAe4mBcIjBwALlFwnEeEi4ZF4dqFiWc
    xaIVFSWWlZWdpNPrYmJQ0NbWHBarvasr8eHDhyK+xA6yfsLgO5F5/fvitoLmYTQvADK/ZrO2/SHf0zl/ZfcOCtYBlvCLV6u6pzHU4Hz/pSyouX
    JvSmvXwdQr9xRNXH9sHDRwDkUv8z/zI1ltR0ZNDwYi/wszLDmeemWLRyQQw9zMqnsUlVHjFZ21MzCeBKQ/Vk5rReEKy0kYrpCvpXADif6F6Am+
    kDOES/QvZJjgq6qqCnwR/au9vZ3ga3k5keEH/JAZZAneWImG9wmMFLK8Gm7R3f31xMThPk/PVxER6EpBQeNRb96Mjo7+9tuZsLCwc+ck+Xz+v0
    6dAjgLCwvp6ekJCRSAc/78eXn5iwBH9sKFkpKSrKwsgFNQUHBZOEavX7p06ebNmxUVFW1tbbW1tRY3bnR07GGzzXt6em7fvk1ls9mYDQRfmA39
    /f3KyrVqbLUGS0t9/Rezs7MCQUt1tZWd3TyJRGpoaNi/f7+KSkVLy8ng6mpsFxm5Eca4uK9wQGGhS3V1tVNtLTsvD8aypqaqigpCe9RyOO1sNm
    YDwReGtFj39MpRqvrkCh2wIKVtr7bDz8r3NFRV4a2nD2bkJLV2AQSMwntTMioWXn+8xBleVIUDZiN6UELhLXS0P1V0ovHl3OiHQIMmA5LgBo0P
    GKKv9c2vyf77Y7/YXKgzuE1Iad8ZF8e0JeU2DHysnLT09f9bTuhfBF8IV8QXyongC8Um4gvvR/CFtxTxhf5F8LW8nMiPHz9Gep88eQKp8OzZs7
    GxsRcvXnwCI0V54zaAIxAI0K6np6cXF2MpCQmnT7/DOJOTk0MOqCxWWppwnAEFgFOkqamrW5qdraStrY13RW7w0tu2bWtqajIwqER8AAd83L17
    FyH+4uaGcNGfcep9xn0ciWfGJVBO1MnJScwGnDo3N4fZAJJlZbmUSWXeZh5U2fDwsJYWf3TU3I3LhSeP997I54fDk8vlHl0ypr438gnjZPZ/PM
    uWGTnLl/PFzNwigA9+8P7AAbOstJ2L9yfRrIDDsQuVl1uegzsMvrj8pueUDVBYmJISdLv4gmbe53poVVMyG7GQqm4DyjBYIc3QDUEiGhnGK3T/
    Ch2HjheS6HHoYuhokPXQZSTTfeHLy0nEl6WwnIR8EVKe4AtzguCLkPIEXxAYBF+ElCf4gtQi+CLKieBreTmRl6ttJBw3+B8J/v8yGlszILIlJC
    SkpaVBEyHuVVWF40xFRQXKWVNTU6ekxMDAADpNr7y8atMmqDUEBP1my+HY29tb37rVumtXR0cHxBC6EpPZCx3/6NEjb++B4WE/RMkVivupmZnj
    oOTly5eA6e3bt1R8V/jIdydVVSPaewWvo6Oj5+AANQhP3MP/vTEUulxkTBJ56uXAmJYmNAqX19NRSygWQ8P5xkbV1697FxcXESQi/DcPCFKmSf
    go5gAAAABJRU5ErkJggg==
    """

  private func picture(_ width: Int, _ height: Int, _ channels: Int) -> Picture {
    var generator = SystemRandomNumberGenerator()
    let samples = (0..<width * height * channels).map { _ in UInt8.random(in: 0...255, using: &generator) }
    return Picture(width: width, height: height, channels: channels, samples: samples)
  }

  @Test(arguments: 1...4) func readsWhatItWrites(channels: Int) throws {
    // The last is more than one stored block holds.
    for (width, height) in [(1, 1), (3, 2), (64, 33), (300, 250)] {
      let picture = picture(width, height, channels)
      #expect(try PNG.decode(PNG.encode(picture)) == picture)
    }
  }

  @Test func readsWhatOthersWrite() throws {
    func file(_ text: String) throws -> [UInt8] {
      Array(try #require(Data(base64Encoded: text, options: .ignoreUnknownCharacters)))
    }
    let predicted = try PNG.decode(file(Self.predicted))
    func sample(_ x: Int, _ y: Int, _ c: Int) -> UInt8 {
      let squares: Int = x * x * 3 + y * y * 5
      let rest: Int = c * 31 + x * y % 7 * 3
      return UInt8((squares + rest) % 256)
    }
    let expected = (0..<30).flatMap { y in (0..<40).flatMap { x in (0..<3).map { sample(x, y, $0) } } }
    #expect(predicted == Picture(width: 40, height: 30, channels: 3, samples: expected))
    let indexed = try PNG.decode(file(Self.indexed))
    let palette: [[UInt8]] = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 8, 7]]
    let colours: [UInt8] = (0..<4).flatMap { y in (0..<9).flatMap { x in palette[(x + y) % 4] } }
    #expect(indexed == Picture(width: 9, height: 4, channels: 3, samples: colours))
  }

  @Test func damagedPicturesAreRefused() {
    let file = PNG.encode(picture(7, 5, 3))
    for count in 0..<file.count { #expect(throws: Failure.self) { _ = try PNG.decode(Array(file[..<count])) } }
    for at in file.indices {
      var damaged = file
      damaged[at] ^= 0x41
      // A changed byte is noticed by a checksum, wherever it is.
      #expect(throws: Failure.self) { _ = try PNG.decode(damaged) }
    }
  }

  /// Damage that checksums don't notice: of the compressed data themselves.
  @Test func damagedStreamsDoNotTrap() throws {
    let text =
      "eNpjYGRiZmFlY+fg5OLm4eXjFxAUEhYRFROXkJSSlpGVk1dQVFJWUVVT19DU0tbR1dM3MDQyNjE1M7ewtLJmoEBvRmpOTr4CEqkD5ZRkpBal0k4WAK8BOiU="
    let stream = Array(try #require(Data(base64Encoded: text)))
    #expect(try Inflate.zlib(stream, size: 240).count == 240)
    for at in stream.indices {
      for value in UInt8.min...UInt8.max {
        var damaged = stream
        damaged[at] = value
        _ = try? Inflate.zlib(damaged, size: 240)
      }
    }
  }

  @Test func picturesAreTensorsEitherWay() throws {
    let picture = picture(5, 8, 3)
    let first = try #require(picture.tensor(.float32, [1, 3, nil, nil]))
    #expect(first.shape == [1, 3, 8, 5])
    #expect(first[2 * 40 + 7] == .float(Double(Float(Double(picture.samples[7 * 3 + 2]) / 255))))
    let last = try #require(picture.tensor(.uint8, [nil, nil, nil, 3]))
    #expect(last.shape == [1, 8, 5, 3])
    #expect(last.array(of: UInt8.self) == picture.samples)
    #expect(Picture(first) == picture)
    #expect(Picture(last) == picture)
    #expect(picture.tensor(.float32, [2, 3, nil, nil]) == nil)
    #expect(picture.tensor(.int64, [1, 3, nil, nil]) == nil)
    #expect(picture.tensor(.float32, [nil, nil, nil, nil]) == nil)
    let grey = try #require(picture.tensor(.float32, [nil, nil]))
    #expect(Picture(grey) == picture.converted(to: 1))
  }

  @Test func soundComesBack() throws {
    let sound = Sound(rate: 22050, samples: [0, 1, -1, 0.5, -0.25, 2, .nan])
    let read = try WAV.decode(WAV.encode(sound))
    #expect(read.rate == 22050)
    for (got, want) in zip(read.samples, [0, 1, -1, 0.5, -0.25, 1, 0] as [Float]) {
      // Half a step of 16 bits, and 32767 in one direction for 32768 in the other.
      #expect(abs(got - want) <= 2 / 32768)
    }
    let tensor = try #require(read.tensor(.float32, [1, nil]))
    #expect(tensor.shape == [1, 7])
    #expect(Sound(tensor, rate: 1)?.samples == read.samples)
    #expect(read.tensor(.float32, [nil, 2]) == nil)
    let file = WAV.encode(sound)
    for count in 0..<44 { #expect(throws: Failure.self) { _ = try WAV.decode(Array(file[..<count])) } }
  }

  @Test(arguments: [
    ("x=1x3x224x224", [1, 3, 224, 224]), ("a=b=7", [7]), ("scalar=", []), ("x=0", [0]),
  ]) func shapesAreParsed(_ text: String, _ sizes: [Int]) throws {
    #expect(try #require(InputShape(argument: text)).sizes == sizes)
  }

  @Test(arguments: ["x", "=1x2", "x=1xx2", "x=-1", "x=1x2x", "x=1,2", "x=99999999999999999999"])
  func otherShapesAreNot(_ text: String) { #expect(InputShape(argument: text) == nil) }
}
