import DexatelAPI
import Foundation
import ResponseCache
import Testing

@Suite struct OverlayBadBaseTests {
    private let change = [Overlay.put(1, #"{"a":"n"}"#)]

    @Test(arguments: [
        "", " ", "null", "[]", "{}", #"{"data":null}"#, #"{"data":[]}"#, #"{"data":"x"}"#, #"{"data":1}"#,
        #"{"Data":{}}"#, #"{"errors":[{"code":1351}]}"#, #"[{"data":{}}]"#, #"{"x":{"data":{}}}"#,
        #"{"data":{}} x"#, #"{"data":{}}{"data":{}}"#, "\u{feff}{\"data\":{}}", #"{"data":{},}"#,
        #"{"data":{},"data":{}}"#, #"{"data":{"a":1,"a":2}}"#, #"{"data":{"a":1,"\u0061":2}}"#,
        #"{"data":{"x":{"b":1,"b":2}}}"#, #"{"data":{},"links":{"b":1,"b":2}}"#, #"{"data":{"a":01}}"#,
        #"{"data":{"a":"\ud800"}}"#, "{\"data\":{\"a\":\"\u{1}\"}}", "<html></html>",
    ])
    func `what is not one contact is left alone`(base: String) {
        #expect(Overlay.render(Array(base.utf8), change) == .notApplicable)
    }

    @Test(arguments: [
        "", "null", "{}", #"{"data":null}"#, #"{"data":{}}"#, #"{"data":[{}}"#, #"{"data":[]} x"#, "[]",
        #"{"data":[],"data":[]}"#, #"{"data":[{"a":1,"a":2}]}"#, #"{"data":[1,]}"#,
    ])
    func `what is not a list is left alone`(base: String) {
        #expect(Overlay.renderList(base, [Overlay.contact.contact: change]) == .notApplicable)
    }

    @Test func `a text that is cut off anywhere is left alone`() {
        let id = Overlay.contact.contactText
        let whole = Array(#"{"data":{"id":"\#(id)","a":"ü\u00fc","n":-1.5e3,"l":{"x":[true,null]}},"y":[]}"#.utf8)
        let list = #"{"data":[{"id":"\#(id)","a":1.5},{"x":[true,null]}],"pagination":{"total":2}}"#
        for count in 0..<whole.count {
            #expect(Overlay.render(Array(whole[..<count]), change) == .notApplicable)
        }
        for count in 0..<list.utf8.count {
            #expect(Overlay.renderList(String(list.prefix(count)), [Overlay.contact.contact: change]) == .notApplicable)
        }
        #expect(Overlay.render(whole, change) != .notApplicable)
        #expect(Overlay.renderList(list, [Overlay.contact.contact: change]) != .notApplicable)
    }

    @Test func `nesting up to the bound is taken and beyond it left alone`() {
        func nested(_ depth: Int) -> String {
            #"{"data":{"x":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}}"
        }
        let bound = JSONDocument.maxNesting - 2
        #expect(Overlay.text(nested(bound), change) == nested(bound).dropLast(2) + #","a":"n"}}"#)
        #expect(Overlay.render(Array(nested(bound + 1).utf8), change) == .notApplicable)
        #expect(Overlay.render(Array(nested(1_000_000).utf8), change) == .notApplicable)
    }

    @Test func `thousands of members and fields find each other`() throws {
        let count = 20_000
        let members = (0..<count).map { "\"member\($0)\":\($0)" }.joined(separator: ",")
        let fields = (0..<count).reversed().map { "\"member\($0 + count / 2)\":true" }.joined(separator: ",")
        let text = try #require(Overlay.text("{\"data\":{\(members)}}", [Overlay.put(1, "{\(fields)}")]))
        let data = try #require(Overlay.object(text.utf8)?["data"] as? [String: Any])
        #expect(data.count == count + count / 2)
        for index in [0, 1, count / 2 - 1] { #expect(data["member\(index)"] as? Int == index) }
        for index in [count / 2, count - 1, count, count + count / 2 - 1] {
            #expect(data["member\(index)"] as? Bool == true)
        }
        #expect(text.hasSuffix("\"member\(count)\":true}}"))
    }
}
