/// The body of an error in the upstream's shape: one error in a list (upstream reference, "Errors").
package struct DexatelErrorBody: Sendable, Equatable {
    /// When it happened: `yyyy-MM-dd HH:mm:ss`, UTC.
    package var timestamp: String
    /// The path that was asked for.
    package var path: String
    /// The request's method.
    package var method: String
    /// The HTTP status, as in the status line.
    package var status: Int
    /// What went wrong.
    package var message: String
    /// The upstream's code, 0 where it has none for this.
    package var code: Int

    /// Takes the parts of an error as they are to be sent.
    package init(timestamp: String, path: String, method: String, status: Int, message: String, code: Int) {
        self.timestamp = timestamp
        self.path = path
        self.method = method
        self.status = status
        self.message = message
        self.code = code
    }

    /// The body's bytes: JSON in UTF-8.
    package func rendered() -> [UInt8] {
        var bytes: [UInt8] = []
        let fixedLength = 128
        bytes.reserveCapacity(
            fixedLength + timestamp.utf8.count + path.utf8.count + method.utf8.count + message.utf8.count
        )
        bytes.append(contentsOf: #"{"errors":[{"timestamp":"#.utf8)
        JSONText.appendQuoted(timestamp, to: &bytes)
        bytes.append(contentsOf: #","path":"#.utf8)
        JSONText.appendQuoted(path, to: &bytes)
        bytes.append(contentsOf: #","method":"#.utf8)
        JSONText.appendQuoted(method, to: &bytes)
        bytes.append(contentsOf: #","status":"#.utf8)
        bytes.append(contentsOf: String(status).utf8)
        bytes.append(contentsOf: #","message":"#.utf8)
        JSONText.appendQuoted(message, to: &bytes)
        bytes.append(contentsOf: #","code":"#.utf8)
        bytes.append(contentsOf: String(code).utf8)
        bytes.append(contentsOf: "}]}".utf8)
        return bytes
    }
}
