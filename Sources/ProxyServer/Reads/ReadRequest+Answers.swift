import DexatelAPI
import NIOCore
import ResponseCache

extension ReadRequest.Subject {
    /// Whether a reply is an answer of the API, so that it may take the place of what is stored.
    ///
    /// What comes from somebody on the way, say a maintenance page with 200 or a gateway's own 404, is for the one who
    /// has asked, and no reason to forget a contact (RFC 9111 §3: a cache need not store). It does not count as a
    /// failure either: RFC 5861 §4 names those, and whoever changed the API on purpose is to be heard.
    func isAnswered(by reply: StoredResponse) -> Bool {
        // A body in another coding cannot be looked at, and is believed.
        guard self != .other, let body = reply.identityBody else { return true }
        return body.withUnsafeReadableBytes { body in
            switch (reply.status, self) {
            case (200..<300, .contact): ContactDocument.contact(in: body) != nil
            case (200..<300, _): ContactDocument.forEachItem(of: body) { _ in }
            case (400..., _): DexatelErrorBody.firstCode(in: body) != nil
            default: false
            }
        }
    }
}
