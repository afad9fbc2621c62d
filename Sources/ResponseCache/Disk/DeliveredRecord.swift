package import DexatelAPI
import Foundation
import NIOCore

/// What was delivered lately, as it is kept on disk from a stop in good order to the next start: replies that are found
/// there may have been asked for before (design §5.4).
package struct DeliveredRecord: Sendable {
    /// One delivered write.
    package struct Entry: Sendable, Equatable {
        /// Whose it was.
        package var partition: CachePartition
        /// What it was about.
        package var contact: ContactReference
        /// What it made of that.
        package var change: PendingChange
        /// The monotonic moment at which the upstream had answered.
        package var atMilliseconds: Int64

        /// Puts an entry together.
        package init(
            partition: CachePartition,
            contact: ContactReference,
            change: PendingChange,
            atMilliseconds: Int64
        ) {
            self.partition = partition
            self.contact = contact
            self.change = change
            self.atMilliseconds = atMilliseconds
        }
    }

    /// A list of contacts whose pages lack something that nobody remembers, if they were asked for up to a moment.
    package struct Horizon: Sendable, Equatable {
        /// Whose pages they are.
        package var partition: CachePartition
        /// The audience.
        package var audience: UInt128
        /// The monotonic moment.
        package var atMilliseconds: Int64

        /// Puts a horizon together.
        package init(partition: CachePartition, audience: UInt128, atMilliseconds: Int64) {
            (self.partition, self.audience, self.atMilliseconds) = (partition, audience, atMilliseconds)
        }
    }

    /// In the order of delivery.
    package var entries: [Entry] = []
    /// One for each list at most.
    package var horizons: [Horizon] = []
    /// The same for the pages of all lists, once there are too many.
    package var commonHorizonMilliseconds: Int64?

    /// Whether there is nothing to be known.
    package var isEmpty: Bool { entries.isEmpty && horizons.isEmpty && commonHorizonMilliseconds == nil }

    /// Nothing was delivered.
    package init() {}

    /// Takes away the oldest entries until what is left takes so many bytes at most; their lists get horizons.
    ///
    /// - Returns: What had to go.
    mutating func trim(maxBytes: Int) -> [Entry] {
        var bytes = entries.reduce(0) { $0 + $1.change.bytes + 96 }
        var count = 0
        for entry in entries where bytes > maxBytes {
            bytes -= entry.change.bytes + 96
            count += 1
            horizons.append(
                Horizon(
                    partition: entry.partition,
                    audience: entry.contact.audience,
                    atMilliseconds: entry.atMilliseconds
                )
            )
        }
        defer { entries.removeFirst(count) }
        return Array(entries.prefix(count))
    }
}

// MARK: - Bytes

extension DeliveredRecord {
    /// The record as bytes with a checksum, its times on the disk's clock.
    func encoded(_ time: DiskTime) -> Data {
        var bytes = ByteBuffer()
        let common = commonHorizonMilliseconds.map { time.disk(monotonicMilliseconds: $0) }
        bytes.writeInteger(common == nil ? 0 : 1 as UInt8)
        bytes.writeInteger(common ?? 0)
        bytes.writeInteger(UInt32(horizons.count))
        for horizon in horizons {
            bytes.write(horizon.partition)
            bytes.write(horizon.audience)
            bytes.writeInteger(time.disk(monotonicMilliseconds: horizon.atMilliseconds))
        }
        bytes.writeInteger(UInt32(entries.count))
        for entry in entries {
            bytes.write(entry.partition)
            bytes.writeBytes(entry.contact.bytes)
            bytes.writeInteger(time.disk(monotonicMilliseconds: entry.atMilliseconds))
            bytes.writeInteger(entry.change.sequence)
            switch entry.change.effect {
            case .delete: bytes.writeInteger(Self.deletion)
            case .update(let fields):
                bytes.writeInteger(UInt32(fields.count))
                for field in fields {
                    bytes.write(Array(field.name.utf8))
                    bytes.write(field.value)
                }
            }
        }
        var hash = StableHash()
        bytes.withUnsafeReadableBytes { hash.combine(bytes: $0) }
        bytes.writeInteger(hash.value)
        return Data(bytes.readableBytesView)
    }

