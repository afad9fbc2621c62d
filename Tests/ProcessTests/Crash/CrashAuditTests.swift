import AdminAPI
import Testing

/// The auditor of the crash test finds what it is there to find.
@Suite struct CrashAuditTests {
    private static let contact = "00000000-0000-4000-8000-000000000001"

    /// A history in which everything is as promised.
    private struct Story {
        var history = CrashHistory()

        /// A write that was answered 202, and its receipt.
        mutating func accept(
            _ tag: String,
            _ state: String,
            key: CrashWrite.Key = .first,
            method: CrashWrite.WriteVerb = .put,
            fields: Set<String> = ["first_name"],
            attempts: [(status: Int, isApplied: Bool)] = [],
            supersededBy: String? = nil
        ) {
            let sequence = Int64(history.receipts.count + 1)
            history.writes.append(
                CrashWrite(
                    tag: tag,
                    contact: contact,
                    key: key,
                    method: method,
                    fields: fields,
                    outcome: .acknowledged(id: "id-\(tag)", status: 202)
                )
            )
            history.receipts["id-\(tag)"] = Receipt(
                id: "id-\(tag)",
                state: state,
                method: method.rawValue,
                audienceId: "",
                contactId: contact,
                sequence: sequence,
                attempts: attempts.count,
                ambiguous: false,
                lastError: state == "dead" ? "status 400" : nil,
                response: state == "dead" ? Receipt.Response(status: 400) : nil,
                supersededBy: supersededBy.map { "id-\($0)" }
            )
            for attempt in attempts { see(tag, attempt.status, attempt.isApplied) }
            history.books.accepted += 1
            switch state {
            case "delivered": history.books.delivered += 1
            case "superseded": history.books.superseded += 1
            case "dead": history.books.dead += 1
            case "held":
                (history.books.pending, history.books.held) = (history.books.pending + 1, history.books.held + 1)
            default: history.books.pending += 1
            }
        }

        mutating func see(_ tag: String, _ status: Int, _ isApplied: Bool) {
            history.attempts.append(CrashAttempt(tag: tag, contact: contact, status: status, isApplied: isApplied))
        }

        var findings: [String] { CrashAudit(history).findings }
    }

    private static func story(_ tell: (inout Story) -> Void) -> Story {
        var story = Story()
        tell(&story)
        return story
    }

    @Test(
        "A history that is as promised has no findings: repeats in a row, a death, a superseded run, an unknown write"
    )
    func good() {
        var story = Self.story { story in
            story.accept("w0", "delivered", attempts: [(0, true), (200, true)])
            story.accept("w1", "dead", attempts: [(500, false), (400, false)])
            story.accept("w2", "superseded", supersededBy: "w3")
            story.accept("w3", "superseded", fields: ["first_name", "date"], supersededBy: "w4")
            story.accept("w4", "delivered", method: .delete, attempts: [(204, true)])
        }
        story.history.writes.append(CrashWrite(tag: "w5", contact: Self.contact, key: .first, method: .put))
        story.see("w5", 200, true)
        story.history.books.accepted += 1
        story.history.books.delivered += 1
        let audit = CrashAudit(story.history)
        #expect(audit.findings == [])
        #expect(audit.tally.repeats == 1)
        #expect(audit.tally.unknownSeen == 1)
        #expect(audit.tally.superseded == 2)
    }

    @Test("An acknowledged write without a receipt is found")
    func lost() {
        var story = Self.story { $0.accept("w0", "delivered", attempts: [(200, true)]) }
        story.history.receipts = [:]
        #expect(story.findings.contains { $0.contains("is lost") })
    }

    @Test("A write that is called delivered, and that the upstream has not taken, is found")
    func neverTaken() {
        #expect(Self.story { $0.accept("w0", "delivered", attempts: [(500, false)]) }.findings.count == 1)
    }

    @Test("A write that has not ended is found")
    func unfinished() {
        #expect(Self.story { $0.accept("w0", "pending") }.findings.contains { $0.contains("has not ended") })
    }

