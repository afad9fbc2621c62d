import NIOCore
import TestSupport
import Testing

@testable import HTTPClient

@Suite("Pool")
struct PoolStateTests {
    private final class Request { let traffic: TrafficClass; init(_ traffic: TrafficClass) { self.traffic = traffic } }
    private final class Connection {}
    private typealias State = PoolState<Request, Connection>

    private static let start = NIODeadline.uptimeNanoseconds(0)
    private static let later = NIODeadline.uptimeNanoseconds(.max / 2)

    private static func accepted(_ submission: State.Submission) -> [State.Step]? {
        if case .accepted(let steps) = submission { steps } else { nil }
    }

    @Test("each class has its share of the places, whatever the others take", arguments: [5, 8, 16, 32, 100])
    func shares(places: Int) {
        for greedy in TrafficClass.allCases {
            var shares = PoolShares(places: places)
            while shares.admits(greedy) { shares.take(greedy) }
            for other in TrafficClass.allCases where other != greedy {
                #expect(shares.admits(other))
                while shares.admits(other) { shares.take(other) }
            }
            #expect(shares.takenPlaces == places)
        }
    }

    @Test("one class alone never takes the last place of a small pool", arguments: [2, 3, 4])
    func smallPool(places: Int) {
        var shares = PoolShares(places: places)
        while shares.admits(.passThrough) { shares.take(.passThrough) }
        #expect(shares.takenPlaces == places - 1)
        #expect(shares.admits(.delivery))
    }

    @Test("a request takes the connection that rested last, and none that rested too long")
    func idle() {
        var state = State(places: 4, maxWaiting: 4)
        let (old, young) = (Connection(), Connection())
        let requests = [Request(.read), Request(.read), Request(.read), Request(.read)]
        for request in requests[..<2] { _ = state.submit(request, .read, now: Self.start) }
        _ = state.dialed(old, expires: Self.later, now: Self.start)
        _ = state.dialed(young, expires: Self.later, now: Self.start)
        _ = state.ended(.read, old, expires: .uptimeNanoseconds(10), now: Self.start)
        _ = state.ended(.read, young, expires: .uptimeNanoseconds(20), now: Self.start)
        #expect(state.nextExpiry == .uptimeNanoseconds(10))
        guard case .run(_, let used)? = Self.accepted(state.submit(requests[2], .read, now: Self.start))?.first else {
            Issue.record("no connection")
            return
        }
        #expect(used === young)
        let steps = Self.accepted(state.submit(requests[3], .read, now: .uptimeNanoseconds(10))) ?? []
        guard case .close(let closed)? = steps.first, case .dial? = steps.last else {
            Issue.record("\(steps)")
            return
        }
        #expect(closed === old)
    }

    @Test("a request that was sent on a stale connection gets a fresh one")
    func retry() {
        var state = State(places: 8, maxWaiting: 4)
        let (first, second) = (Request(.read), Request(.read))
        let (stale, fresh, idle) = (Connection(), Connection(), Connection())
        for request in [first, second] { _ = state.submit(request, .read, now: Self.start) }
        _ = state.dialed(stale, expires: Self.later, now: Self.start)
        _ = state.dialed(idle, expires: Self.later, now: Self.start)
        _ = state.ended(.read, idle, expires: Self.later, now: Self.start)
        #expect(state.retry(first, .read, now: Self.start).count == 1)
        guard case .run(let request, let used)? = state.dialed(fresh, expires: Self.later, now: Self.start).first else {
            Issue.record("no connection")
            return
        }
        #expect(request === first && used === fresh)
        #expect(state.idleConnections.count == 1)
    }

    @Test("in random traffic places are kept, classes are in order, and nothing is left over")
    func random() {
        var generator = SeededGenerator("pool")
        for _ in 0..<200 { Model(&generator).run(&generator) }
    }

    /// Drives a state at random and looks at what it does.
    private final class Model {
        private var state: State
        private let places: Int
        private var waiting: [[Request]] = TrafficClass.allCases.map { _ in [] }
        private var running: [(Request, Connection)] = []
        private var idle: [Connection] = []
        private var dials = 0

        init(_ generator: inout SeededGenerator) {
            places = Int.random(in: 1...40, using: &generator)
            state = State(places: places, maxWaiting: 20)
        }

        func run(_ generator: inout SeededGenerator) {
            for _ in 0..<300 { step(&generator) }
            while dials > 0 || !running.isEmpty {
                if dials > 0 { dialed(fails: false) }
                if !running.isEmpty { end(0, keeps: true) }
            }
            #expect(waiting.allSatisfy { $0.isEmpty })
        }

        private func step(_ generator: inout SeededGenerator) {
            switch Int.random(in: 0..<8, using: &generator) {
            case 0...2:
                let traffic = TrafficClass.allCases.randomElement(using: &generator) ?? .read
                let request = Request(traffic)
                switch state.submit(request, traffic, now: PoolStateTests.start) {
                case .refused: #expect(waiting[traffic.rawValue].count >= 20)
                case .accepted(let steps):
                    waiting[traffic.rawValue].append(request)
                    take(steps)
                }
            case 3 where dials > 0: dialed(fails: generator.chance(oneIn: 3))
            case 4 where !running.isEmpty, 5 where !running.isEmpty:
                end(Int.random(in: 0..<running.count, using: &generator), keeps: !generator.chance(oneIn: 3))
            case 6:
                let traffic = TrafficClass.allCases.randomElement(using: &generator) ?? .read
                guard let request = waiting[traffic.rawValue].randomElement(using: &generator) else { return }
                let (isFound, steps) = state.withdraw(request, traffic, now: PoolStateTests.start)
                #expect(isFound)
                waiting[traffic.rawValue].removeAll { $0 === request }
                take(steps)
            case 7 where !idle.isEmpty:
                let connection = idle.remove(at: Int.random(in: 0..<idle.count, using: &generator))
                state.idleClosed(connection)
            default: break
            }
            #expect(running.count <= places)
        }

        private func dialed(fails: Bool) {
            dials -= 1
            if fails { return take(state.dialFailed(now: PoolStateTests.start)) }
            let connection = Connection()
            let steps = state.dialed(connection, expires: PoolStateTests.later, now: PoolStateTests.start)
            if steps.isEmpty { idle.append(connection) }
            take(steps)
        }

        private func end(_ index: Int, keeps: Bool) {
            let (request, connection) = running.remove(at: index)
            let kept = keeps ? connection : nil
            let steps = state.ended(
                request.traffic,
                kept,
                expires: PoolStateTests.later,
                now: PoolStateTests.start
            )
            if let kept { idle.append(kept) }
            take(steps)
        }

        private func take(_ steps: [State.Step]) {
            for step in steps {
                switch step {
                case .dial: dials += 1
                case .fail(let request): remove(request)
                case .close(let connection): idle.removeAll { $0 === connection }
                case .run(let request, let connection):
                    remove(request)
                    idle.removeAll { $0 === connection }
                    running.append((request, connection))
                }
            }
        }

        /// Within a class the first to come is the first to go.
        private func remove(_ request: Request) {
            #expect(waiting[request.traffic.rawValue].first === request)
            waiting[request.traffic.rawValue].removeAll { $0 === request }
        }
    }
}
