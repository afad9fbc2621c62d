import DexatelAPI
import Testing

@Suite struct ContactDocumentTests {
    /// What a contact's members are, as texts.
    private func members(_ contact: ContactObject, _ body: [UInt8]) -> [String] {
        (0..<contact.memberCount).map { index in
            let name = contact.withName(at: index) { String(decoding: $0, as: UTF8.self) }
            return name + "=" + String(decoding: body[contact.value(at: index)], as: UTF8.self)
        }
    }

    @Test func `a contact's members lie where they are written, under their unescaped names`() throws {
        let body = Array(#" {"d\u0061ta": { "a" : [1, 2] ,"b\n\u00e9":"x","é":{"c":3}} ,"e":4} "#.utf8)
        try body.withUnsafeBytes { bytes in
            let contact = try #require(ContactDocument.contact(in: bytes))
            #expect(members(contact, body) == ["a=[1, 2]", "b\né=\"x\"", #"é={"c":3}"#])
            #expect(String(decoding: body[contact.range], as: UTF8.self).hasPrefix(#"{ "a" "#))
            #expect(body[contact.endOfMembers] == UInt8(ascii: "}") && contact.id == nil)
        }
    }

    @Test(arguments: [
        (#""0000000a-0000-0000-0000-00000000000B""#, 0xA_0000_0000_0000_0000_0000_000B as UInt128?),
        (#""\u0030000000A-0000-0000-0000-00000000000b""#, 0xA_0000_0000_0000_0000_0000_000B),
        (#""0000000a-0000-0000-0000-00000000000g""#, nil), (#""""#, nil), ("7", nil), ("null", nil),
        (#""\u0030000000a-0000-0000-0000-0000000000é""#, nil),
        (#""éééééééééééééééééééééééééééééééééééé""#, nil),
    ])
    func `the identifier is read if it is a UUID`(text: String, id: UInt128?) throws {
        try Array(#"{"data":{"x":{"id":"y"},"id":\#(text)}}"#.utf8).withUnsafeBytes { bytes in
            let contact = try #require(ContactDocument.contact(in: bytes))
            #expect(contact.id == id)
        }
    }

    @Test func `every element of a list is lent, and nothing of the one before is left`() {
        let body = Array(
            #"{"data":[{"id":"0000000a-0000-0000-0000-00000000000b","\u0061":1},{},3,[{"id":4}],{"b":5}]}"#.utf8
        )
        body.withUnsafeBytes { bytes in
            var seen: [[String]] = []
            var texts: [String] = []
            let isList = ContactDocument.forEachItem(of: bytes) { item in
                seen.append(members(item, body))
                texts.append(String(decoding: body[item.range], as: UTF8.self))
                #expect((item.id != nil) == (seen.count == 1))
            }
            #expect(isList)
            #expect(seen == [[#"id="0000000a-0000-0000-0000-00000000000b""#, "a=1"], [], [], [], ["b=5"]])
            #expect(texts.suffix(4) == ["{}", "3", #"[{"id":4}]"#, #"{"b":5}"#])
        }
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"data":3}"#, #"{"data":{},"data":[]}"#, #"{"data":{}"#, #"{"data":[}"#, #"{"data":[],}"#,
        #"{"data":[{"a":1,"a":1}]}"#, #"{"data":{"a":1,"a":1}}"#,
    ])
    func `what is neither a contact nor a list is neither`(text: String) {
        Array(text.utf8).withUnsafeBytes { bytes in
            #expect(ContactDocument.contact(in: bytes) == nil)
            #expect(!ContactDocument.forEachItem(of: bytes) { _ in })
        }
    }
}
