import DexatelAPI
import Foundation
import GRDB

/// What a row holds, read so that a damaged one is an error (`OutboxError.Code.damaged`): GRDB's subscripts would end the
/// daemon, and every start after it.
extension Row {
    /// The value of a column.
    func value<Value: DatabaseValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        let value: Value
        do {
            value = try decode(Value.self, forColumn: column)
        } catch {
            throw damage(column)
        }
        if let number = value as? Int64 ?? (value as? Int).map(Int64.init) {
            guard ColumnRange.of(column).contains(number) else { throw damage(column) }
        }
        return value
    }

    /// The value of a column that is 0 or 1.
    func flag(_ column: String) throws -> Bool { try value(column, as: Int64.self) != 0 }

    /// Whether there is anything but NULL in a column.
    func has(_ column: String) -> Bool { (self[column] as (any DatabaseValueConvertible)?) != nil }

    /// Checks every integer column of the row, but for those named.
    func checkNumbers(but exceptions: Set<String> = []) throws {
        for column in columnNames where ColumnRange.kinds[column] != nil && !exceptions.contains(column) {
            _ = try value(column, as: Int64?.self)
        }
    }

    /// Checks that texts are texts, which GRDB would make of other values, too.
    func checkTexts() throws {
        for column in ["target", "headers", "last_error", "other_fields", "attempt_log"] where has(column) {
            guard case .string = (self[column] as DatabaseValue).storage else { throw damage(column) }
        }
    }

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
        // The holds of keys and contacts stand with those.
        guard let hold = WriteHold(rawValue: try value("hold")), hold != .key, hold != .contact else {
            throw damage("hold")
        }
        return hold
    }

    func fingerprint(_ column: String = "fingerprint") throws -> KeyFingerprint {
        let bytes = try value(column, as: Data.self)
        guard bytes.count == KeyFingerprint.byteCount else { throw damage(column) }
        return KeyFingerprint(bytes)
    }

    /// The error for a column that makes no sense; it names the write, where the row still does.
    func damage(_ column: String, _ fault: String = "cannot be read") -> OutboxError {
        let sequence = try? decode(Int64.self, forColumn: "sequence")
        let what = sequence.map { "the write \($0)" } ?? "a row"
        return OutboxError(
            .damaged,
            "\(what) in the outbox is damaged: its \(column) \(fault). The file was left as it is: stop the relay, "
                + "keep a copy of it with its -wal file, and recover it with sqlite3's .recover",
            isOfRow: hasColumn("sequence") || hasColumn("number")
        )
    }
}
