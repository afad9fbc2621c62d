/// Everything that requests share: contacts, faults, log and counts, changed by one request at a time.
struct SimulatorCore: Sendable {
    var state: SimulatorState
    var faults = FaultPlan()
    var log: RequestLog
    var counts = RequestCounts()
    private var keys = KeyTable()

    init(settings: SimulatorSettings = SimulatorSettings(), logLimit: Int = 1_000_000) {
        state = SimulatorState(settings: settings)
        log = RequestLog(limit: logLimit)
    }

    /// Decides about one request, applies it, logs it.
    mutating func serve(_ request: SimulatorRequest) -> Delivery {
        let decision = faults.decide(request)
        var isApplied = false
        let script: Delivery.Script
        switch decision.effect {
        case nil:
            script = .whole(apply(request, &isApplied))
        case .status(let fault):
            script = .whole(fault.reply(to: request))
        case .redirect(let status, let location):
            var reply = SimulatorReply(status: status)
            reply.add("Location", location)
            script = .whole(reply)
        case .maintenancePage:
            script = .whole(Self.maintenancePage)
        case .garbage:
            script = .raw(Self.garbage)
        case .resetAfterApply:
            _ = apply(request, &isApplied)
            script = .reset
        case .resetMidReply:
            script = .resetMidReply(apply(request, &isApplied))
        case .slowBody(let bytesPerSecond):
            script = .slowBody(apply(request, &isApplied), bytesPerSecond: bytesPerSecond)
        case .blackHole:
            script = .silence
        }
        note(request, script, isApplied: isApplied, fault: decision.effect?.name)
        return Delivery(
            logNumber: log.lastNumber,
            delayMilliseconds: decision.delayMilliseconds,
            script: script
        )
    }

    /// Notes that the reply of a delivery was never sent: its connection went before its time came.
    mutating func withdraw(_ delivery: Delivery) {
        guard let number = delivery.logNumber, delivery.script.status != 0 else { return }
        log.withdrawStatus(of: number)
        counts.withdraw(status: delivery.script.status)
    }

    private mutating func apply(_ request: SimulatorRequest, _ isApplied: inout Bool) -> SimulatorReply {
        let reply = state.handle(request)
        isApplied = reply.isApplied
        return reply
    }

    private mutating func note(
        _ request: SimulatorRequest,
        _ script: Delivery.Script,
        isApplied: Bool,
        fault: String?
    ) {
        counts.note(method: request.method, status: script.status)
        let keyIndex = request.key.flatMap { keys.index(of: $0) }
        log.append { number in
            LogEntry(
                number: number,
                milliseconds: request.receivedMilliseconds,
                method: request.method,
                target: request.target,
                keyFingerprint: request.key.map { Fingerprint.hash($0.utf8) },
                keyIndex: keyIndex,
                audience: request.route?.audience,
                contact: request.route?.contact,
                body: request.body.count <= RequestLog.bodyLimitBytes ? request.body : nil,
                bodyByteCount: request.body.count,
                status: script.status,
                isApplied: isApplied,
                fault: fault
            )
        }
    }

    private static let maintenancePage = SimulatorReply(
        status: 200,
        contentType: "text/html; charset=utf-8",
        body: Array("<!doctype html><title>Maintenance</title><p>We will be back soon.</p>\n".utf8)
    )

    private static let garbage = Array("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}F this is not HTTP \u{7F}\u{1}\r\n\r\n".utf8)
}
