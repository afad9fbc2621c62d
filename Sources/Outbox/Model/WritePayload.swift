import DexatelAPI
package import NIOCore
package import NIOHTTP1

/// What is sent upstream: stored and forwarded as it came, byte for byte (design §3.1).
package struct WritePayload: Sendable, Equatable {
    /// The raw request target with its query.
    package var target: String
    /// The request headers that the allow-list let through; never the API key.
    package var headers: HTTPHeaders
    /// The body.
    package var body: ByteBuffer

    /// Puts a payload together.
    package init(target: String, headers: HTTPHeaders, body: ByteBuffer) {
        self.target = target
        self.headers = headers
        self.body = body
    }

    /// The headers as they are stored: a line each, as on the wire.
    var headerText: String {
        var text = ""
        for (name, value) in headers {
            text += name
            text += ": "
            text += value
            text += "\r\n"
        }
        return text
    }

    /// Reads headers back from their stored form.
    static func headers(fromText text: String) -> HTTPHeaders {
        var headers = HTTPHeaders()
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            var line = line
            if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == UInt8(ascii: " ") }
            headers.add(name: String(Substring(line[..<colon])), value: String(Substring(value)))
        }
        return headers
    }

    /// The bytes that the payload takes in the outbox, for `writes.max_pending_bytes`.
    var storedBytes: Int {
        headers.reduce(target.utf8.count + body.readableBytes) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 }
    }

    /// What the body sets, found again in a write that was checked when it was accepted; nil when it is not as it was.
    ///
    /// The limits of fields may have been others then.
    var checkedUpdate: ContactUpdate? {
        let limits = ContactFieldLimits(firstName: .max, lastName: .max, timestamp: .max, date: .max)
        return body.withUnsafeReadableBytes { bytes in
            do throws(ContactUpdateFault) {
                return try ContactUpdate.check(bytes, limits: limits)
            } catch {
                return nil
            }
        }
    }
}
