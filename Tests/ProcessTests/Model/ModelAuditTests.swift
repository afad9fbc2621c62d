import Testing

/// The auditor of the model test finds what it is there to find.
@Suite struct ModelAuditTests {
    /// One contact of the first key, and what happened to it; moments are small numbers.
    private struct Story {
        var history = ModelHistory()

        init() { history.owners = [.first] }

        /// A write of `first_name`, or a DELETE; it takes one moment.
        mutating func write(
            _ number: Int,
            at moment: Int64,
            status: Int = 202,
            state: String? = "delivered",
            applied: Int64? = nil,
            isDelete: Bool = false
        ) {
            var write = ModelWrite(number: number, contact: 0, isDelete: isDelete, began: moment, ended: moment + 1)
            write.sets[0] = !isDelete
            write.outcome =
                status < 300 ? .acknowledged(id: "id\(number)", status: status) : .refused(id: nil, status: status)
            history.writes.append(write)
            if status == 202 { history.states["id\(number)"] = state }
            history.applied[number] = applied
            history.lastAttempt[number] = applied
        }

        mutating func read(
            _ value: Int?,
            at moment: Int64,
            key: ModelKey = .first,
            page: Int = 0,
            isStale: Bool = false,
            pending: Int = 0
        ) {
            var reading = ModelReading(
                key: key,
                contact: 0,
                pageSize: page,
                began: moment,
                ended: moment + 1,
                seen: .gone
            )
            if let value { reading.seen = .values([value, -1, -1, -1]) }
            (reading.isMarkedStale, reading.pending) = (isStale, pending)
            history.readings.append(reading)
        }

        var findings: [String] { ModelAudit(history).findings }
    }

    private static func findings(_ tell: (inout Story) -> Void) -> [String] {
        var story = Story()
        tell(&story)
        return story.findings
    }

    @Test("A history that is as promised has no findings")
    func good() {
        let findings = Self.findings { story in
            story.read(-1, at: 0)
            story.write(1, at: 10, applied: 30)
            story.read(1, at: 20, pending: 1)
            story.read(-1, at: 20, key: .watcher)
            story.read(1, at: 40)
            story.write(2, at: 50, state: "dead", applied: 70)
            story.read(2, at: 60, pending: 1)
            story.read(1, at: 80)
            story.write(3, at: 90, status: 400)
            story.read(1, at: 100)
            story.write(4, at: 110, status: 200, applied: 110)
            story.read(1, at: 120, key: .watcher, isStale: true)
            story.read(4, at: 130, key: .watcher, page: 5)
            story.write(5, at: 140, applied: 150, isDelete: true)
            story.read(nil, at: 145, pending: 1)
            story.read(nil, at: 160, key: .watcher, page: 100)
        }
        #expect(findings == [])
    }

    @Test("An own acknowledged write that is not shown is found, on a page as well", arguments: [0, 10])
    func lostWrite(page: Int) {
        let findings = Self.findings { story in
            story.write(1, at: 10, applied: 15)
            story.write(2, at: 20, applied: 90)
            story.read(1, at: 30, page: page, pending: 1)
        }
        #expect(findings.count == 1 && findings.first?.contains("older than w2") == true)
    }

    @Test("A write that was to die later has to be shown until then")
    func deadWrite() {
        let findings = Self.findings { story in
            story.write(1, at: 10, state: "dead", applied: 50)
            story.read(-1, at: 20, pending: 1)
        }
        #expect(findings.count == 1)
    }

    @Test("A value that was refused, or that nobody wrote, is found")
    func wrongValue() {
        let findings = Self.findings { story in
            story.write(1, at: 10, status: 400)
            story.read(1, at: 20)
            story.read(7, at: 30)
        }
        #expect(findings.count == 2)
    }

    @Test("Another key's pending write is found, and that it is counted")
    func isolation() {
        let findings = Self.findings { story in
            story.write(1, at: 10, applied: 50)
            story.read(1, at: 20, key: .watcher, pending: 1)
        }
        #expect(findings.count == 2)
    }

    @Test("What is called fresh after a delivery and is older is found")
    func falselyFresh() {
        let findings = Self.findings { story in
            story.write(1, at: 10, status: 200, applied: 10)
            story.read(-1, at: 20, key: .watcher)
        }
        #expect(findings.count == 1 && findings.first?.contains("called fresh") == true)
    }

    @Test("An older value after a newer one is found")
    func goesBack() {
        let findings = Self.findings { story in
            story.write(1, at: 10, applied: 12)
            story.read(1, at: 20, key: .watcher, isStale: true)
            story.read(-1, at: 30, key: .watcher, isStale: true)
        }
        #expect(findings.count == 1 && findings.first?.contains("had been w1") == true)
    }

    @Test("A contact that is there after its deletion, or gone without one, is found")
    func deletion() {
        let findings = Self.findings { story in
            story.read(nil, at: 5)
            story.write(1, at: 10, applied: 40, isDelete: true)
            story.read(-1, at: 20, page: 10)
            story.read(nil, at: 30, key: .watcher)
        }
        #expect(findings.count == 3)
    }

    @Test("A count of pending writes that is missing or too high is found")
    func pendingCount() {
        let findings = Self.findings { story in
            story.write(1, at: 10, applied: 90)
            story.read(1, at: 20)
            story.read(1, at: 30, pending: 2)
        }
        #expect(findings.count == 2)
    }

    @Test("A reply to a refused key is found, unless the upstream has let it in again")
    func refusedKey() {
        let findings = Self.findings { story in
            story.history.attempts[.first] = [(5_000, 200), (20_000, 401), (40_000, 200)]
            story.history.refusals = [(.first, began: 19_000, ended: 21_000)]
            story.read(-1, at: 10_000)
            story.read(-1, at: 30_000)
            story.read(-1, at: 50_000)
        }
        #expect(findings.count == 1 && findings.first?.contains("was refused") == true)
    }

    @Test("A write that has not ended is found")
    func unended() {
        #expect(Self.findings { $0.write(1, at: 10, state: "pending") }.count == 1)
    }
}
