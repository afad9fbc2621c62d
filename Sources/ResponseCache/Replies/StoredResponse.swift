import DexatelAPI
import HTTPWire
package import NIOCore
package import NIOHTTP1
import Synchronization

/// A stored reply: what is needed to judge it, and the bytes of a hit.
///
/// It never changes, but for the age in its prepared bytes: a confirmed or replaced reply is a new one.
package final class StoredResponse: Sendable {
    // What a hit looks at comes first, to lie in as few cache lines as possible.

    /// For how long it is good.
    package let freshness: Freshness
    let vary: VaryKey?
    private let prepared: Mutex<PreparedImage>
    /// A body that is too long to be copied with its head.
    private let separateBody: ByteBuffer?
    /// The status code.
    package let status: Int
    /// The monotonic moment at which it, or its last confirmation, was asked for: it knows nothing of what came later.
    package let requestedMilliseconds: Int64
    /// Writes that were delivered before this monotonic moment are in it: it was asked for no earlier, or they were
    /// worked in.
    package let heldUpToMilliseconds: Int64
    /// The length of the body.
    package let bodyBytes: Int
    /// The reply's `Date`, or the moment when it came if it had none (RFC 9110 §6.6.1).
    package let dateUnixSeconds: Int64
    /// `Last-Modified`, if it is a date.
    package let lastModifiedUnixSeconds: Int64?
    /// Whether the body is in a coding other than identity.
    let hasCoding: Bool
    /// `ETag` as it came.
    package let entityTagText: String?
    /// What it takes in memory: its bytes as allocated, and the objects that hold them.
    package let costBytes: Int
    /// The stored fields without `Content-Length`, as lines.
    private let fieldBytes: Int
    /// From the end of the fields to the start of the body.
    private let framingBytes: Int

    /// Bodies up to this length are kept behind their heads, so that a hit is one write; longer ones are kept apart, so
    /// that no clients' unsent bytes hold more than one copy.
    package static let maxJoinedBodyBytes = 32 << 10

    /// This object, the buffers' objects, and the allocator's own bookkeeping for each.
    private static let objectBytes = 256 + 2 * 64

    init(
        status: Int,
        fields: [StoredFields.Field],
        body: ByteBuffer,
        terms: Storability.Terms,
        dateIfNone: Int64,
        requestedMilliseconds: Int64,
        heldUpToMilliseconds: Int64? = nil
    ) {
        self.status = status
        self.requestedMilliseconds = requestedMilliseconds
        self.heldUpToMilliseconds = max(heldUpToMilliseconds ?? .min, requestedMilliseconds)
        freshness = terms.freshness
        vary = terms.vary
        bodyBytes = body.readableBytes
        func first(_ name: StaticString) -> String? { fields.first { $0.name.isASCII(name) }?.value }
        let date = first("date").flatMap { HTTPDate.parse($0, nowUnixSeconds: dateIfNone) }
        dateUnixSeconds = date ?? dateIfNone
        lastModifiedUnixSeconds = first("last-modified").flatMap { HTTPDate.parse($0, nowUnixSeconds: dateIfNone) }
        entityTagText = first("etag")
        hasCoding = first("content-encoding").map { !$0.isASCII("identity") } ?? false

        // Other caches' members of the list come before this one's (RFC 9211 §2).
        var lead = Self.statusLine(status)
        var lines = ByteBuffer()
        for (name, value) in fields where date != nil || !name.isASCII("date") {
            if name.isASCII("cache-status") {
                Self.write(name, value, to: &lead)
            } else {
                Self.write(name, value, to: &lines)
            }
        }
        if date == nil { Self.write("Date", HTTPDate.format(dateIfNone), to: &lines) }
        fieldBytes = lines.readableBytes
        var framing = ByteBuffer()
        if !StatusRules.isBodiless(status) { Self.write("Content-Length", String(body.readableBytes), to: &framing) }
        framing.writeStaticString("\r\n")
        framingBytes = framing.readableBytes

        let isJoined = body.readableBytes <= Self.maxJoinedBodyBytes
        let joinedBytes = isJoined ? body.readableBytes : 0
        let image = PreparedImage(lead: lead, capacity: fieldBytes + framingBytes + joinedBytes) {
            $0.writeImmutableBuffer(lines)
            $0.writeImmutableBuffer(framing)
            if isJoined { $0.writeImmutableBuffer(body) }
        }
        if isJoined {
            separateBody = nil
        } else {
            // A copy of its own: what came may be a slice of something larger.
            var copy = ByteBufferAllocator().buffer(capacity: body.readableBytes)
            copy.writeImmutableBuffer(body)
            separateBody = copy
        }
        costBytes =
            Self.objectBytes + image.bytes.storageCapacity + (separateBody?.storageCapacity ?? 0)
            + (entityTagText.map { 32 + $0.utf8.count } ?? 0) + (vary?.bytes ?? 0)
        prepared = Mutex(image)
    }

    /// The stored fields, without `Content-Length`.
    package var fields: HTTPHeaders {
        let (lead, lines) = prepared.withLock { ($0.lead, $0.fixedPart(at: 0, length: fieldBytes)) }
        var headers = HTTPHeaders()
        for part in [lead, lines] {
            guard let part else { continue }
            for line in part.readableBytesView.split(separator: UInt8(ascii: "\n")) {
                guard let colon = line.firstIndex(of: UInt8(ascii: ":")), !line.starts(with: "HTTP/".utf8) else {
                    continue
                }
                let value = line[(colon + 2)...].dropLast()
                headers.add(
                    name: Latin1.text(line[..<colon]),
                    value: Latin1.text(value)
                )
            }
        }
        return headers
    }

    /// The stored fields without `Content-Length` as lines of `name: value`, each ended by a line feed.
    var fieldLines: [UInt8] {
        let (lead, lines) = headParts
        var bytes: [UInt8] = []
        bytes.reserveCapacity(lead.readableBytes + lines.readableBytes)
        let statusLine = lead.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) ?? lead.writerIndex
        // A value has no carriage return in it.
        bytes += lead.readableBytesView[statusLine...].dropFirst().filter { $0 != UInt8(ascii: "\r") }
        lines.withUnsafeReadableBytes { bytes += $0.lazy.filter { $0 != UInt8(ascii: "\r") } }
        return bytes
    }

    /// The body.
    package var body: ByteBuffer {
        separateBody
            ?? prepared.withLock { $0.fixedPart(at: fieldBytes + framingBytes, length: bodyBytes) } ?? ByteBuffer()
    }

    /// Whether it may be the reply to this request, as far as its `Vary` goes (RFC 9111 §4.1).
    package func suits(_ request: CacheRequest) -> Bool { vary?.matches(request) != false }

    /// `ETag`, if it is one.
    var entityTag: EntityTag? { entityTagText.flatMap { EntityTag($0) } }

    /// The whole reply as a hit of this moment; no allocation unless the second has changed.
    func preparedImage(nowMilliseconds: Int64) -> WireImage {
        let age = freshness.ageSeconds(nowMilliseconds)
        let lifetime = freshness.lifetimeSeconds
        return WireImage(
            bytes: prepared.withLock { $0.image(ageSeconds: age, lifetimeSeconds: lifetime) },
            body: separateBody
        )
    }

    /// Status line and first fields, and the other fields as lines.
    var headParts: (lead: ByteBuffer, lines: ByteBuffer) {
        prepared.withLock { ($0.lead ?? ByteBuffer(), $0.fixedPart(at: 0, length: fieldBytes) ?? ByteBuffer()) }
    }

    static func statusLine(_ status: Int) -> ByteBuffer {
        ByteBuffer(string: "HTTP/1.1 \(status) \(HTTPResponseStatus(statusCode: status).reasonPhrase)\r\n")
    }

    static func write(_ name: String, _ value: String, to buffer: inout ByteBuffer) { buffer.writeField(name, value) }
}
