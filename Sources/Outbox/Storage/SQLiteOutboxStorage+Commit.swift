import DexatelAPI
import Foundation
import GRDB
import NIOCore

extension SQLiteOutboxStorage {
    func commit(_ transaction: OutboxTransaction) throws -> CommitResult {
        var result = CommitResult()
        let hadOrders = hasOrders
        do {
            try connection().inTransaction(.immediate) { database in
                try Self.writeKeys(transaction, database)
                try Self.writeAccepts(transaction, database)
                try Self.writeAttempts(transaction, database)
                try Self.writeMoves(transaction, database)
                try Self.writeRevivals(transaction, database)
                try writeOrder(transaction, database)
                try Self.writeEnds(transaction, database)
                try Self.bury(transaction, database)
                try Self.discardDamaged(transaction, database)
                try Self.writeContacts(transaction, database)
                try Self.writeTold(transaction, database)
                result.heads = try Self.settleLanes(transaction, database)
                result.purged = try Self.purge(transaction, database)
                try Self.writeBooks(transaction, receipts: transaction.counts.receipts - result.purged, database)
                if let pause = transaction.pause {
                    try database.execute(sql: "UPDATE books SET is_paused = ?", arguments: [pause.rawValue])
                }
                return .commit
            }
        } catch {
            hasOrders = hadOrders
            throw error
        }
        mark?.note(
            OutboxMark.Position(
                nextSequence: transaction.nextSequence,
                clock: transaction.clock.milliseconds
            )
        )
        return result
    }

    // MARK: - Keys

    private static func writeKeys(_ transaction: OutboxTransaction, _ database: Database) throws {
        for key in transaction.newKeys {
            try database.execute(
                sql: """
                    INSERT INTO api_key (row, fingerprint, sealed, master_key, created_at, pending, idle_since)
                    VALUES (?, ?, ?, ?, ?, 0, ?)
                    """,
                arguments: [
                    key.row, Data(key.fingerprint.bytes), key.sealed.map { Data($0) }, Data(key.masterKeyIdentifier),
                    transaction.wallMilliseconds, transaction.clock.milliseconds,
                ]
            )
        }
        for key in transaction.sealedKeys {
            try database.execute(
                sql: "UPDATE api_key SET sealed = ?, master_key = ? WHERE row = ?",
                arguments: [key.sealed.map { Data($0) }, Data(key.masterKeyIdentifier), key.row]
            )
        }
        for row in transaction.unsealedKeys {
            try database.execute(sql: "UPDATE api_key SET sealed = NULL WHERE row = ?", arguments: [row])
        }
        for (row, successor) in transaction.successors {
            // Nothing is sent with it any more.
            try database.execute(
                sql: "UPDATE api_key SET successor = ?, sealed = NULL WHERE row = ?",
                arguments: [successor, row]
            )
        }
        var changed = Set(transaction.pendingByKey.keys).union(transaction.deadByKey.keys)
        changed.formUnion(transaction.heldByKey.keys)
        for row in changed {
            let (pending, dead) = (transaction.pendingByKey[row] ?? 0, transaction.deadByKey[row] ?? 0)
            let held = transaction.heldByKey[row] ?? 0
            guard pending != 0 || dead != 0 || held != 0 else { continue }
            try database.cachedStatement(
                sql: """
                    UPDATE api_key SET pending = pending + ?1, dead = dead + ?2, held = held + ?5,
                        idle_since = iif(pending + ?1 = 0 AND dead + ?2 = 0, ?3, NULL)
                    WHERE row = ?4
                    """
            ).execute(arguments: [pending, dead, transaction.clock.milliseconds, row, held])
        }
        for row in transaction.verifiedKeys {
            try database.cachedStatement(
                sql: "UPDATE api_key SET verified_at = coalesce(verified_at, ?), refused_at = NULL WHERE row = ?"
            ).execute(arguments: [transaction.wallMilliseconds, row])
        }
        for row in transaction.refusedKeys {
            try database.cachedStatement(sql: "UPDATE api_key SET refused_at = ? WHERE row = ?")
                .execute(arguments: [transaction.wallMilliseconds, row])
        }
        for row in transaction.takenKeys {
            try database.cachedStatement(sql: "UPDATE api_key SET refused_at = NULL WHERE row = ?")
                .execute(arguments: [row])
        }
        for (row, isHeld) in transaction.keyHolds {
            try database.cachedStatement(sql: "UPDATE api_key SET held_at = ? WHERE row = ?")
                .execute(arguments: [isHeld ? transaction.wallMilliseconds : nil, row])
        }
    }

