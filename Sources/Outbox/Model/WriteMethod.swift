/// The methods of contact writes that the outbox keeps; both are idempotent (RFC 9110 §9.2.2).
package enum WriteMethod: Int64, Sendable, Hashable {
    /// Update.
    case put = 1
    /// Delete.
    case delete = 2

    /// The method with this token; nil for any other.
    package init?(name: String) {
        switch name {
        case "PUT": self = .put
        case "DELETE": self = .delete
        default: return nil
        }
    }

    /// The method's token on the wire.
    package var name: String {
        switch self {
        case .put: "PUT"
        case .delete: "DELETE"
        }
    }
}
