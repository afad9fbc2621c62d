/// How many requests and connections there have been since the start.
struct RequestCounts: Sendable {
    private(set) var total = 0
    private(set) var byMethod: [String: Int] = [:]
    private(set) var byStatus: [Int: Int] = [:]
    private(set) var acceptedConnections = 0
    private(set) var openConnections = 0

    mutating func note(method: String, status: Int) {
        total += 1
        byMethod[method, default: 0] += 1
        byStatus[status, default: 0] += 1
    }

    /// Counts a reply under 0 that was counted with its status and then never sent.
    mutating func withdraw(status: Int) {
        byStatus[status, default: 0] -= 1
        byStatus[0, default: 0] += 1
    }

    mutating func noteOpened() {
        acceptedConnections += 1
        openConnections += 1
    }

    mutating func noteClosed() {
        openConnections -= 1
    }
}
