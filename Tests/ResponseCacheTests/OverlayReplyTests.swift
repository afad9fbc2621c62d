import DexatelAPI
import ResponseCache
import Testing

@Suite struct OverlayReplyTests {
    private static let id = #""id":"fe84f52d-d05e-4af6-b93a-08dc0110f536""#
    private static let base = #"{ "data":{\#(id), "number":"1","first_name":"A","update_date":"old" },"links":{} }"#

    @Test func `the base takes what the reply holds and keeps the rest`() {
        let reply =
            #"{"links":{"x":1},"data":{"update_date":"new","custom1":"C","f\u0069rst_name" : "B" ,\#(Self.id)}}"#
        let expected = Self.base.replacing(#""A""#, with: #""B""#)
            .replacing(#""old""#, with: #""new","custom1":"C""#)
        #expect(Overlay.applyReply(Self.base, reply) == expected)
    }

    @Test func `a reply with an empty contact leaves the base as it is`() {
        #expect(Overlay.applyReply(Self.base, #"{"data":{}}"#) == Self.base)
    }

    @Test(arguments: [
        "", "{}", "[]", #"{"data":null}"#, #"{"data":[]}"#, #"{"data":{"a":1,"a":2}}"#, #"{"data":{"a":1}"#,
        #"{"data":{"id":"fe84f52d-d05e-4af6-b93a-08dc0110f537","first_name":"Z"}}"#,
    ])
    func `a reply that is not the contact says nothing`(reply: String) {
        #expect(Overlay.applyReply(Self.base, reply) == nil)
    }

    @Test(arguments: ["", "{}", #"{"errors":[]}"#, #"{"data":[]}"#, #"{"data":{}"#])
    func `a base that is not a contact cannot be brought up to date`(base: String) {
        #expect(Overlay.applyReply(base, #"{"data":{"first_name":"Z"}}"#) == nil)
    }

    @Test func `the bodies of accepted writes are read, others are not`() {
        func fields(_ body: String) -> PendingChange.Effect? {
            Array(body.utf8).withUnsafeBytes { PendingChange(sequence: 7, putBody: $0)?.effect }
        }
        let long = String(repeating: "x", count: 1000)
        #expect(fields("{}") == .update([]))
        #expect(
            fields(#" {"x":0,"data": {"b" : [ 1 ],"\u0061":"\#(long)"}}"#)
                == .update([
                    PendingChange.Field(name: "b", value: Array("[ 1 ]".utf8)),
                    PendingChange.Field(name: "a", value: Array("\"\(long)\"".utf8)),
                ])
        )
        for body in ["", "[]", #"{"data":null}"#, #"{"data":{"a":1,"a":1}}"#, #"{"data":{"first_name":1}}"#] {
            #expect(fields(body) == nil)
        }
    }
}
