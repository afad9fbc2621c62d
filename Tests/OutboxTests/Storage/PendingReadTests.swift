import DexatelAPI
import NIOCore
import Testing

@testable import Outbox

/// What a read takes of the pending writes of its contacts (P5, P8).
@Suite struct PendingReadTests {
    private func bodies(
        _ lanes: LaneHarness,
        _ contacts: [Int] = [1],
        maxBytes: Int = 1 << 20
    ) async throws -> (bodies: [String?], isComplete: Bool) {
        let found = try await lanes.engine.reader.pendingWrites(
            to: contacts.map(Sample.contact),
            keyRows: [1],
            semantics: .unknown,
            limit: 100,
            maxBytes: maxBytes
        )
        return (found.writes.map { $0.body.map { String(buffer: $0) } }, found.isComplete)
    }

    @Test func `only bodies that set something which no later write sets are read, and all writes count`() async throws
    {
        let lanes = try LaneHarness()
        for fields in [["date"], ["tags"], ["date", "first_name"], ["date"], ["date"]] {
            lanes.accept(1, fields: fields)
        }
        let found = try await bodies(lanes)
        #expect(found.isComplete)
        #expect(
            found.bodies == [
                nil, #"{"data":{"tags":"2"}}"#, #"{"data":{"date":"3","first_name":"3"}}"#, nil,
                #"{"data":{"date":"5"}}"#,
            ]
        )
    }

    @Test func `nothing before a DELETE is read, and what sets nobody knows what always is`() async throws {
        let lanes = try LaneHarness()
        lanes.accept(1, fields: ["date"])
        lanes.accept(1, fields: nil)
        lanes.accept(1, method: .delete)
        lanes.accept(1, fields: nil)
        lanes.accept(1, fields: ["date"])
        let unknown = #"{"data":{},"other":1}"#
        #expect(try await bodies(lanes).bodies == [nil, nil, "", unknown, #"{"data":{"date":"5"}}"#])
    }

    @Test func `so many bytes are read for one reply, and it says when something is missing`() async throws {
        let lanes = try LaneHarness()
        for contact in 1...3 { lanes.accept(contact, fields: ["date"]) }
        let found = try await bodies(lanes, [1, 2, 3], maxBytes: 30)
        #expect(!found.isComplete && found.bodies.count == 3 && found.bodies.compactMap { $0 }.count == 2)
        #expect(try await bodies(lanes, [1, 2, 3]).isComplete)
    }
}
