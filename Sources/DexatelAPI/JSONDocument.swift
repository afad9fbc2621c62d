/// Whole JSON texts, judged without being kept.
package enum JSONDocument {
    /// How deep a reply may nest to be taken for JSON: deeper than any API's, shallow enough for any thread's stack.
    package static let maxNesting = 256

    /// Whether the whole text is a well-formed JSON object (RFC 8259), UTF-8 and no byte order mark.
    ///
    /// Tells a delivered reply from a proxy's maintenance page (design §3.3). A member that is named twice is no
    /// matter here: the RFC allows it, and refusing it would repeat a write that was delivered.
    package static func isObject(_ body: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(body, maxNesting: maxNesting, refusesDuplicates: false)
        guard reader.isAtObject else { return false }
        do {
            _ = try reader.skipValue()
            try reader.finish()
            return true
        } catch {
            return false
        }
    }
}
