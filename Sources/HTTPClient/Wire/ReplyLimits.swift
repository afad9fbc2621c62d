/// The bounds of what a reply may bring besides its body (P8).
package struct ReplyLimits: Sendable, Hashable {
    /// Bytes of a head, status line and empty line included.
    package var maxHeadBytes = 64 << 10
    /// Fields of a head or trailer section.
    package var maxFields = 256
    /// Bytes of a chunk's first line, extensions included.
    package var maxChunkLineBytes = 4 << 10
    /// Bytes of a trailer section.
    package var maxTrailerBytes = 16 << 10
    /// Interim replies to one request.
    package var maxInterimReplies = 1024

    /// Takes the defaults.
    package init() {}
}
