import Foundation
import GRDB
import HTTPWire
import NIOCore

/// A stored reply as a row of `cache.sqlite` holds it.
struct DiskReply {
    /// What is to be told of a reply's freshness beside its numbers.
    struct Flags: OptionSet {
        let rawValue: Int64
        static let mustAlwaysValidate = Flags(rawValue: 1)
        static let forbidsStale = Flags(rawValue: 2)
        static let isInvalidated = Flags(rawValue: 4)
    }

    var target: String
    var vary: String?
    /// The change by which it was stored.
    var sequence: UInt64
    /// All three on the disk's clock (``DiskTime``).
    var requestedMilliseconds: Int64
    var heldUpToMilliseconds: Int64
    var bornMilliseconds: Int64
    var lifetimeSeconds: Int64
    var staleWhileRevalidateSeconds: Int64
    var staleIfErrorSeconds: Int64
    var staleIfDisconnectedSeconds: Int64
    var flags: Flags
    var status: Int
    var dateUnixSeconds: Int64
    /// Lines of `name: value`, each ended by a line feed.
    var fields: Data
    var body: Data

    /// Takes down a change.
    init(_ change: CacheJournal.StoredChange, _ time: DiskTime) {
        let response = change.response
        target = change.key.target
        vary = response.vary?.text
        sequence = change.sequence
        requestedMilliseconds = time.disk(monotonicMilliseconds: response.requestedMilliseconds)
        heldUpToMilliseconds = time.disk(monotonicMilliseconds: response.heldUpToMilliseconds)
        bornMilliseconds = time.disk(monotonicMilliseconds: response.freshness.bornMilliseconds)
        lifetimeSeconds = response.freshness.lifetimeSeconds
        staleWhileRevalidateSeconds = response.freshness.staleWhileRevalidateSeconds
        staleIfErrorSeconds = response.freshness.staleIfErrorSeconds
        staleIfDisconnectedSeconds = response.freshness.staleIfDisconnectedSeconds
        flags = []
        if response.freshness.mustAlwaysValidate { flags.insert(.mustAlwaysValidate) }
        if response.freshness.forbidsStale { flags.insert(.forbidsStale) }
        if change.isInvalidated { flags.insert(.isInvalidated) }
        status = response.status
        dateUnixSeconds = response.dateUnixSeconds
        fields = Data(response.fieldLines)
        body = Data(response.body.readableBytesView)
    }

    /// Reads a row; every value may be of any kind, as the file may be damaged.
    init(_ row: Row) throws {
        target = try row.decode(forColumn: "target")
        vary = try row.decode(forColumn: "vary")
        sequence = UInt64(bitPattern: try row.decode(Int64.self, forColumn: "sequence"))
        requestedMilliseconds = try row.decode(forColumn: "requested")
        heldUpToMilliseconds = try row.decode(forColumn: "held")
        bornMilliseconds = try row.decode(forColumn: "born")
        lifetimeSeconds = try row.decode(forColumn: "lifetime")
        staleWhileRevalidateSeconds = try row.decode(forColumn: "stale_while_revalidate")
        staleIfErrorSeconds = try row.decode(forColumn: "stale_if_error")
        staleIfDisconnectedSeconds = try row.decode(forColumn: "stale_if_disconnected")
        flags = Flags(rawValue: try row.decode(forColumn: "flags"))
        status = Int(try row.decode(Int64.self, forColumn: "status"))
        dateUnixSeconds = try row.decode(forColumn: "date")
        fields = try row.decode(forColumn: "fields")
        body = try row.decode(forColumn: "body")
    }

    /// Over everything, the partition included: what the disk has changed is not served.
    func checksum(_ partition: CachePartition) -> Int64 {
        var hash = StableHash()
        switch partition {
        case .shared: hash.combine(0 as UInt64)
        case .key(let high, let low):
            hash.combine(1 as UInt64)
            hash.combine(high)
            hash.combine(low)
        }
        hash.combine(text: target)
        hash.combine(text: vary.map { "\($0)." } ?? "")
        for number in [
            Int64(bitPattern: sequence), requestedMilliseconds, heldUpToMilliseconds, bornMilliseconds, lifetimeSeconds,
            staleWhileRevalidateSeconds,
            staleIfErrorSeconds, staleIfDisconnectedSeconds, flags.rawValue, Int64(status), dateUnixSeconds,
        ] {
            hash.combine(number)
        }
        fields.withUnsafeBytes { hash.combine(bytes: $0) }
        body.withUnsafeBytes { hash.combine(bytes: $0) }
        return Int64(bitPattern: hash.value)
    }

    /// What it takes on disk, without the rounding to pages.
    var bytes: Int { target.utf8.count + (vary?.utf8.count ?? 0) + fields.count + body.count + 128 }

    /// The reply, its age going on by this clock.
    func response(_ time: DiskTime) -> StoredResponse? {
        guard DiskTime.plausible.contains(requestedMilliseconds), DiskTime.plausible.contains(bornMilliseconds),
            DiskTime.plausible.contains(heldUpToMilliseconds),
            DiskTime.plausible.contains(dateUnixSeconds),
            let lines = StoredFields.parse(fields), StoredFields.areWellFormed(lines)
        else {
            return nil
        }
        return StoredResponse(
            status: status,
            fields: lines,
            body: ByteBuffer(bytes: body),
            terms: Storability.Terms(
                freshness: Freshness(
                    bornMilliseconds: time.monotonic(diskMilliseconds: bornMilliseconds),
                    lifetimeSeconds: lifetimeSeconds,
                    staleWhileRevalidateSeconds: staleWhileRevalidateSeconds,
                    staleIfErrorSeconds: staleIfErrorSeconds,
                    staleIfDisconnectedSeconds: staleIfDisconnectedSeconds,
                    mustAlwaysValidate: flags.contains(.mustAlwaysValidate),
                    forbidsStale: flags.contains(.forbidsStale)
                ),
                vary: vary.map { VaryKey(text: $0) }
            ),
            dateIfNone: dateUnixSeconds,
            // Of an earlier run: before anything that this process has seen happen.
            requestedMilliseconds: time.monotonic(diskMilliseconds: requestedMilliseconds),
            heldUpToMilliseconds: time.monotonic(diskMilliseconds: heldUpToMilliseconds)
        )
    }
}

extension StoredFields {
    /// Reads lines of `name: value`; nil if one is none.
    static func parse(_ lines: Data) -> [Field]? {
        var fields: [Field] = []
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), line[colon...].starts(with: ": ".utf8) else {
                return nil
            }
            let name = Latin1.text(line[..<colon])
            fields.append((name, Latin1.text(line[(colon + 2)...])))
        }
        return fields
    }
}
