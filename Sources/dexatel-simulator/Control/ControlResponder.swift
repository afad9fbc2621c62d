import NIOCore

/// The control port: reads and switches what the API port does.
struct ControlResponder: HTTPResponder {
    let api: APIResponder
    let listener: HTTPListener

    /// Bulk seeds are long.
    var bodyLimitBytes: Int { 67_108_864 }
    var isSilent: Bool { false }

    func withdraw(_ delivery: Delivery) {}
    func connectionOpened() {}
    func connectionClosed() {}

    func respond(to request: SimulatorRequest, on eventLoop: any EventLoop) -> HTTPAnswer {
        let outcome = api.withCore { ControlRouter.route(request, &$0) }
        switch outcome {
        case .reply(let reply):
            return .now(Delivery(script: .whole(reply)))
        case .log(let entries, let dropped, let form):
            return .now(Delivery(script: .whole(LogRendering.reply(entries, dropped: dropped, form: form))))
        case .faultsChanged(let reply):
            let (api, listener) = (api, listener)
            let promise = eventLoop.makePromise(of: Delivery.self)
            promise.completeWithTask {
                // The reply tells that the switch has taken effect, or why it has not.
                do {
                    try await listener.follow { api.withCore { $0.faults.mode != .down } }
                    return Delivery(script: .whole(reply))
                } catch {
                    return Delivery(script: .whole(ControlRouter.problem(500, "the port could not be bound: \(error)")))
                }
            }
            return .later(promise.futureResult)
        }
    }
}
