import DexatelAPI
import NIOCore
import NIOHTTP1
import Testing

@testable import Outbox

/// The table of the replay rule (design §3.3), and what it goes by.
@Suite struct ReplayRuleTests {
    private func judge(
        _ body: String,
        _ order: ContactOrder?,
        _ semantics: PutSemantics,
        method: WriteMethod = .put,
        target: String = "/x",
        forced: Bool = false
    ) -> ReplayRule {
        ReplayRule.judge(
            sequence: 5,
            method: method,
            payload: WritePayload(target: target, headers: [:], body: ByteBuffer(string: body)),
            order: order,
            semantics: semantics,
            isForced: forced
        )
    }

    private func order(_ deliveries: [(Int64, [String]?)]) -> ContactOrder {
        var order = ContactOrder()
        for (sequence, names) in deliveries { order.delivered(sequence, .put, names.flatMap { FieldSet(names: $0) }) }
        return order
    }

    private let body = #"{"data":{"date":"1","tags":[1]}}"#

    @Test(arguments: PutSemantics.allCases)
    func `what nothing later was delivered for, and what is forced, is sent as it is`(_ semantics: PutSemantics) {
        #expect(judge(body, nil, semantics) == .asItIs)
        #expect(judge(body, order([(4, ["date"]), (3, nil)]), semantics) == .asItIs)
        #expect(judge(body, order([(6, nil)]), semantics, forced: true) == .asItIs)
    }

    @Test(arguments: [PutSemantics.unknown, .replace])
    func `any later delivery refuses, where nobody knows that the upstream merges`(_ semantics: PutSemantics) {
        for names in [["date"], ["first_name"], []] {
            #expect(judge(body, order([(6, names)]), semantics) == .overtaken)
        }
    }

    @Test func `where it merges, later deliveries take away what they set`() {
        #expect(judge(body, order([(6, ["first_name"])]), .merge) == .asItIs)
        #expect(judge(body, order([(6, ["date"]), (7, ["tags"])]), .merge) == .nothingLeft(by: 7))
        guard case .without(let payload, let fields) = judge(body, order([(6, ["custom2"])]), .merge) else {
            Issue.record("the date is left out")
            return
        }
        #expect(String(buffer: payload.body) == #"{"data":{"tags":[1]}}"#)
        #expect(fields == FieldSet(names: ["tags"]))
    }

    @Test func `where it merges, nothing that cannot be taken apart is sent`() {
        let later = order([(6, ["date"])])
        #expect(judge(#"{"data":{"date":"1"},"other":1}"#, later, .merge) == .overtaken)
        #expect(judge(body, later, .merge, target: "/x?y=1") == .overtaken)
        #expect(judge("", later, .merge, method: .delete) == .overtaken)
        #expect(judge(body, order([(6, nil)]), .merge) == .overtaken)
        var deleted = ContactOrder()
        deleted.delivered(6, .delete, .empty)
        #expect(judge(body, deleted, .merge) == .overtaken)
    }

    // MARK: - What it goes by

    @Test func `an order reads back from its text, and one that does not says that all was set`() {
        let order = order([(3, ["date", "a\"b"]), (9, ["tags"])])
        #expect(ContactOrder(last: order.last, whole: order.whole, fieldsText: order.fieldsText) == order)
        #expect(ContactOrder(last: 9, whole: 0, fieldsText: "nonsense").whole == 9)
    }

    @Test func `an order has a bound, past which a delivery counts as one of everything`() {
        var order = ContactOrder()
        for number in 1...ContactOrder.maxFields {
            order.delivered(Int64(number), .put, FieldSet(names: ["f\(number)"]))
        }
        #expect(order.whole == 0)
        order.delivered(100, .put, FieldSet(names: ["f1"]))
        #expect(order.whole == 0 && order.fields["f1"] == 100)
        order.delivered(101, .put, FieldSet(names: ["another"]))
        #expect(order.whole == 101 && order.fields.count == ContactOrder.maxFields)
    }

    @Test func `a set of fields reads back, and has bounds`() throws {
        for names in [[], ["date"], ["first_name", "last_name", "timestamp", "date", "tags", "number"]] {
            let set = try #require(FieldSet(names: names))
            #expect(FieldSet(storedKnown: Int64(set.known), othersText: set.othersText) == set)
            #expect(Set(set.names) == Set(names))
        }
        #expect(FieldSet(names: (0...FieldSet.maxOthers).map { "f\($0)" }) == nil)
        #expect(FieldSet(names: [String(repeating: "x", count: FieldSet.maxOtherBytes + 1)]) == nil)
        #expect(FieldSet(names: ["é"]) == nil, "one string, but not always the same bytes")
        #expect(FieldSet(storedKnown: nil, othersText: nil) == nil)
        #expect(FieldSet(storedKnown: 1, othersText: "nonsense") == nil)
    }

    @Test func `the last attempts read back, five at most`() {
        var log = AttemptLog()
        for number in 1...7 {
            log.append(
                .init(
                    startedAtMilliseconds: Int64(number),
                    durationMilliseconds: 2,
                    status: number % 2 == 0 ? 503 : nil,
                    error: number % 2 == 0 ? nil : "timed out after 10 s"
                )
            )
        }
        #expect(log.entries.map(\.startedAtMilliseconds) == [3, 4, 5, 6, 7])
        #expect(AttemptLog(text: log.text) == log)
        #expect(AttemptLog(text: nil) == AttemptLog() && AttemptLog().text == nil)
    }
}