    // MARK: - Pending writes

    private static func writeAccepts(_ transaction: OutboxTransaction, _ database: Database) throws {
        guard !transaction.accepts.isEmpty else { return }
        let insert = try database.cachedStatement(
            sql: """
                INSERT INTO pending_write (
                    sequence, nonce, contact, api_key, method, target, headers, body, stored_bytes,
                    accepted_at, accepted_clock, attempts, hold, is_ambiguous, fields, other_fields,
                    idempotency, idempotency_content, turn, checksum
                ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?, ?, ?, ?)
                """
        )
        for accept in transaction.accepts {
            let write = accept.write
            try insert.execute(arguments: [
                write.id.sequence, write.id.nonce, Data(write.contact.bytes),
                write.keyRow, write.method.rawValue, accept.payload.target, accept.headerText,
                Data(accept.payload.body.readableBytesView), write.storedBytes,
                transaction.wallMilliseconds, write.acceptedClock.milliseconds,
                write.fields.map { Int64($0.known) }, write.fields?.othersText,
                accept.idempotency.map { Data($0.key) }, accept.idempotency.map { Data($0.content) },
                accept.turn?.number ?? LaneTurn.none, accept.checksum,
            ])
        }
    }

    private static func writeAttempts(_ transaction: OutboxTransaction, _ database: Database) throws {
        for attempt in transaction.attempts {
            let after = attempt.after
            try database.cachedStatement(
                sql: """
                    UPDATE pending_write
                    SET attempts = ?, next_attempt_clock = ?, hold = ?, replay = ?, is_ambiguous = ?, last_error = ?,
                        not_found_clock = ?, attempt_log = ?, turn = iif(?3 = 0, turn, \(LaneTurn.none)),
                        outage = iif(?3 = 0, outage, 0)
                    WHERE sequence = ?
                    """
            ).execute(arguments: [
                after.attempts, after.nextAttempt?.milliseconds, after.hold.rawValue, after.replay.rawValue,
                after.isAmbiguous, attempt.lastError, after.notFoundSince?.milliseconds, after.log.text,
                after.sequence,
            ])
            try expectOneRow(database, after.sequence)
        }
    }

    private static func writeMoves(_ transaction: OutboxTransaction, _ database: Database) throws {
        for move in transaction.moves {
            let write = move.write
            if write.hold == .none { try dropLaterTurn(than: write, database) }
            try database.cachedStatement(
                sql: """
                    UPDATE pending_write SET hold = ?1, replay = ?2, next_attempt_clock = ?3,
                        turn = iif(?1 = 0, turn, \(LaneTurn.none)), outage = iif(?1 = 0, outage, 0)
                    WHERE sequence = ?4
                    """
            ).execute(arguments: [
                write.hold.rawValue, write.replay.rawValue, write.nextAttempt?.milliseconds, write.sequence,
            ])
            try expectOneRow(database, write.sequence)
            guard let payload = move.payload else { continue }
            try database.cachedStatement(
                sql: """
                    UPDATE pending_write SET body = ?, stored_bytes = ?, fields = ?, other_fields = ?
                    WHERE sequence = ?
                    """
            ).execute(arguments: [
                Data(payload.body.readableBytesView), write.storedBytes, write.fields.map { Int64($0.known) },
                write.fields?.othersText, write.sequence,
            ])
            try setChecksum(write.sequence, database)
        }
    }

