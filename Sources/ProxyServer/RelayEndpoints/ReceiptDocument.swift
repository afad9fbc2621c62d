import DexatelAPI
import Outbox

/// A receipt as JSON (design §2.1).
///
/// It grows by addition only.
struct ReceiptDocument {
    let receipt: Receipt

    func rendered() -> [UInt8] {
        var object = JSONObjectText()
        object.add("id", receipt.id.description)
        object.add("state", receipt.state.rawValue)
        object.add("method", receipt.method.name)
        object.add("audience_id", receipt.contact.audienceText)
        object.add("contact_id", receipt.contact.contactText)
        object.add("sequence", receipt.id.sequence)
        object.add("accepted_at", RFC3339.text(millisecondsSinceEpoch: receipt.acceptedAtMilliseconds))
        object.add("attempts", receipt.attempts)
        object.add("ambiguous", receipt.isAmbiguous)
        object.add("next_attempt_at", receipt.nextAttemptAtMilliseconds.map(RFC3339.text))
        object.add("last_error", receipt.lastError)
        object.addRaw("last_attempts", lastAttempts)
        object.add("hold", receipt.state == .held ? receipt.hold.name ?? WriteHold.key.name : nil)
        object.addRaw("response", response)
        object.add("superseded_by", receipt.supersededBy?.description)
        return object.finished()
    }

    private var lastAttempts: [UInt8] {
        var array = [UInt8(ascii: "[")]
        for entry in receipt.lastAttempts.entries {
            if array.count > 1 { array.append(UInt8(ascii: ",")) }
            var object = JSONObjectText()
            object.add("started_at", RFC3339.text(millisecondsSinceEpoch: entry.startedAtMilliseconds))
            object.add("duration_milliseconds", entry.durationMilliseconds)
            object.add("status", entry.status.map(Int64.init))
            object.add("error", entry.error)
            array += object.finished()
        }
        array.append(UInt8(ascii: "]"))
        return array
    }

    private var response: [UInt8]? {
        guard let status = receipt.responseStatus else { return nil }
        var object = JSONObjectText()
        object.add("status", Int64(status))
        let body = receipt.responseBody ?? []
        if body.withUnsafeBytes(JSONDocument.isObject) {
            object.addRaw("body", body)
        } else {
            object.add("body", body.isEmpty ? nil : String(decoding: body, as: UTF8.self))
        }
        return object.finished()
    }
}

/// Writes a JSON object member by member.
struct JSONObjectText {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    mutating func add(_ name: String, _ value: String?) {
        addName(name)
        if let value { JSONText.appendQuoted(value, to: &bytes) } else { bytes += Array("null".utf8) }
    }

    mutating func add(_ name: String, _ value: Int64?) {
        addName(name)
        bytes += Array((value.map { String($0) } ?? "null").utf8)
    }

    mutating func add(_ name: String, _ value: Bool) {
        addName(name)
        bytes += Array((value ? "true" : "false").utf8)
    }

    /// Adds a value that is JSON already; nil is null.
    mutating func addRaw(_ name: String, _ value: [UInt8]?) {
        addName(name)
        bytes += value ?? Array("null".utf8)
    }

    private mutating func addName(_ name: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        JSONText.appendQuoted(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    consuming func finished() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}
