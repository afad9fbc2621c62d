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

    /// Those that the cache has a part in.
    package static let reads: [RequestRoute] = [.contactRead, .contactList, .read]
}

/// How many requests were answered, by route and class of status, and reads by how they were answered.
package struct RequestCounts: Sendable, Equatable {
    /// The classes are the status codes' first digits.
    package static let classes = 1...5

    private var counts = [UInt64](repeating: 0, count: RequestRoute.allCases.count * classes.count)
    private var results = [UInt64](repeating: 0, count: RequestRoute.allCases.count * ReadResult.allCases.count)

    /// Requests that this relay had sent itself.
    package internal(set) var forwardingLoops: UInt64 = 0

    /// None so far.
    package init() {}

    /// - Parameter result: Counts for routes of reads only.
    mutating func add(_ route: RequestRoute, status: Int, _ result: ReadResult) {
        results[Self.index(route, result)] &+= 1
        counts[Self.index(route, min(max(status / 100, Self.classes.lowerBound), Self.classes.upperBound))] &+= 1
    }

    /// Requests of a route that were answered with a status of a class.
    package subscript(_ route: RequestRoute, statusClass: Int) -> UInt64 { counts[Self.index(route, statusClass)] }

    /// Requests of a route of reads that were answered in a way.
    package subscript(_ route: RequestRoute, result: ReadResult) -> UInt64 { results[Self.index(route, result)] }

    private static func index(_ route: RequestRoute, _ result: ReadResult) -> Int {
        route.rawValue * ReadResult.allCases.count + result.rawValue
    }

    private static func index(_ route: RequestRoute, _ statusClass: Int) -> Int {
        route.rawValue * classes.count + statusClass - classes.lowerBound
    }

    static func += (sum: inout Self, other: Self) {
        for index in sum.counts.indices { sum.counts[index] &+= other.counts[index] }
        for index in sum.results.indices { sum.results[index] &+= other.results[index] }
        sum.forwardingLoops &+= other.forwardingLoops
    }
}
