import Foundation
import GRDB
import Testing

@testable import Outbox

/// What is asked often costs the size of its answer, not that of the queue.
@Suite struct QueryPlanTests {
    private static let queries: [(String, String)] = [
        ("ready", SQLiteOutboxStorage.ready), ("next turn", SQLiteOutboxStorage.next),
        ("heads", SQLiteOutboxStorage.head), ("followers", SQLiteOutboxStorage.behind),
        ("next of a key", SQLiteOutboxStorage.nextOfKey), ("lanes of a key", SQLiteOutboxStorage.lanes),
        ("waiting for the upstream", SQLiteOutboxStorage.waitingForUpstream),
        ("contacts", SQLiteOutboxStorage.contacts(isHeld: false)),
        ("contacts with held writes", SQLiteOutboxStorage.contacts(isHeld: true)),
        ("by age", SQLiteOutboxStorage.accepted), ("held by key", SQLiteOutboxStorage.heldByKey),
        ("due", SQLiteOutboxStorage.heldDue),
        ("next due", SQLiteOutboxStorage.nextDue), ("purge by age", SQLiteOutboxStorage.purgeByAge),
        ("purge of the oldest", SQLiteOutboxStorage.purgeExcess), ("purge by key", SQLiteOutboxStorage.purgeByKey),
        ("idempotency", SQLiteOutboxStorage.byIdempotency), ("untold", SQLiteOutboxReader.untoldNew),
        ("how many untold", SQLiteOutboxReader.untold),
        ("due to be told", SQLiteOutboxReader.untoldDue),
    ]

    @Test(arguments: queries)
    func `a query steps along an index and sorts nothing`(_ name: String, _ sql: String) throws {
        let directory = try TemporaryDirectory()
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        let plan = try storage.withConnection { database in
            let arguments = StatementArguments(
                repeatElement(1, count: sql.contains("?1") ? 1 : sql.count { $0 == "?" })
            )
            return try Row.fetchAll(database, sql: "EXPLAIN QUERY PLAN " + sql, arguments: arguments)
                .map { $0["detail"] as String }
        }
        let details = try #require(plan)
        #expect(!details.isEmpty)
        for detail in details {
            #expect(!detail.contains("TEMP B-TREE"), "\(details)")
            // Stepping along a partial index from its beginning is what the queue of a few is for.
            let scansAnIndex = detail.hasPrefix("SCAN") && detail.contains("USING")
            let scansBoundedPart = detail.hasPrefix("SCAN (subquery") || detail == "SCAN part"
            #expect(!detail.hasPrefix("SCAN") || scansAnIndex || scansBoundedPart, "\(details)")
        }
        storage.close()
    }

    @Test func `the counts of the dead are read from an index alone`() throws {
        let directory = try TemporaryDirectory()
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        for sql in [SQLiteOutboxStorage.deadCounts] {
            let plan = try storage.withConnection {
                try Row.fetchAll($0, sql: "EXPLAIN QUERY PLAN " + sql).map { $0["detail"] as String }
            }
            #expect(plan?.contains { $0.contains("COVERING INDEX") } == true, "\(plan ?? [])")
            #expect(plan?.contains { $0.contains("TEMP B-TREE") } == false, "\(plan ?? [])")
        }
        storage.close()
    }
}
