import DexatelAPI

/// What goes wrong with a request.
enum FaultEffect: Sendable, Equatable {
    /// An error status in place of the reply; nothing is applied.
    case status(StatusFault)
    /// A redirect in place of the reply; nothing is applied.
    case redirect(status: Int, location: String)
    /// 200 with a page of HTML; nothing is applied.
    case maintenancePage
    /// Bytes that are not HTTP, then the connection closes; nothing is applied.
    case garbage
    /// Applied, then the connection is reset without a reply.
    case resetAfterApply
    /// Applied, then the head and half of the body, then the connection is reset.
    case resetMidReply
    /// Applied; the body is sent at this pace.
    case slowBody(bytesPerSecond: Int)
    /// Read and never answered; nothing is applied.
    case blackHole

    /// The kinds that rules can have, in the order in which they are looked at.
    enum Kind: String, CaseIterable, Sendable {
        case status
        case redirect
        case maintenancePage = "maintenance_page"
        case garbage
        case resetAfterApply = "reset_after_apply"
        case resetMidReply = "reset_mid_reply"
        case slowBody = "slow_body"
    }

    /// The kind; nil for what only the mode does.
    var kind: Kind? {
        switch self {
        case .status: .status
        case .redirect: .redirect
        case .maintenancePage: .maintenancePage
        case .garbage: .garbage
        case .resetAfterApply: .resetAfterApply
        case .resetMidReply: .resetMidReply
        case .slowBody: .slowBody
        case .blackHole: nil
        }
    }

    /// What the log calls it.
    var name: String { kind?.rawValue ?? FaultMode.blackHole.rawValue }
}

/// An error that a rule makes.
struct StatusFault: Sendable, Equatable {
    var status: Int
    /// The code in the upstream's error shape, where there is no body.
    var code = 0
    /// The value of `Retry-After`, in either form.
    var retryAfter: String?
    /// In place of the upstream's error shape: a string goes out as text, anything else as JSON.
    var body: JSONValue?

    /// The reply that is sent.
    func reply(to request: SimulatorRequest) -> SimulatorReply {
        var reply: SimulatorReply
        switch body {
        case nil:
            let known = DexatelErrorCode(rawValue: code)?.message
            reply = request.refusal(status, known ?? "Simulated fault", code: code)
        case .string(let text):
            reply = SimulatorReply(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
        case .some(let json):
            reply = SimulatorReply(status: status, json: json.text)
        }
        if let retryAfter { reply.add("Retry-After", retryAfter) }
        return reply
    }
}
