import DexatelAPI
import ResponseCache
import Testing

@Suite struct OverlayContactTests {
    private static let base = """
        { "links": {"self":"https://x/1"} , "data" : {\r
          "id": "FE84F52D-D05E-4AF6-B93A-08DC0110F536", "number" : 1.50e+1,
        \t"first_name" :"Ann", "last_name": null,"update_date":"2024-01-02 03:04:05", "links":{ "self":[ ] } } , "x":-0}\n
        """

    @Test func `pending fields take the base's places and every other byte stays`() {
        let result = Overlay.render(
            Array(Self.base.utf8),
            [Overlay.put(1, #"{"first_name":"Bo","last_name" : "C\u00e9"}"#)]
        )
        let expected =
            Self.base.replacing(#""Ann""#, with: #""Bo""#).replacing(": null", with: #": "C\u00e9""#)
        #expect(result == .replaced(body: Array(expected.utf8), pendingCount: 1, isPartial: false))
    }

    @Test(arguments: [
        (#"{"data":{}}"#, #"{"data":{"a":1,"b":[2]}}"#),
        (#"{"data":{ }}"#, #"{"data":{"a":1,"b":[2] }}"#),
        (#"{"data":{"z":0 }}"#, #"{"data":{"z":0,"a":1,"b":[2] }}"#),
        (#"{"data":{"b":{"a":3},"c":4}}"#, #"{"data":{"b":[2],"c":4,"a":1}}"#),
    ])
    func `new members follow the last one in the order of the write`(base: String, expected: String) {
        #expect(Overlay.text(base, [Overlay.put(1, #"{"a":1,"b":[2]}"#)]) == expected)
    }

    @Test func `of several writes to a field the one with the highest sequence holds`() {
        let changes = [
            Overlay.put(9, #"{"b":"nine"}"#), Overlay.put(2, #"{"a":"two","b":"two"}"#),
            Overlay.put(5, #"{"b":"five","c":"five"}"#),
        ]
        #expect(
            Overlay.render(Array(#"{"data":{"b":0}}"#.utf8), changes)
                == .replaced(
                    body: Array(#"{"data":{"b":"nine","a":"two","c":"five"}}"#.utf8),
                    pendingCount: 3,
                    isPartial: false
                )
        )
    }

    @Test func `a null is a value`() {
        #expect(
            Overlay.text(#"{"data":{"first_name":"Ann"}}"#, [Overlay.put(1, #"{"first_name":null,"date":null}"#)])
                == #"{"data":{"first_name":null,"date":null}}"#
        )
    }

    @Test(arguments: [
        (#"{"data":{"f\u0069rst_name":1}}"#, #"{"first_name":"n"}"#, #"{"data":{"f\u0069rst_name":"n"}}"#),
        (#"{"d\u0061ta":{"first_name":1}}"#, #"{"first_n\u0061me":"n"}"#, #"{"d\u0061ta":{"first_name":"n"}}"#),
        (#"{"data":{"\ud83d\ude00":1}}"#, #"{"😀":2}"#, #"{"data":{"\ud83d\ude00":2}}"#),
        (#"{"data":{"a\"b":1}}"#, #"{"a\u0022b":2,"\n\u0001":3}"#, #"{"data":{"a\"b":2,"\n\u0001":3}}"#),
        (#"{"data":{"":1}}"#, #"{"":2}"#, #"{"data":{"":2}}"#),
    ])
    func `names are compared without their escapes`(base: String, data: String, expected: String) {
        #expect(Overlay.text(base, [Overlay.put(1, data)]) == expected)
    }

    @Test func `names that Unicode calls equivalent are two members`() {
        let (composed, decomposed) = ("\u{e9}", "e\u{301}")
        let text = Overlay.text("{\"data\":{\"\(composed)\":1}}", [Overlay.put(1, "{\"\(decomposed)\":2}")])
        #expect(text.map { Array($0.utf8) } == Array("{\"data\":{\"\(composed)\":1,\"\(decomposed)\":2}}".utf8))
    }

    @Test func `names inside values are not the contact's`() {
        let base = #"{"first_name":1,"data":{"links":{"first_name":2},"first_name":3},"x":{"data":{"first_name":4}}}"#
        #expect(
            Overlay.text(base, [Overlay.put(1, #"{"first_name":"n"}"#)])
                == base.replacing(#""first_name":3"#, with: #""first_name":"n""#)
        )
    }

    @Test func `a body cannot change the identifiers of its path`() {
        let base = #"{"data":{"id":"fe84f52d-d05e-4af6-b93a-08dc0110f536","number":"1"}}"#
        #expect(
            Overlay.text(base, [Overlay.put(1, #"{"id":"x","audience_id":"y","number":"2","account_id":"z"}"#)])
                == #"{"data":{"id":"fe84f52d-d05e-4af6-b93a-08dc0110f536","number":"2","account_id":"z"}}"#
        )
    }

    @Test func `fields that a write leaves out show as cached, and only an unknown reading makes that partial`() {
        let base = Array(#"{"data":{"first_name":"A","last_name":"B"}}"#.utf8)
        let expected = Array(#"{"data":{"first_name":"n","last_name":"B"}}"#.utf8)
        let changes = [Overlay.put(1, #"{"first_name":"n"}"#)]
        #expect(
            Overlay.render(base, changes, .merge) == .replaced(body: expected, pendingCount: 1, isPartial: false)
        )
        #expect(
            Overlay.render(base, changes, .unknown) == .replaced(body: expected, pendingCount: 1, isPartial: true)
        )
    }

    @Test(arguments: [
        (
            #"{"first_name":"A","last_name":"B","timestamp":"C","date":"D","number":"1","tags":[1],"update_date":"u"}"#,
            [#"{"last_name":"n"}"#],
            #"{"first_name":null,"last_name":"n","timestamp":null,"date":null,"number":"1","tags":[1],"update_date":"u"}"#
        ),
        (#"{"custom1":"C","custom2":"D"}"#, [#"{}"#], #"{"custom1":null,"custom2":null}"#),
        (#"{"first_name":"A"}"#, [#"{"date":"n"}"#], #"{"first_name":null,"date":"n"}"#),
        (#"{}"#, [#"{"first_name":"A"}"#, #"{"date":"n"}"#], #"{"date":"n"}"#),
        (#"{"first_name":"A"}"#, [#"{}"#, #"{"first_name":"n"}"#], #"{"first_name":"n"}"#),
        (#"{"custom1":"C"}"#, [#"{"timestamp":"n"}"#], #"{"custom1":"C","timestamp":"n"}"#),
        (#"{"x":1}"#, [#"{"x":2}"#, #"{"date":"n"}"#], #"{"x":2,"date":"n"}"#),
    ])
    func `a replacing write clears the known fields that it leaves out`(
        data: String,
        updates: [String],
        expected: String
    ) {
        let changes = updates.enumerated().map { Overlay.put(Int64($0.offset), $0.element) }
        #expect(
            Overlay.render(Array(#"{"data":\#(data)}"#.utf8), changes, .replace)
                == .replaced(
                    body: Array(#"{"data":\#(expected)}"#.utf8),
                    pendingCount: changes.count,
                    isPartial: false
                )
        )
    }

    @Test func `a write that sets nothing is counted all the same`() {
        let base = Array(#"{"data":{"a":1}}"#.utf8)
        #expect(
            Overlay.render(base, [Overlay.put(1, "{}")], .unknown)
                == .replaced(body: base, pendingCount: 1, isPartial: true)
        )
    }

    @Test func `delivered writes are shown but not counted, and change nothing if they say what the base says`() {
        let delivered = Overlay.put(1, #"{"a":1}"#, delivered: true)
        #expect(
            Overlay.render(Array(#"{"data":{"a":0}}"#.utf8), [delivered])
                == .replaced(body: Array(#"{"data":{"a":1}}"#.utf8), pendingCount: 0, isPartial: false)
        )
        #expect(Overlay.render(Array(#"{"data":{"a":1}}"#.utf8), [delivered]) == .unchanged)
        #expect(
            Overlay.render(Array(#"{"data":{"a":0}}"#.utf8), [Overlay.put(2, #"{"a":2}"#), delivered])
                == .replaced(body: Array(#"{"data":{"a":2}}"#.utf8), pendingCount: 1, isPartial: false)
        )
    }

    @Test func `without changes the base is not even looked at`() {
        #expect(Overlay.render(Array("not JSON".utf8), []) == .unchanged)
    }

    @Test func `a base that names another contact is left alone, any case of its own identifier is taken`() {
        let changes = [Overlay.put(1, #"{"a":1}"#)]
        let other = #"{"data":{"id":"fe84f52d-d05e-4af6-b93a-08dc0110f537"}}"#
        #expect(Overlay.render(Array(other.utf8), changes) == .notApplicable)
        for own in [
            "Fe84F52d-d05e-4AF6-b93a-08DC0110f536", #"\u0066e84f52d\u002dd05e-4af6-b93a-08dc0110f536"#, "no UUID",
        ] {
            #expect(
                Overlay.text(#"{"data":{"id":"\#(own)"}}"#, changes) == #"{"data":{"id":"\#(own)","a":1}}"#
            )
        }
    }
}
