/// What requests are counted by: never by contact, key or path.
package enum RequestRoute: Int, Sendable, CaseIterable {
    /// PUT and DELETE of a contact.
    case contactWrite
    /// GET and HEAD of a contact.
    case contactRead
    /// GET and HEAD of an audience's contacts.
    case contactList
    /// Other GET and HEAD.
    case read
    /// Everything else that goes to the upstream.
    case passThrough
    /// `/_relay/` and what is refused before it is known what it is.
    case relay

    /// The name in metrics.
    package var name: String {
        switch self {
        case .contactWrite: "contact_write"
        case .contactRead: "contact_read"
        case .contactList: "contact_list"
        case .read: "read"
        case .passThrough: "pass_through"
        case .relay: "relay"
        }
    }
}

/// How many requests were answered, by route and class of status.
package struct RequestCounts: Sendable, Equatable {
    /// The classes are the status codes' first digits.
    package static let classes = 1...5

    private var counts = [UInt64](repeating: 0, count: RequestRoute.allCases.count * classes.count)

    /// None so far.
    package init() {}

    mutating func add(_ route: RequestRoute, status: Int) {
        counts[Self.index(route, min(max(status / 100, Self.classes.lowerBound), Self.classes.upperBound))] &+= 1
    }

    /// Requests of a route that were answered with a status of a class.
    package subscript(_ route: RequestRoute, statusClass: Int) -> UInt64 { counts[Self.index(route, statusClass)] }

    private static func index(_ route: RequestRoute, _ statusClass: Int) -> Int {
        route.rawValue * classes.count + statusClass - classes.lowerBound
    }

    static func += (sum: inout Self, other: Self) {
        for index in sum.counts.indices { sum.counts[index] &+= other.counts[index] }
    }
}
