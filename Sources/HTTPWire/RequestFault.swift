/// Why bytes are no request that can be served; the connection ends with the answer.
package enum RequestFault: Error, Sendable, Equatable {
    /// They break the grammar, or leave in doubt where a message ends (RFC 9112).
    case malformed
    /// The request line exceeds the bound of a head.
    case targetTooLong
    /// The head, a trailer section or the framing of chunks exceeds the bound.
    case headTooLarge
    /// Another major version than 1.
    case versionNotSupported
    /// The body has a transfer coding other than chunked.
    case codingNotSupported
}
