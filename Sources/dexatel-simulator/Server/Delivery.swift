/// What is to be done with a connection for one request.
struct Delivery: Sendable, Equatable {
    /// What is sent.
    enum Script: Sendable, Equatable {
        case whole(SimulatorReply)
        /// Nothing ever; the connection stays open.
        case silence
        /// The head and half of the body, then a reset.
        case resetMidReply(SimulatorReply)
        /// A reset without a byte.
        case reset
        case slowBody(SimulatorReply, bytesPerSecond: Int)
        /// These bytes, then the end of the connection.
        case raw([UInt8])

        /// The status that goes out, 0 for none.
        var status: Int {
            switch self {
            case .whole(let reply), .resetMidReply(let reply), .slowBody(let reply, _): reply.status
            case .silence, .reset, .raw: 0
            }
        }
    }

    /// The entry of the log; nil where the request is not logged.
    var logNumber: Int?
    var delayMilliseconds = 0
    var script: Script
}