    /// Reads what ``encoded(_:)`` gave; nil for anything else.
    init?(encoded data: Data, _ time: DiskTime) {
        guard data.count >= 8 else { return nil }
        var hash = StableHash()
        data.dropLast(8).withUnsafeBytes { hash.combine(bytes: $0) }
        var bytes = ByteBuffer(bytes: data)
        guard bytes.getInteger(at: bytes.writerIndex - 8, as: UInt64.self) == hash.value,
            let hasCommon = bytes.readInteger(as: UInt8.self), let common = bytes.readTime(time),
            let horizonCount = bytes.readInteger(as: UInt32.self)
        else { return nil }
        if hasCommon == 1 { commonHorizonMilliseconds = common }
        for _ in 0..<horizonCount {
            guard let partition = bytes.readPartition(), let audience = bytes.readUInt128(),
                let at = bytes.readTime(time)
            else { return nil }
            horizons.append(Horizon(partition: partition, audience: audience, atMilliseconds: at))
        }
        guard let entryCount = bytes.readInteger(as: UInt32.self) else { return nil }
        for _ in 0..<entryCount {
            guard let entry = Entry(&bytes, time) else { return nil }
            entries.append(entry)
        }
    }

    /// In the place of a number of fields.
    fileprivate static let deletion = UInt32.max
}

extension DeliveredRecord.Entry {
    fileprivate init?(_ bytes: inout ByteBuffer, _ time: DiskTime) {
        guard let partition = bytes.readPartition(),
            let contact = bytes.readBytes(length: ContactReference.byteCount).flatMap(ContactReference.init(bytes:)),
            let at = bytes.readTime(time), let sequence = bytes.readInteger(as: Int64.self),
            let count = bytes.readInteger(as: UInt32.self)
        else { return nil }
        var effect = PendingChange.Effect.delete
        if count != DeliveredRecord.deletion {
            var fields: [PendingChange.Field] = []
            for _ in 0..<count {
                guard let name = bytes.readPiece(), let value = bytes.readPiece() else { return nil }
                fields.append(PendingChange.Field(name: String(decoding: name, as: UTF8.self), value: value))
            }
            effect = .update(fields)
        }
        self.init(
            partition: partition,
            contact: contact,
            change: PendingChange(sequence: sequence, effect: effect, isDelivered: true),
            atMilliseconds: at
        )
    }
}

extension ByteBuffer {
    fileprivate mutating func write(_ partition: CachePartition) {
        let (isShared, high, low) = partition.columns
        writeInteger(isShared ? 1 : 0 as UInt8)
        writeInteger(high)
        writeInteger(low)
    }

    fileprivate mutating func write(_ value: UInt128) {
        writeInteger(UInt64(truncatingIfNeeded: value >> 64))
        writeInteger(UInt64(truncatingIfNeeded: value))
    }

    fileprivate mutating func write(_ piece: [UInt8]) {
        writeInteger(UInt32(piece.count))
        writeBytes(piece)
    }

    fileprivate mutating func readPartition() -> CachePartition? {
        guard let isShared = readInteger(as: UInt8.self), let high = readInteger(as: Int64.self),
            let low = readInteger(as: Int64.self)
        else { return nil }
        return CachePartition(isShared: isShared == 1, high: high, low: low)
    }

    fileprivate mutating func readUInt128() -> UInt128? {
        guard let high = readInteger(as: UInt64.self), let low = readInteger(as: UInt64.self) else { return nil }
        return UInt128(high) << 64 | UInt128(low)
    }

    fileprivate mutating func readTime(_ time: DiskTime) -> Int64? {
        guard let disk = readInteger(as: Int64.self), DiskTime.plausible.contains(disk) else { return nil }
        return time.monotonic(diskMilliseconds: disk)
    }

    fileprivate mutating func readPiece() -> [UInt8]? {
        guard let count = readInteger(as: UInt32.self), count <= readableBytes else { return nil }
        return readBytes(length: Int(count))
    }
}