    private static func setChecksum(_ sequence: Int64, _ database: Database) throws {
        try database.cachedStatement(
            sql: "UPDATE pending_write SET checksum = \(WriteChecksum.call) WHERE sequence = ?"
        ).execute(arguments: [sequence])
    }

    private static func writeRevivals(_ transaction: OutboxTransaction, _ database: Database) throws {
        for revival in transaction.revivals {
            let write = revival.write
            try dropLaterTurn(than: write, database)
            try database.cachedStatement(
                sql: """
                    INSERT INTO pending_write (
                        sequence, nonce, contact, api_key, method, target, headers, body, stored_bytes,
                        accepted_at, accepted_clock, attempts, hold, is_ambiguous, replay, fields, other_fields,
                        attempt_log, idempotency, idempotency_content, last_error
                    ) SELECT sequence, nonce, contact, api_key, method, target, headers, ?, ?,
                        accepted_at, ?, ?, ?, is_ambiguous, ?, ?, ?,
                        attempt_log, idempotency, idempotency_content, last_error
                    FROM ended_write WHERE sequence = ? AND state = 4
                    """
            ).execute(arguments: [
                Data(revival.payload.body.readableBytesView), write.storedBytes, write.acceptedClock.milliseconds,
                write.attempts, write.hold.rawValue, write.replay.rawValue, write.fields.map { Int64($0.known) },
                write.fields?.othersText, write.sequence,
            ])
            try expectOneRow(database, write.sequence)
            try setChecksum(write.sequence, database)
            try database.cachedStatement(sql: "DELETE FROM ended_write WHERE sequence = ?")
                .execute(arguments: [write.sequence])
        }
    }

    /// The books change with the entries; a write that is not where the books have it means that they are wrong.
    private static func expectOneRow(_ database: Database, _ sequence: Int64) throws {
        guard database.changesCount == 1 else {
            throw OutboxError(.damaged, "the write \(sequence) is not where the books of the outbox have it")
        }
    }

    // MARK: - Order

    /// Keeps the record of what was delivered for contacts that have writes out of order, and only for those.
    private func writeOrder(_ transaction: OutboxTransaction, _ database: Database) throws {
        for (contact, change) in transaction.outOfOrder where change > 0 {
            try database.cachedStatement(sql: Self.addToOrder).execute(arguments: [Data(contact.bytes), change])
            hasOrders = true
        }
        for end in transaction.ends where end.passes { try putUnderRule(end, database) }
        if hasOrders {
            for end in transaction.ends where end.state == .delivered {
                guard var order = try Self.order(of: end.contact, database) else { continue }
                order.delivered(end.sequence, end.write.method, end.write.fields)
                try database.cachedStatement(
                    sql: "UPDATE contact_order SET last = ?, whole = ?, fields = ? WHERE contact = ?"
                ).execute(arguments: [order.last, order.whole, order.fieldsText, Data(end.contact.bytes)])
            }
        }
        for (contact, change) in transaction.outOfOrder where change < 0 {
            let bytes = Data(contact.bytes)
            try database.cachedStatement(sql: "UPDATE contact_order SET entries = entries + ? WHERE contact = ?")
                .execute(arguments: [change, bytes])
            try database.cachedStatement(sql: "DELETE FROM contact_order WHERE contact = ? AND entries <= 0")
                .execute(arguments: [bytes])
        }
        if !transaction.outOfOrder.isEmpty { hasOrders = try Self.hasOrders(database) }
    }

    /// A write is delivered past earlier ones of its contact, whose key is held: from now on they are out of order.
    private func putUnderRule(_ end: EndRecord, _ database: Database) throws {
        let contact = Data(end.contact.bytes)
        try database.cachedStatement(
            sql: """
                UPDATE pending_write INDEXED BY pending_write_lane SET replay = \(WriteReplay.underRule.rawValue)
                WHERE contact = ? AND hold = 0 AND sequence < ? AND replay = \(WriteReplay.inOrder.rawValue)
                """
        ).execute(arguments: [contact, end.sequence])
        let count = database.changesCount - end.covered.count { $0.replay == .inOrder }
        guard count > 0 else { return }
        try database.cachedStatement(sql: Self.addToOrder).execute(arguments: [contact, count])
        hasOrders = true
    }

