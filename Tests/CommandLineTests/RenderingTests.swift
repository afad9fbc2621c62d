import AdminAPI
import Testing

@testable import contact_relay

/// What operators see, in 80 columns.
@Suite struct RenderingTests {
    private static let name = ContactName(
        audienceId: "22089fd7-7b74-4815-8452-3a8e864affbc",
        contactId: "fe84f52d-d05e-4af6-b93a-08dc0110f536"
    )

    /// A write with everything as wide as it gets.
    private static func widest() -> WriteSummary {
        var write = WriteSummary(
            id: "7zzzzzzzzzzzzzzzzzzzzzzzzz",
            state: "held",
            method: "DELETE",
            contact: name,
            sequence: .max
        )
        write.hold = "overtaken"
        write.keyFingerprint = "a7dccb9467ff"
        write.ageMilliseconds = 119 * 60_000
        write.attempts = 12_345
        write.responseStatus = 422
        write.errorCode = 1361
        write.lastError = String(repeating: "unreachable ", count: 20)
        write.ambiguous = true
        return write
    }

    @Test func `a listing never takes more than 80 columns`() {
        var listing = WriteListing()
        let lines = [WriteListing.header] + listing.lines(Self.widest()) + [listing.footer]
        for line in lines { #expect(line.count <= 80, "\(line)") }
        #expect(lines[1].hasPrefix("7zzzzzzzzzzzzzzzzzzzzzzzzz held (overtaken)"))
        #expect(lines[2] == "  \(Self.name)")
        #expect(lines[3].hasPrefix("  status 422, code 1361, unreachable") && lines[3].hasSuffix("…"))
        // Each column stands under its name.
        for (name, value) in [("STATE", "held"), ("METHOD", "DELETE"), ("KEY", "a7dc")] {
            #expect(lines[0].firstRange(of: name)?.lowerBound == lines[1].firstRange(of: value)?.lowerBound)
        }
    }

    @Test func `a listing counts writes and bytes`() {
        var listing = WriteListing()
        #expect(listing.footer == "no writes")
        var write = Self.widest()
        write.storedBytes = 512
        _ = listing.lines(write)
        #expect(listing.footer == "-- 1 write, 512 B")
        for _ in 0..<1_023 { _ = listing.lines(write) }
        #expect(listing.footer == "-- 1 024 writes, 512.0 KiB")
    }

    @Test func `what comes from elsewhere cannot move a terminal's cursor`() {
        var write = Self.widest()
        write.lastError = "\u{1B}[2J\r\u{9B}31mred\u{202E}\nline"
        var detail = WriteDetail(write: write, lastAttempts: [])
        detail.responseBody = "\u{1B}]0;title\u{7}\nsecond"
        detail.headers = [["X-Odd", "\u{1B}c"]]
        detail.body = #"{"data":{"first_name":"\u001b[31m"}}"#
        var listing = WriteListing()
        let text = listing.lines(write).joined(separator: "\n") + WriteDetailPage(detail).text
        #expect(!text.unicodeScalars.contains { ["\u{1B}", "\r", "\u{9B}", "\u{202E}", "\u{7}"].contains($0) })
        #expect(text.contains("\n  second"))
    }

    @Test(arguments: [
        (0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (67_108_864, "64.0 MiB"),
        (3 << 30, "3.0 GiB"),
    ])
    func `bytes are told in the unit that fits`(_ bytes: Int, _ text: String) {
        #expect(ByteText.text(bytes) == text)
    }

    @Test func `keys are shown by the beginning of their fingerprints, in 80 columns`() {
        var refused = KeyList.Item(
            fingerprint: "a7dccb9467ffce8f73e856261a8ca5cf",
            createdAt: "2026-01-01T00:00:00.000Z"
        )
        refused.refusedAt = "2026-01-02T03:04:05.678Z"
        (refused.pending, refused.held, refused.dead) = (1_000_000, 1_000_000, 100_000)
        var replaced = KeyList.Item(fingerprint: "b" + refused.fingerprint.dropFirst(), createdAt: refused.createdAt)
        replaced.successor = refused.fingerprint
        let lines = KeyListing(keys: [refused, replaced]).text.split(separator: "\n")
        #expect(lines.count == 3)
        for line in lines { #expect(line.count <= 80) }
        #expect(lines[1].hasPrefix("a7dccb9467ff  refused") && lines[1].hasSuffix("2026-01-02T03:04:05Z"))
        #expect(lines[2].hasPrefix("b7dccb9467ff  replaced") && lines[2].hasSuffix("by a7dccb9467ff"))
        #expect(KeyListing(keys: []).text == "the queue refers to no key")
    }

    @Test func `a report says what was left, and why`() {
        var reply = WriteChangeReply()
        reply.changed = 1_204
        var part = WriteChangeReply()
        part.refused = 2
        part.reasons = [.init(reason: "overtaken", count: 1), .init(reason: "in_flight", count: 1)]
        part.refusals = [.init(id: "a", reason: "overtaken"), .init(id: "b", reason: "in_flight")]
        reply.add(part)
        let lines = ChangeReport(command: .retry, reply: reply).text.split(separator: "\n")
        #expect(lines.prefix(2) == ["1 204 will be sent again", "2 left as they are:"])
        #expect(lines.contains { $0.contains("--force") })
        #expect(lines.suffix(2) == ["  a  overtaken", "  b  in_flight"])
        for reason in ["other_state", "in_flight", "overtaken", "nothing_left", "key_refused", "contact_stopped"] {
            #expect(ChangeReport.meaning(reason) != reason)
            #expect(ChangeReport.meaning(reason).count <= 68)
        }
    }

    @Test func `parts of a change add up`() {
        var sum = WriteChangeReply()
        for number in 1...3 {
            var part = WriteChangeReply()
            (part.changed, part.refused) = (number, 60)
            part.reasons = [.init(reason: "overtaken", count: 60)]
            part.refusals = (0..<60).map { .init(id: "\($0)", reason: "overtaken") }
            part.next = number < 3 ? Int64(number) : nil
            sum.add(part)
        }
        #expect(sum.changed == 6 && sum.refused == 180 && sum.next == nil)
        #expect(sum.reasons == [.init(reason: "overtaken", count: 180)])
        #expect(sum.refusals.count == WriteChangeReply.maxRefusals)
    }
}
