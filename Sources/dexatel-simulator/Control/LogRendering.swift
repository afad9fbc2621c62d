/// Writes entries of the log as replies.
enum LogRendering {
    enum Form: Sendable {
        /// One array.
        case array
        /// One object a line.
        case lines
    }

    /// The header field that says how many entries the log has lost; absent while it has all of them.
    static let droppedField = "Simulator-Log-Dropped"

    static func reply(_ entries: [LogEntry], dropped: Int, form: Form) -> SimulatorReply {
        var reply: SimulatorReply
        switch form {
        case .array:
            var writer = JSONWriter()
            writer.beginArray()
            for entry in entries {
                writer.element()
                entry.write(to: &writer)
            }
            writer.endArray()
            reply = SimulatorReply(status: 200, json: writer.bytes)
        case .lines:
            var lines: [UInt8] = []
            for entry in entries {
                var writer = JSONWriter()
                entry.write(to: &writer)
                lines += writer.bytes
                lines.append(UInt8(ascii: "\n"))
            }
            reply = SimulatorReply(status: 200, contentType: "application/x-ndjson", body: lines)
        }
        if dropped > 0 { reply.add(droppedField, "\(dropped)") }
        return reply
    }
}
