import DexatelAPI
import Testing

@Suite struct JSONGrammarTests {
    private func isObject(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { JSONDocument.isObject($0) } }

    /// Judges a value inside an object, as the reply's reader and as the Update's.
    private func isValue(_ bytes: [UInt8]) -> (reply: Bool, update: Bool) {
        let text = Array(#"{"v":"#.utf8) + bytes + Array("}".utf8)
        return (isObject(text), (try? ContactUpdate.check(text)) != nil)
    }

    @Test(arguments: [
        "0", "-0", "1", "-1", "10", "123456789012345678901234567890", "0.0", "-0.5", "1.25e10", "1E+5", "1e-5", "0e0",
        "1e9999",
        "true", "false", "null", "[]", "[ ]", "[1,2]", "[ [ ] , { } ]", "{}", "{ }", #"{"a":1,"b":[{"a":1}]}"#, " 1 ",
        "\t\n\r 1",
        #""""#, #""a""#, #""\"\\\/\b\f\n\r\t\u0000\uABCD\uabcd""#, #""\uD83D\uDE00""#, #""\ud83d\ude00""#,
        "\"\u{7f}\u{80}\u{7ff}\"",
        "\"\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}\"", "\"\u{feff}\"", #""1234567\"""#, #""12345678\u0041""#,
    ])
    func `what the grammar allows is allowed`(value: String) {
        #expect(isValue(Array(value.utf8)) == (true, true))
    }

    @Test(arguments: [
        "", " ", "01", "-01", "00", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1.5.5", "0x10", "1_000", "NaN",
        "Infinity", "-Infinity",
        "--1", "1 2", "True", "tru", "truex", "nul", "nulll", "undefined", "'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]",
        "[,]", "[1 2]",
        "[1:2]", "{", "{]", "[}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{,}"#, #"{a:1}"#, #"{1:1}"#, #"{"a" 1}"#,
        #"{"a":1 "b":2}"#,
        #"{"a":1;"b":2}"#, #"{"a"::1}"#, #"{null:1}"#, #"""#, #""a"#, #""\""#, #""\x41""#, #""\a""#, #""\U0041""#,
        #""\u""#, #""\u004""#,
        #""\u004g""#, #""\u 041""#, #""\u+041""#, #""\uD83D""#, #""\uD83D\n""#, #""\uD83Dx""#, #""\uDE00""#,
        #""\uDE00\uD83D""#,
        #""\uD83D\uD83D""#, #""\uD83D\u0041""#, #""\uD83D\uDE0""#, "\"\n\"", "\"\t\"", "\"\u{0}\"", "\"\u{1f}\"",
        "\"1234567\u{1}8\"",
        "\u{feff}1", "\u{a0}1", "\u{b}1", "\u{c}1", "/**/1", "//\n1", "1#", "\u{0}", "1\u{0}", #""a""b""#,
    ])
    func `what the grammar does not allow is refused`(value: String) {
        #expect(isValue(Array(value.utf8)) == (false, false))
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2], [0xC2, 0x20], [0xC2, 0xC2], [0xDF], [0xE0, 0x80, 0x80],
            [0xE0, 0x9F, 0xBF], [0xE1, 0x80], [0xE1, 0x80, 0x41], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xF0, 0x80, 0x80, 0x80],
            [0xF0, 0x8F, 0xBF, 0xBF], [0xF1, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE],
            [0xFF],
            [0xF8, 0x88, 0x80, 0x80, 0x80], [0xE2, 0x28, 0xA1], [0xF0, 0x9F, 0x98],
        ] as [[UInt8]]
    )
    func `invalid UTF-8 is refused in values, names and elsewhere`(bytes: [UInt8]) {
        let quote = [UInt8(ascii: "\"")]
        for padding in 0..<9 {
            let text = quote + [UInt8](repeating: 0x61, count: padding) + bytes + quote
            #expect(isValue(text) == (false, false))
            #expect(isValue(Array("{".utf8) + text + Array(":1}".utf8)) == (false, false))
        }
        #expect(isValue(Array("1".utf8) + bytes) == (false, false))
    }

    @Test func `every sequence of up to four bytes is judged as the standard library judges it`() {
        let interesting: [UInt8] = [
            0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
            0xF0, 0xF1,
            0xF3, 0xF4, 0xF5, 0xFF,
        ]
        func judge(_ bytes: [UInt8]) {
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            #expect(isObject(Array(#"{"v":""#.utf8) + bytes + Array(#""}"#.utf8)) == isValid, "\(bytes)")
        }
        for first in interesting {
            judge([first])
            for second in interesting {
                judge([first, second])
                for third in interesting {
                    judge([first, second, third])
                    if first >= 0xF0 { interesting.forEach { judge([first, second, third, $0]) } }
                }
            }
        }
    }

    @Test func `a special byte is found wherever it stands in a word`() {
        for length in 0..<40 {
            for position in 0..<length {
                for (bytes, isRight) in [("\\n", true), ("\u{1}", false), ("\"", false), ("é", true), ("!", true)] {
                    var text = [UInt8](repeating: UInt8(ascii: "#"), count: length)
                    text.replaceSubrange(position..<position + 1, with: bytes.utf8)
                    let quoted = Array("\"".utf8) + text + Array("\"".utf8)
                    #expect(isValue(quoted) == (isRight, isRight), "\(bytes) at \(position) of \(length)")
                }
            }
        }
    }

    @Test(arguments: [
        "{}", " {} ", "\n{\t}\r\n", #"{"a":1}"#, #"{"a":1,"a":2}"#, #"{"data":{"id":"x"}}"#,
    ])
    func `a whole text that is an object is one`(text: String) {
        #expect(isObject(Array(text.utf8)))
    }

    @Test(arguments: [
        "", " ", "[]", "1", "null", #""{}""#, "{}{}", "{} x", "{},", "<html></html>", "\u{feff}{}", "{}\u{0}", "{", "}",
        #"{"a":1"#, "OK", "[{}]",
    ])
    func `any other text is no object`(text: String) {
        #expect(!isObject(Array(text.utf8)))
    }

    @Test func `every beginning of a document is refused`() {
        let text = Array(#"{"a":[1.5e3,true,null,"é\u0041\ud83d\ude00"],"b":{"c":false}}"#.utf8)
        #expect(isObject(text))
        for length in 0..<text.count { #expect(!isObject(Array(text[..<length]))) }
    }

    @Test func `nesting is bounded, for replies more generously`() {
        func nested(_ depth: Int) -> [UInt8] {
            let inner = depth - 1
            return Array(
                (#"{"a":"# + String(repeating: "[", count: inner) + String(repeating: "]", count: inner) + "}").utf8
            )
        }
        #expect(isObject(nested(JSONDocument.maxNesting)))
        #expect(!isObject(nested(JSONDocument.maxNesting + 1)))
        #expect(!isObject(Array(String(repeating: #"{"a":"#, count: 1_000_000).utf8)))
        #expect(throws: Never.self) { try ContactUpdate.check(nested(ContactUpdate.maxNesting)) }
        #expect(throws: ContactUpdateFault.tooDeep) { try ContactUpdate.check(nested(ContactUpdate.maxNesting + 1)) }
        #expect(throws: ContactUpdateFault.tooDeep) {
            try ContactUpdate.check(Array(String(repeating: "[", count: 1_000_000).utf8))
        }
        let wide = "{\"a\":[" + [String](repeating: "[{}]", count: 1000).joined(separator: ",") + "]}"
        #expect(throws: Never.self) { try ContactUpdate.check(Array(wide.utf8)) }
    }
}
