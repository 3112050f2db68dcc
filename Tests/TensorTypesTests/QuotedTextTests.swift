import TensorTypes
import Testing

@Suite struct QuotedTextTests {
  @Test(arguments: ["", "x", "a\"b", "a\\", "\\n", "two\nlines", "tab\tand\rreturn", "größe", "\"\""])
  func whatIsQuotedReadsBack(_ text: String) throws {
    let quoted = QuotedText.quoting(text)
    #expect(!quoted.utf8.contains(0x0a))
    // Behind the opening quote, with more after the closing one.
    var position = 1
    #expect(QuotedText.read(Array((quoted + "\"").utf8), from: &position) == text)
    #expect(position == quoted.utf8.count)
  }

  @Test(arguments: ["\"", "\"x", "\"x\\", "\"x\\\""]) func whatIsNotClosed(_ text: String) {
    var position = 1
    #expect(QuotedText.read(Array(text.utf8), from: &position) == nil)
  }
}