    private static let addToOrder = """
        INSERT INTO contact_order (contact, entries) VALUES (?1, ?2)
        ON CONFLICT (contact) DO UPDATE SET entries = entries + ?2
        """

    static func hasOrders(_ database: Database) throws -> Bool {
        try Int.fetchOne(try database.cachedStatement(sql: "SELECT 1 FROM contact_order LIMIT 1")) != nil
    }

    static func order(of contact: ContactReference, _ database: Database) throws -> ContactOrder? {
        let statement = try database.cachedStatement(
            sql: "SELECT last, whole, fields FROM contact_order WHERE contact = ?"
        )
        return try Row.fetchOne(statement, arguments: [Data(contact.bytes)]).map { row in
            try ContactOrder(last: row.value("last"), whole: row.value("whole"), fieldsText: row.value("fields"))
        }
    }

    // MARK: - Ends

    private static func writeEnds(_ transaction: OutboxTransaction, _ database: Database) throws {
        for end in transaction.ends {
            try writeEnd(end, end.write, transaction, database)
            guard !end.covered.isEmpty else { continue }
            for covered in end.covered {
                let superseded = EndRecord(
                    write: covered,
                    state: .superseded,
                    supersededBy: end.sequence,
                    keyRow: end.keyRow
                )
                try writeEnd(superseded, covered, transaction, database)
            }
        }
    }

    private static func writeEnd(
        _ end: EndRecord,
        _ write: PendingWrite,
        _ transaction: OutboxTransaction,
        _ database: Database
    ) throws {
        let keepsBody = end.state == .dead
        try database.cachedStatement(
            sql: """
                INSERT INTO ended_write (
                    sequence, nonce, state, contact, api_key, method, target, headers, body, stored_bytes,
                    fields, other_fields, accepted_at, ended_at, ended_clock, attempts, is_ambiguous, last_error,
                    response_status, response_body, superseded_by, attempt_log, idempotency, idempotency_content,
                    checksum
                ) SELECT sequence, nonce, ?1, contact, api_key, method,
                    iif(?2, target, NULL), iif(?2, headers, NULL), iif(?2, body, NULL), iif(?2, stored_bytes, 0),
                    iif(?2, fields, NULL), iif(?2, other_fields, NULL),
                    accepted_at, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
                    iif(?13, idempotency, NULL), iif(?13, idempotency_content, NULL), iif(?2, checksum, NULL)
                FROM pending_write WHERE sequence = ?12
                """
        ).execute(arguments: [
            end.state.endedCode, keepsBody, transaction.wallMilliseconds, transaction.clock.milliseconds,
            write.attempts, write.isAmbiguous, end.lastError, end.response?.status,
            end.response.map { Data($0.body) }, end.supersededBy, write.log.text, write.sequence,
            end.keepsIdempotency,
        ])
        try expectOneRow(database, write.sequence)
        try database.cachedStatement(sql: "DELETE FROM pending_write WHERE sequence = ?")
            .execute(arguments: [write.sequence])
    }

    private static func bury(_ transaction: OutboxTransaction, _ database: Database) throws {
        for sequence in transaction.buried {
            try database.cachedStatement(
                sql: """
                    UPDATE ended_write SET state = 5, target = NULL, headers = NULL, body = NULL, stored_bytes = 0,
                        fields = NULL, other_fields = NULL, ended_at = ?, ended_clock = ?
                    WHERE sequence = ? AND state = 4
                    """
            ).execute(arguments: [transaction.wallMilliseconds, transaction.clock.milliseconds, sequence])
            try expectOneRow(database, sequence)
        }
    }

    private static func discardDamaged(_ transaction: OutboxTransaction, _ database: Database) throws {
        for sequence in transaction.discardedDamaged {
            try database.execute(sql: "DELETE FROM damaged_write WHERE sequence = ?", arguments: [sequence])
            try expectOneRow(database, sequence)
        }
    }

