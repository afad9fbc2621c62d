import DexatelAPI
import Foundation
import GRDB

/// What a row holds, read so that a damaged one is an error (`OutboxError.Code.damaged`): GRDB's subscripts would end the
/// daemon, and every start after it.
extension Row {
    /// The value of a column.
    func value<Value: DatabaseValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        do {
            return try decode(Value.self, forColumn: column)
        } catch {
            throw damage(column)
        }
    }

    /// A number that can be calculated with: no sum or difference of a few of them overflows.
    func number(_ column: String, _ range: ClosedRange<Int64> = 0...Row.maxNumber) throws -> Int64 {
        let number = try value(column, as: Int64.self)
        guard range.contains(number) else { throw damage(column) }
        return number
    }

    /// The same; nil for NULL.
    func optionalNumber(_ column: String, _ range: ClosedRange<Int64> = 0...Row.maxNumber) throws -> Int64? {
        has(column) ? try number(column, range) : nil
    }

    /// Milliseconds on the relay's clock or the wall clock, or a count: no outbox gets that far.
    static let maxNumber: Int64 = 1 << 56

    /// Whether there is anything but NULL in a column.
    func has(_ column: String) -> Bool { (self[column] as (any DatabaseValueConvertible)?) != nil }

    func contact() throws -> ContactReference {
        guard let contact = ContactReference(bytes: try value("contact", as: Data.self)) else {
            throw damage("contact")
        }
        return contact
    }

    func method() throws -> WriteMethod {
        guard let method = WriteMethod(rawValue: try value("method")) else { throw damage("method") }
        return method
    }

    func hold() throws -> WriteHold {
        guard let hold = WriteHold(rawValue: try value("hold")) else { throw damage("hold") }
        return hold
    }

    func fingerprint(_ column: String = "fingerprint") throws -> KeyFingerprint {
        let bytes = try value(column, as: Data.self)
        guard bytes.count == KeyFingerprint.byteCount else { throw damage(column) }
        return KeyFingerprint(bytes)
    }

    /// The error for a column that makes no sense; it names the write, where the row still does.
    func damage(_ column: String) -> OutboxError {
        let sequence = try? decode(Int64.self, forColumn: "sequence")
        let what = sequence.map { "the write \($0)" } ?? "a row"
        return OutboxError(
            .damaged,
            "\(what) in the outbox is damaged: its \(column) cannot be read. The file was left as it is: stop the relay, "
                + "keep a copy of it with its -wal file, and recover it with sqlite3's .recover"
        )
    }
}
