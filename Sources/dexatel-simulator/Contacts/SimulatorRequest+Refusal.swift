import DexatelAPI

extension SimulatorRequest {
    /// A refusal with one of the documented codes.
    func refusal(_ code: DexatelErrorCode) -> SimulatorReply {
        refusal(code.status, code.message, code: code.rawValue)
    }

    /// A refusal in the upstream's shape.
    func refusal(_ status: Int, _ message: String, code: Int = 0) -> SimulatorReply {
        let body = DexatelErrorBody(
            timestamp: DexatelTimestamp.text(secondsSinceEpoch: receivedSeconds),
            path: String(path),
            method: method,
            status: status,
            message: message,
            code: code
        )
        return SimulatorReply(status: status, json: body.rendered())
    }

    /// What speaks against the body before it is read: its media type or its size.
    func refusalOfBody() -> SimulatorReply? {
        let mediaType = (contentType ?? "").prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        guard mediaType == "application/json" else { return refusal(415, "Media type is not supported") }
        return isBodyTooLarge ? refusal(413, "The body is too large") : nil
    }

    /// The time of arrival in seconds since 1970.
    var receivedSeconds: Int64 { receivedMilliseconds / 1000 }

    /// Scheme and authority of the URLs in the reply.
    var linkBase: String { host.map { "http://\($0)" } ?? "https://api.dexatel.com" }
}