    @Test("A death that the upstream knows nothing of is found")
    func deadOfNothing() {
        #expect(Self.story { $0.accept("w0", "dead", attempts: [(500, false)]) }.findings.count == 1)
    }

    @Test("Superseding by a write that leaves a field out, has another key or comes before is found")
    func uncovered() {
        let fewer = Self.story { story in
            story.accept("w0", "superseded", fields: ["first_name", "date"], supersededBy: "w1")
            story.accept("w1", "delivered", attempts: [(200, true)])
        }
        #expect(fewer.findings.count == 1)
        let otherKey = Self.story { story in
            story.accept("w0", "superseded", supersededBy: "w1")
            story.accept("w1", "delivered", key: .second, attempts: [(200, true)])
        }
        #expect(otherKey.findings.count == 1)
        let backwards = Self.story { story in
            story.accept("w0", "delivered", attempts: [(200, true)])
            story.accept("w1", "superseded", supersededBy: "w0")
        }
        #expect(backwards.findings.count == 1)
        let byTheDead = Self.story { story in
            story.accept("w0", "superseded", supersededBy: "w1")
            story.accept("w1", "dead", attempts: [(400, false)])
        }
        #expect(byTheDead.findings.count == 1)
    }

    @Test("Attempts out of the order of sequence, and a repeat after a later write, are found")
    func disorder() {
        var swapped = Self.story { story in
            story.accept("w0", "delivered")
            story.accept("w1", "delivered")
        }
        swapped.see("w1", 200, true)
        swapped.see("w0", 200, true)
        #expect(swapped.findings.count == 1)
        var late = Self.story { story in
            story.accept("w0", "delivered", attempts: [(200, true)])
            story.accept("w1", "delivered", attempts: [(200, true)])
        }
        late.see("w0", 200, true)
        #expect(late.findings.contains { $0.contains("again") })
    }

    @Test("A write may be repeated after what it had covered, and after nothing else")
    func coveredAfterwards() {
        for (fields, isRight) in [(["first_name", "date"], true), (["date"], false)] as [(Set<String>, Bool)] {
            var story = Self.story { story in
                story.accept("w0", "delivered")
                story.accept("w1", "delivered", fields: fields)
            }
            for status in [0, 404] { story.see("w1", status, status == 0) }
            story.see("w0", 200, true)
            story.see("w1", 200, true)
            #expect(story.findings.isEmpty == isRight, "\(story.findings)")
        }
    }

    @Test("A held write is right where a later one overtook it after a refusal, and wrong elsewhere")
    func held() {
        let right = Self.story { story in
            story.accept("w0", "held", attempts: [(403, false)])
            story.accept("w1", "delivered", attempts: [(200, true)])
        }
        #expect(right.findings == [])
        let alone = Self.story { $0.accept("w0", "held", attempts: [(403, false)]) }
        #expect(alone.findings.count == 1)
        let unprovoked = Self.story { story in
            story.accept("w0", "held")
            story.accept("w1", "delivered", attempts: [(200, true)])
        }
        #expect(unprovoked.findings.count == 1)
    }

    @Test("Books that do not balance, or know fewer writes than the upstream has seen, are found")
    func books() {
        var lopsided = Self.story { $0.accept("w0", "delivered", attempts: [(200, true)]) }
        lopsided.history.books.accepted += 1
        #expect(lopsided.findings.contains { $0.contains("do not balance") })
        var early = Self.story { $0.accept("w0", "delivered", attempts: [(200, true)]) }
        early.history.writes.append(CrashWrite(tag: "w1", contact: Self.contact, key: .first, method: .put))
        early.see("w1", 200, true)
        #expect(early.findings.contains { $0.contains("not in the books") })
    }

    @Test("A write that was refused before it was stored is found at the upstream")
    func refusedAndSent() {
        var story = Story()
        story.history.writes.append(
            CrashWrite(
                tag: "w0",
                contact: Self.contact,
                key: .first,
                method: .put,
                outcome: .refused(id: nil, status: 503)
            )
        )
        #expect(story.findings == [])
        story.see("w0", 200, true)
        #expect(story.findings.contains { $0.contains("was refused") })
    }
}
