import NIOCore

/// Cuts replies into HTTP/1.1 bytes (RFC 9112).
enum ReplyRenderer {
    /// Appends the head and returns the body that is to follow it: empty for HEAD, 204 and 304.
    static func renderHead(
        _ reply: SimulatorReply,
        isHead: Bool,
        keepsAlive: Bool,
        isLegacyVersion: Bool,
        date: String,
        into buffer: inout ByteBuffer
    ) -> ArraySlice<UInt8> {
        buffer.writeString("HTTP/1.1 \(reply.status) \(reason(reply.status))\r\nDate: \(date)\r\n")
        buffer.writeString("Server: dexatel-simulator\r\n")
        for field in reply.fields {
            buffer.writeString("\(field.name): \(field.value)\r\n")
        }
        let hasNoBody = reply.status == 204 || reply.status == 304
        if !hasNoBody { buffer.writeString("Content-Length: \(reply.body.count)\r\n") }
        if !keepsAlive {
            buffer.writeString("Connection: close\r\n")
        } else if isLegacyVersion {
            buffer.writeString("Connection: keep-alive\r\n")
        }
        buffer.writeString("\r\n")
        return isHead || hasNoBody ? [] : reply.body[...]
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 425: "Too Early"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        default: "Status \(status)"
        }
    }
}
