/// A reply that is not HTTP/1.1, or does not end.
struct ReplyFault: Error, Hashable {
    enum Kind: Hashable {
        /// The bytes are no reply.
        case malformed
        /// The connection ended within a reply.
        case truncated
    }

    let kind: Kind
    /// What is wrong, without anything of what was sent.
    let reason: String

    static func malformed(_ reason: String) -> ReplyFault { ReplyFault(kind: .malformed, reason: reason) }
    static func truncated(_ reason: String) -> ReplyFault { ReplyFault(kind: .truncated, reason: reason) }
}
