import DexatelAPI
import ResponseCache
import Testing

@Suite struct OverlayListTests {
    private static let ids: [UInt128] = [0xA, 0xB, 0xC, 0xD]

    private static func item(_ index: Int) -> String { #"{"id":"\#(UUIDText.text(ids[index]))","a":\#(index)}"# }

    private func rendered(_ base: String, _ changes: [UInt128: [PendingChange]]) -> String? {
        guard case .replaced(let body, _) = Overlay.renderList(base, changes) else { return nil }
        return String(decoding: body, as: UTF8.self)
    }

    @Test func `items get their own contacts' changes and all else stays`() {
        let base = """
            {"pagination": {"total" :3,"links":{}}, "data":[ {"a" : 1,"id":"0000000A-0000-0000-0000-00000000000B" },
             7 , {"id":null,"a":1},{"id":"\\u0030000000a-0000-0000-0000-00000000000c","x":{"id":1}} , [] ] }
            """
        let (first, last) = (0xA_0000_0000_0000_0000_0000_000B, 0xA_0000_0000_0000_0000_0000_000C) as (UInt128, UInt128)
        let result = Overlay.renderList(
            base,
            [
                first: [Overlay.put(1, #"{"a":"n","b":[]}"#), Overlay.put(4, "{}")],
                last: [Overlay.put(2, #"{"c":2}"#, delivered: true)],
                0xD: [Overlay.put(3, #"{"a":"never"}"#)],
            ]
        )
        let expected =
            base
            .replacing(#""a" : 1,"#, with: #""a" : "n","#)
            .replacing(#"00B" }"#, with: #"00B","b":[] }"#)
            .replacing(#"{"id":1}"#, with: #"{"id":1},"c":2"#)
        #expect(result == .replaced(body: Array(expected.utf8), pendingCount: 2))
    }

    @Test func `whichever items are deleted, the rest is a list of the others`() {
        for count in 0...4 {
            for deleted in 0..<(1 << count) {
                let (open, comma, close) = ("{\"data\" : [ ", " ,\n", "\t] ,\"pagination\":{\"total\":\(count)}} ")
                let texts = (0..<count).map(Self.item)
                let base = open + texts.joined(separator: comma) + close
                var changes: [UInt128: [PendingChange]] = [0xEE: [Overlay.delete(1)]]
                for index in 0..<count where deleted & 1 << index != 0 {
                    changes[Self.ids[index]] = [Overlay.delete(Int64(index))]
                }
                let kept = (0..<count).filter { deleted & 1 << $0 == 0 }.map { texts[$0] }
                let expected = open + kept.joined(separator: comma) + close
                #expect(
                    Overlay.renderList(base, changes)
                        == (deleted == 0
                            ? .unchanged
                            : .replaced(body: Array(expected.utf8), pendingCount: count - kept.count))
                )
            }
        }
    }

    @Test func `deletions and fields mix`() {
        let base = #"{"data":["# + (0..<4).map(Self.item).joined(separator: ",") + "]}"
        let changes = [
            Self.ids[0]: [Overlay.put(1, #"{"a":"n"}"#)], Self.ids[1]: [Overlay.delete(2)],
            Self.ids[2]: [Overlay.put(3, #"{"b":1}"#)], Self.ids[3]: [Overlay.delete(4, delivered: true)],
        ]
        let expected =
            #"{"data":[{"id":"\#(UUIDText.text(0xA))","a":"n"},{"id":"\#(UUIDText.text(0xC))","a":2,"b":1}]}"#
        #expect(Overlay.renderList(base, changes) == .replaced(body: Array(expected.utf8), pendingCount: 3))
    }

    @Test func `a contact that a page shows twice is changed twice and counted once`() {
        let base = #"{"data":[\#(Self.item(0)),\#(Self.item(0))]}"#
        #expect(
            Overlay.renderList(base, [0xA: [Overlay.put(1, #"{"a":9}"#)]])
                == .replaced(body: Array(base.replacing(#""a":0"#, with: #""a":9"#).utf8), pendingCount: 1)
        )
    }

    @Test func `a replacing write clears fields of items too`() {
        let base = #"{"data":[{"first_name":"A","id":"\#(UUIDText.text(0xA))"}]}"#
        #expect(
            Overlay.renderList(base, [0xA: [Overlay.put(1, "{}")]], .replace)
                == .replaced(body: Array(base.replacing(#""A""#, with: "null").utf8), pendingCount: 1)
        )
    }

    @Test func `a page without a changed contact stays as it is`() {
        #expect(Overlay.renderList(#"{"data":[]}"#, [0xA: [Overlay.delete(1)]]) == .unchanged)
        #expect(Overlay.renderList("not JSON", [:]) == .unchanged)
        let delivered = [UInt128(0xA): [Overlay.put(1, #"{"a":0}"#, delivered: true)]]
        #expect(Overlay.renderList(#"{"data":[\#(Self.item(0))]}"#, delivered) == .unchanged)
    }

    @Test func `a long page keeps its items in order`() throws {
        let count = 30_000
        let items = (0..<count).map { #"{"id":"\#(UUIDText.text(UInt128($0)))","a":0}"# }
        var changes: [UInt128: [PendingChange]] = [:]
        for index in stride(from: 0, to: count, by: 3) {
            changes[UInt128(index)] = [Overlay.delete(1)]
            changes[UInt128(index + 1)] = [Overlay.put(1, #"{"a":1}"#)]
        }
        let text = try #require(rendered(#"{"data":["# + items.joined(separator: ",") + "]}", changes))
        let kept = (0..<count).filter { $0 % 3 != 0 }.map {
            #"{"id":"\#(UUIDText.text(UInt128($0)))","a":\#($0 % 3 == 1 ? 1 : 0)}"#
        }
        #expect(text == #"{"data":["# + kept.joined(separator: ",") + "]}")
    }
}
