import TestSupport
import Testing

@testable import ProxyServer

@Suite("Connection state")
struct ConnectionStateTests {
    /// Applies events to a new connection; the first disagreement with the model.
    private func disagreement(_ events: [ConnectionEvent]) -> String? {
        var driver = ConnectionDriver()
        for event in events {
            guard driver.isPossible(event) else { return nil }
            if let difference = driver.apply(event) { return "\(events): \(difference)" }
        }
        return nil
    }

    @Test("every sequence of four events goes as the model says, on a new connection and within a request")
    func exhaustively() {
        let prefixes: [[ConnectionEvent]] = [
            [], [.head], [.head, .end], [.head, .stream], [.head, .answer], [.failed, .answer],
        ]
        var sequences = 0
        func extend(_ events: [ConnectionEvent], _ depth: Int) {
            for event in ConnectionEvent.allCases {
                var driver = ConnectionDriver()
                for earlier in events { _ = driver.apply(earlier) }
                guard driver.isPossible(event) else { continue }
                sequences += 1
                if let difference = driver.apply(event) {
                    Issue.record("\(events): \(difference)")
                } else if depth > 1 {
                    extend(events + [event], depth - 1)
                }
            }
        }
        for prefix in prefixes {
            #expect(disagreement(prefix) == nil)
            extend(prefix, 4 - (prefix.count > 1 ? 1 : 0))
        }
        #expect(sequences > 50_000)
    }

    @Test("long lives go as the model says", arguments: 0..<64)
    func randomly(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            var driver = ConnectionDriver()
            var events: [ConnectionEvent] = []
            for _ in 0..<60 {
                guard let event = ConnectionEvent.allCases.randomElement(using: &generator), driver.isPossible(event)
                else { continue }
                // Ends would make most lives short.
                let isEnd = [.inputClosed, .quiesce, .endIdle, .failed, .abort, .answerThatCloses].contains(event)
                if isEnd, UInt.random(in: 0..<8, using: &generator) != 0 { continue }
                events.append(event)
                if let difference = driver.apply(event) {
                    Issue.record("\(events): \(difference)")
                    return
                }
            }
        }
    }

    @Test("a body that is thrown away keeps the connection up to its bound, and not beyond")
    func discardBound() {
        var state = ConnectionState()
        _ = state.receivedHead(keepsAlive: true)
        _ = state.beginAnswer(mustClose: false)
        let afterAnswer = state.endAnswer()
        let atBound = state.receivedBody(bytes: ConnectionState.maxDiscardedBytes)
        let beyond = state.receivedBody(bytes: 1)
        let lingering = state.receivedBody(bytes: ConnectionState.maxLingeringBytes)
        let farBeyond = state.receivedBody(bytes: 1)
        #expect(afterAnswer == .discardRest)
        #expect([atBound, beyond, lingering, farBeyond] == [.discard, .linger, .discard, .close])
    }

    @Test(
        "an answer says that it ends the connection if more of the body may follow than is thrown away",
        arguments: [
            (ConnectionState.maxDiscardedBytes, 0, false), (ConnectionState.maxDiscardedBytes + 1, 0, true),
            (ConnectionState.maxDiscardedBytes + 1, 1, false), (nil, 0, true),
        ]
    )
    func announcesClose(_ bodyBytes: Int?, received: Int, closes: Bool) {
        var state = ConnectionState()
        _ = state.receivedHead(keepsAlive: true, bodyBytes: bodyBytes)
        if received > 0 { _ = state.receivedBody(bytes: received) }
        let saysClose = state.beginAnswer(mustClose: false)
        let action = state.endAnswer()
        #expect(saysClose == closes)
        #expect(action == (closes ? .linger : .discardRest))
    }

    @Test("an answer to a whole request does not end the connection, however long its body was")
    func keepsConnectionAfterWholeBody() {
        for bodyBytes in [nil, 10_000_000] {
            var state = ConnectionState()
            _ = state.receivedHead(keepsAlive: true, bodyBytes: bodyBytes)
            _ = state.receivedBody(bytes: 10_000_000)
            _ = state.receivedEnd()
            let saysClose = state.beginAnswer(mustClose: false)
            #expect(!saysClose)
        }
    }

    @Test("an answer before the body was asked for ends the connection, as the body may or may not follow")
    func expectsContinue() {
        var state = ConnectionState()
        _ = state.receivedHead(keepsAlive: true, expectsContinue: true)
        let closes = state.beginAnswer(mustClose: false)
        let action = state.endAnswer()
        #expect(closes)
        #expect(action == .linger)
    }

    @Test("the body is asked for once")
    func asksOnce() {
        var state = ConnectionState()
        _ = state.receivedHead(keepsAlive: true, expectsContinue: true)
        let wants = [state.wantsBody(), state.wantsBody()]
        let closes = state.beginAnswer(mustClose: false)
        #expect(wants == [true, false])
        #expect(!closes)
    }
}