    private static func writeTold(_ transaction: OutboxTransaction, _ database: Database) throws {
        for death in transaction.told {
            try database.execute(
                sql: "UPDATE ended_write SET told_at = ? WHERE sequence = ? AND state = 4 AND ended_at = ?",
                arguments: [transaction.wallMilliseconds, death.sequence, death.endedAtMilliseconds]
            )
        }
        for (death, next) in transaction.untold {
            try database.execute(
                sql: """
                    UPDATE ended_write SET tell_attempts = tell_attempts + 1, tell_clock = ?
                    WHERE sequence = ? AND state = 4 AND ended_at = ?
                    """,
                arguments: [next.milliseconds, death.sequence, death.endedAtMilliseconds]
            )
        }
    }

    private static func writeContacts(_ transaction: OutboxTransaction, _ database: Database) throws {
        for (contact, isStopped) in transaction.stops {
            if isStopped {
                try database.execute(
                    sql: "INSERT OR IGNORE INTO stopped_contact (contact, stopped_at) VALUES (?, ?)",
                    arguments: [Data(contact.bytes), transaction.wallMilliseconds]
                )
            } else {
                try database.execute(
                    sql: "DELETE FROM stopped_contact WHERE contact = ?",
                    arguments: [Data(contact.bytes)]
                )
            }
        }
    }

    // MARK: - Receipts and books

    static let purgeByAge = """
        DELETE FROM ended_write WHERE sequence IN (
            SELECT sequence FROM ended_write INDEXED BY ended_write_by_clock
            WHERE state <> 4 AND ended_clock < ? ORDER BY ended_clock LIMIT \(OutboxTransaction.purgeLimit)
        )
        """

    static let purgeExcess = """
        DELETE FROM ended_write WHERE sequence IN (
            SELECT sequence FROM ended_write INDEXED BY ended_write_by_clock
            WHERE state <> 4 ORDER BY ended_clock LIMIT ?
        )
        """

    private static func purge(_ transaction: OutboxTransaction, _ database: Database) throws -> Int64 {
        var purged: Int64 = 0
        if let before = transaction.purgeEndedBefore {
            try database.cachedStatement(sql: purgeByAge).execute(arguments: [before.milliseconds])
            purged += Int64(database.changesCount)
        }
        let excess = transaction.counts.receipts - purged - transaction.maxReceipts
        if excess > 0 {
            try database.cachedStatement(sql: purgeExcess)
                .execute(arguments: [min(excess, OutboxTransaction.excessLimit)])
            purged += Int64(database.changesCount)
        }
        return purged
    }

    /// Changes the columns that this release knows: a newer one may have added others, which must keep what is in them.
    private static func writeBooks(
        _ transaction: OutboxTransaction,
        receipts: Int64,
        _ database: Database
    ) throws {
        let counts = transaction.counts
        try database.cachedStatement(
            sql: """
                INSERT INTO books (
                    one, accepted, pending, held, delivered, rejected, superseded, dead, discarded, damaged,
                    stored_bytes, receipts, next_sequence, clock_relay, clock_wall
                ) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (one) DO UPDATE SET (
                    accepted, pending, held, delivered, rejected, superseded, dead, discarded, damaged, stored_bytes,
                    receipts, next_sequence, clock_relay, clock_wall
                ) = (
                    excluded.accepted, excluded.pending, excluded.held, excluded.delivered, excluded.rejected,
                    excluded.superseded, excluded.dead, excluded.discarded, excluded.damaged, excluded.stored_bytes,
                    excluded.receipts, excluded.next_sequence, excluded.clock_relay, excluded.clock_wall
                )
                """
        ).execute(arguments: [
            counts.accepted, counts.pending, counts.held, counts.delivered, counts.rejected, counts.superseded,
            counts.dead, counts.discarded, counts.damaged, counts.storedBytes, receipts, transaction.nextSequence,
            transaction.clock.milliseconds, transaction.wallMilliseconds,
        ])
    }
}
