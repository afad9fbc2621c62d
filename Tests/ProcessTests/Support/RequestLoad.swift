import NIOHTTP1
import Synchronization

/// Clients that read and write over kept connections until they are stopped; every answer but a good one is a failure.
final class RequestLoad: Sendable {
    private struct State {
        var isStopping = false
        var answered = 0
        var failures: [String] = []
    }

    private let urls: [String]
    private let state = Mutex(State())

    init(_ urls: [String]) { self.urls = urls }

    var answered: Int { state.withLock { $0.answered } }
    var failures: [String] { state.withLock { $0.failures } }

    func stop() { state.withLock { $0.isStopping = true } }

    func run(_ client: Int) async {
        let url = urls[client % urls.count] + Samples.target
        var turn = 0
        while !state.withLock({ $0.isStopping }) {
            turn += 1
            do {
                let answer =
                    turn % 4 == 0
                    ? try await Exchange.send(.PUT, url, headers: Samples.headers(), body: Samples.body)
                    : try await Exchange.send(.GET, url, headers: Samples.headers())
                state.withLock { state in
                    state.answered += 1
                    if !(200..<300).contains(answer.status) { state.failures.append("\(answer.status) \(answer.text)") }
                }
            } catch {
                state.withLock { $0.failures.append("\(error)") }
            }
        }
    }
}
