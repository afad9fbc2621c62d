import DexatelAPI
package import NIOHTTP1

/// What an intermediary must take out of a message's header section and put into it (RFC 9110 §7.6).
package enum HeaderHygiene {
    /// The name in `Via`.
    package static let pseudonym = "contact-relay"

    /// The comment by which this process knows its own requests in `Via`, drawn anew at each start.
    package static let instance = "(instance \(String(UInt64.random(in: .min ... .max), radix: 16)))"

    /// What nearly all messages get, made once.
    private static let via = "1.1 \(pseudonym)"
    private static let requestVia = "1.1 \(pseudonym) \(instance)"

    /// Whether a `Via` value says that this process has sent the request, so that it goes round in a loop.
    ///
    /// Another relay on the way, of the same name, has another instance.
    package static func isOwn(via value: String) -> Bool { value.contains("\(self.pseudonym) \(self.instance)") }

    /// Request fields that are stored with a write and sent with it later; everything else is dropped.
    ///
    /// - `Content-Type`, `Content-Language`: they describe the body that is stored byte for byte.
    /// - `Accept`, `Accept-Language`, `User-Agent`: they shape the reply, and an upstream may tell its clients
    ///   apart by them.
    /// - `Idempotency-Key`: a repeat must carry the same one, or at-least-once delivery would defeat it.
    /// - `X-Request-Id`, `X-Correlation-Id`, `traceparent`, `tracestate`, `baggage`: they let an operator
    ///   follow a write from the app to the upstream.
    ///
    /// Never stored: credentials (`X-Dexatel-Key` is sealed on its own; `Authorization` and `Cookie` are not
    /// the upstream's business), preconditions (such writes are not queued), `Prefer` (it is addressed to the
    /// relay), framing, `Host` and `Expect`, which belong to one connection, and `Accept-Encoding`, as the
    /// reply is read by the relay.
    package static let forwardedWriteHeaders: [String] = [
        "Content-Type", "Content-Language", "Accept", "Accept-Language", "User-Agent", "Idempotency-Key",
        "X-Request-Id", "X-Correlation-Id", "traceparent", "tracestate", "baggage",
    ]

    /// Takes out the hop-by-hop fields and those that `Connection` names.
    package static func removeHopByHop(_ headers: inout HTTPHeaders) {
        guard headers.contains(where: { ConnectionFields.contains($0.name) }) else { return }
        let named = headers[canonicalForm: "Connection"]
        for name in Set(headers.map(\.name)) where ConnectionFields.contains(name) { headers.remove(name: name) }
        for name in named where !name.isEmpty { headers.remove(name: String(name)) }
    }

    /// The header section of a request as the upstream is to get it: without `X-Dexatel-Key`, which travels as
    /// a secret.
    ///
    /// - Parameters:
    ///   - headers: The fields as the app sent them.
    ///   - version: The HTTP version of the app's request, for `Via`.
    package static func forwardedRequest(_ headers: HTTPHeaders, version: HTTPVersion = .http1_1) -> HTTPHeaders {
        let names = ForwardedFieldNames(connection: headers["Connection"])
        var forwarded = HTTPHeaders(headers.filter { names.contains($0.name) })
        self.addRequestVia(&forwarded, version: version)
        return forwarded
    }

    /// The header section of a reply as the app is to get it; `Content-Length` stays, as the body is not changed.
    ///
    /// - Parameters:
    ///   - headers: The fields as the upstream sent them.
    ///   - version: The HTTP version of the upstream's reply, for `Via`.
    package static func forwardedReply(_ headers: HTTPHeaders, version: HTTPVersion = .http1_1) -> HTTPHeaders {
        var forwarded = headers
        self.removeHopByHop(&forwarded)
        self.addVia(&forwarded, version: version)
        return forwarded
    }

    /// The fields to store with a write: those of ``forwardedWriteHeaders`` that `Connection` does not name.
    package static func storedWrite(_ headers: HTTPHeaders) -> HTTPHeaders {
        var stored = HTTPHeaders()
        for (name, value) in headers where self.isStored(name) { stored.add(name: name, value: value) }
        // `Connection` seldom names anything that would be stored.
        for named in headers[canonicalForm: "Connection"] where !named.isEmpty { stored.remove(name: String(named)) }
        return stored
    }

    private static func isStored(_ name: String) -> Bool {
        self.forwardedWriteHeaders.contains { $0.isSameASCII(as: name) }
    }

    /// Adds the relay to the list of intermediaries of a request, with the comment that finds loops (RFC 9110 §7.6.3).
    package static func addRequestVia(_ headers: inout HTTPHeaders, version: HTTPVersion = .http1_1) {
        let value =
            version == .http1_1
            ? self.requestVia : "\(version.major).\(version.minor) \(self.pseudonym) \(self.instance)"
        headers.add(name: "Via", value: value)
    }

    /// Adds the relay to the list of intermediaries of a reply (RFC 9110 §7.6.3).
    package static func addVia(_ headers: inout HTTPHeaders, version: HTTPVersion) {
        let value = version == .http1_1 ? self.via : "\(version.major).\(version.minor) \(self.pseudonym)"
        headers.add(name: "Via", value: value)
    }
}
