import NIOCore

/// A stored reply that was chosen for a request.
package struct CacheHit: Sendable {
    /// What of it goes to the client.
    package enum Form: Sendable, Equatable {
        /// All of it.
        case whole
        /// The client has it already: 304 (RFC 9111 §4.3.2).
        case notModified
        /// These bytes of the body: 206 (RFC 9110 §15.3.7).
        case partial(Range<Int>)
        /// The body has none of the bytes that were asked for: 416.
        case unsatisfiableRange
    }

    /// The stored reply.
    package let response: StoredResponse
    /// What of it goes to the client.
    package let form: Form
    /// The client asked for the head only.
    package let isHead: Bool

    /// Chooses a stored reply for a request, whose conditions and ranges are answered from it.
    package init(_ response: StoredResponse, for request: CacheRequest) {
        self.response = response
        isHead = request.isHead
        form = request.hasConditions ? Precondition.form(response, for: request) : .whole
    }

    /// Without a look at conditions and ranges.
    init(whole response: StoredResponse, isHead: Bool) {
        self.response = response
        self.isHead = isHead
        form = .whole
    }

    /// The status of the answer.
    package var status: Int {
        switch form {
        case .whole: response.status
        case .notModified: 304
        case .partial: 206
        case .unsatisfiableRange: 416
        }
    }

    /// The answer as it goes on the wire, with `Age` and `Cache-Status: contact-relay; hit; ttl=…`.
    ///
    /// For whole replies to GET this neither allocates nor copies, unless the second has changed.
    package func wireImage(nowMilliseconds: Int64) -> WireImage {
        if case .whole = form, !isHead { return response.preparedImage(nowMilliseconds: nowMilliseconds) }
        return wireImage(nowMilliseconds: nowMilliseconds, adding: WireAdditions())
    }

    /// The answer with additions, made for this one request.
    package func wireImage(nowMilliseconds: Int64, adding additions: WireAdditions) -> WireImage {
        let body = sentBody
        let isJoined = (body?.readableBytes ?? 0) <= StoredResponse.maxJoinedBodyBytes
        let (lead, lines) = response.headParts
        var bytes = ByteBufferAllocator().buffer(
            capacity: 256 + lead.readableBytes + lines.readableBytes + (isJoined ? body?.readableBytes ?? 0 : 0)
        )
        if status == response.status {
            bytes.writeImmutableBuffer(lead)
        } else {
            bytes.writeImmutableBuffer(StoredResponse.statusLine(status))
        }
        let ttl = response.freshness.ttlSeconds(nowMilliseconds)
        var cacheStatus = additions.cacheStatus ?? CacheStatus()
        if cacheStatus.ttlSeconds == nil { cacheStatus.ttlSeconds = ttl }
        if !additions.isFetched {
            StoredResponse.write("Age", String(response.freshness.ageSeconds(nowMilliseconds)), to: &bytes)
        }
        StoredResponse.write("Cache-Status", cacheStatus.fieldValue, to: &bytes)
        if let connection = additions.connection { StoredResponse.write("Connection", connection, to: &bytes) }
        for (name, value) in additions.fields { StoredResponse.write(name, value, to: &bytes) }
        writeFields(lines, to: &bytes)
        bytes.writeStaticString("\r\n")
        guard let body else { return WireImage(bytes: bytes, body: nil) }
        if isJoined {
            bytes.writeImmutableBuffer(body)
            return WireImage(bytes: bytes, body: nil)
        }
        return WireImage(bytes: bytes, body: body)
    }

    private var sentBody: ByteBuffer? {
        switch form {
        case _ where isHead, .notModified, .unsatisfiableRange: nil
        case .whole: response.body
        case .partial(let range):
            response.body.getSlice(at: response.body.readerIndex + range.lowerBound, length: range.count)
        }
    }

    private func writeFields(_ lines: ByteBuffer, to bytes: inout ByteBuffer) {
        switch form {
        case .whole:
            bytes.writeImmutableBuffer(lines)
            if !StatusRules.isBodiless(response.status) {
                StoredResponse.write("Content-Length", String(response.bodyBytes), to: &bytes)
            }
        case .partial(let range):
            bytes.writeImmutableBuffer(lines)
            let span = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(response.bodyBytes)"
            StoredResponse.write("Content-Range", span, to: &bytes)
            StoredResponse.write("Content-Length", String(range.count), to: &bytes)
        case .notModified, .unsatisfiableRange:
            for (name, value) in response.fields where StoredFields.describesSelection(name) {
                StoredResponse.write(name, value, to: &bytes)
            }
            if form == .unsatisfiableRange {
                StoredResponse.write("Content-Range", "bytes */\(response.bodyBytes)", to: &bytes)
                StoredResponse.write("Content-Length", "0", to: &bytes)
            }
        }
    }
}
