import NIOCore
import NIOHTTP1
import ResponseCache
import Synchronization
import TestSupport
import Testing
import Upstream

@testable import ProxyServer

@Suite("The body that the readers of a flight share")
struct FlightBodyTests {
    private let cache = MemoryCache(CacheConfiguration())
    private let key = CacheKey(partition: .shared, target: "/v1/a")

    private func flight() -> Flight { Flight(token: cache.fetchToken(key)) }

    private func head() throws -> FlightHead {
        let reply = ReplyHead(
            status: 200,
            headers: ["Cache-Control": "max-age=60"],
            times: ExchangeTimes(requestMilliseconds: 0, responseMilliseconds: 0, responseUnixSeconds: 0)
        )
        let request = CacheRequest(method: .GET, headers: [:])
        let plan = try StoragePlan(
            reply,
            to: request,
            key: key,
            token: cache.fetchToken(key),
            CacheConfiguration()
        )
        return FlightHead(reply: reply, plan: plan)
    }

    /// What a reader was told, in short.
    private final class Notes: Sendable {
        private let all = Mutex<[String]>([])

        var list: [String] { all.withLock { $0 } }

        func note(_ news: FlightNews) {
            let name =
                switch news {
                case .interim: "interim"
                case .head: "head"
                case .more: "more"
                case .tooLong: "too long"
                case .over(.reply): "reply"
                case .over(.failed): "failed"
                case .over(.notShared): "not shared"
                }
            all.withLock { $0.append(name) }
        }
    }

    /// Everything that is there for a reader now, and how it ends: `…` where more is to come.
    private func read(_ flight: Flight, _ reader: UInt64) -> String {
        var text = ""
        while true {
            switch flight.next(reader) {
            case .bytes(let bytes): text += String(buffer: bytes)
            case .nothing: return text + "…"
            case .end: return text + "."
            case .broken: return text + "!"
            }
        }
    }

    @Test("readers at any places get the same bytes, whatever the pieces that they came in")
    func places() {
        var random = SeededGenerator("shared body")
        for _ in 0..<50 {
            var (body, all) = (SharedBody(), ByteBuffer())
            var places = [Int](repeating: 0, count: 4)
            for number in 0..<60 as Range<UInt8> {
                let bytes = ByteBuffer(repeating: number, count: Int.random(in: 0...3_000, using: &random))
                body.append(bytes)
                all.writeImmutableBuffer(bytes)
                let reader = Int.random(in: 0..<places.count, using: &random)
                while Bool.random(using: &random), let bytes = body.bytes(from: places[reader]) {
                    let expected = all.getSlice(at: places[reader], length: bytes.readableBytes)
                    #expect(bytes.readableBytes > 0 && bytes == expected, "seed \(random.seed)")
                    places[reader] += bytes.readableBytes
                }
                let slowest = places.min() ?? 0
                if random.chance(oneIn: 5) { body.drop(before: slowest) }
                #expect(body.start <= slowest && body.end == all.writerIndex, "seed \(random.seed)")
                let rest = all.getSlice(at: body.start, length: body.end - body.start)
                #expect(body.whole == rest, "seed \(random.seed)")
            }
        }
    }

    @Test("a body that comes byte by byte is kept in few pieces")
    func dribble() {
        var body = SharedBody()
        for _ in 0..<10_000 { body.append(ByteBuffer(bytes: [7])) }
        #expect(body.bytes(from: 0)?.readableBytes == 10_000)
    }

    @Test(
        "leader and followers read as it comes, each at its own pace, and one that comes late begins at the beginning"
    )
    func paces() throws {
        let flight = flight()
        let (leader, slow) = (Notes(), Notes())
        let first = try #require(flight.attach(isLeader: true, takesPieces: true, leader.note))
        let second = try #require(flight.attach(isLeader: false, takesPieces: true, slow.note))
        #expect(first.head == nil)
        flight.show(try head())
        _ = flight.append(ByteBuffer(string: "one"))
        #expect(read(flight, first.reader) == "one…")
        let late = try #require(flight.attach(isLeader: false, takesPieces: true) { _ in })
        #expect(late.head != nil && read(flight, late.reader) == "one…")
        _ = flight.append(ByteBuffer(string: "two"))
        #expect(read(flight, first.reader) == "two…" && read(flight, late.reader) == "two…")
        flight.end(.notShared, isWhole: true)
        #expect(read(flight, first.reader) == "." && read(flight, second.reader) == "onetwo.")
        #expect(leader.list == ["head", "more", "more", "more"] && slow.list == leader.list)
        #expect(flight.attach(isLeader: false, takesPieces: true) { _ in } == nil)
    }

    @Test("those that wait for the whole hear of the end alone, once")
    func whole() throws {
        let (flight, notes) = (flight(), Notes())
        _ = flight.attach(isLeader: false, takesPieces: false, notes.note)
        flight.show(try head())
        _ = flight.append(ByteBuffer(string: "one"))
        flight.end(.failed(.tooSlow))
        flight.end(.notShared)
        #expect(notes.list == ["head", "failed"])
    }

    @Test("the readers of a reply that breaks off get what has come, and no end")
    func brokenOff() throws {
        let flight = flight()
        let reader = try #require(flight.attach(isLeader: false, takesPieces: true) { _ in }).reader
        flight.show(try head())
        _ = flight.append(ByteBuffer(string: "one"))
        flight.end(.failed(.tooSlow))
        #expect(read(flight, reader) == "one!")
    }

    @Test("what is not for sharing is the leader's: followers that have not got the head are sent away")
    func leadersOwn() throws {
        let (flight, leader, follower) = (flight(), Notes(), Notes())
        let own = try #require(flight.attach(isLeader: true, takesPieces: true, leader.note)).reader
        _ = flight.attach(isLeader: false, takesPieces: true, follower.note)
        #expect(flight.stream(maxLagBytes: 0))
        flight.show(try head())
        _ = flight.append(ByteBuffer(string: "one"))
        #expect(follower.list == ["not shared"] && leader.list == ["head", "more"])
        #expect(read(flight, own) == "one…")
    }

    @Test(
        "beyond the bound the readers go on, whole-takers are sent away, and a leader that waited takes what there is"
    )
    func tooLong() throws {
        let (flight, leader, whole) = (flight(), Notes(), Notes())
        let own = try #require(flight.attach(isLeader: true, takesPieces: false, leader.note)).reader
        _ = flight.attach(isLeader: false, takesPieces: false, whole.note)
        let follower = try #require(flight.attach(isLeader: false, takesPieces: true) { _ in }).reader
        flight.show(try head())
        _ = flight.append(ByteBuffer(string: "one"))
        #expect(read(flight, follower) == "one…")
        #expect(flight.stream(maxLagBytes: 1 << 20))
        flight.hurryLeader(try head())
        _ = flight.append(ByteBuffer(string: "two"))
        #expect(whole.list == ["head", "not shared"] && leader.list == ["head", "too long", "more"])
        flight.end(.notShared, isWhole: true)
        #expect(read(flight, own) == "onetwo." && read(flight, follower) == "two.")
    }

    @Test("beyond the bound the fastest reader sets the pace, and one that falls too far behind is broken off")
    func laggard() throws {
        let flight = flight()
        let fast = try #require(flight.attach(isLeader: true, takesPieces: true) { _ in }).reader
        let slow = try #require(flight.attach(isLeader: false, takesPieces: true) { _ in }).reader
        let demands = Mutex<[Flight.Demand]>([])
        flight.setDemand { demand in demands.withLock { $0.append(demand) } }
        flight.show(try head())
        #expect(flight.stream(maxLagBytes: 1 << 20))
        let piece = ByteBuffer(repeating: 7, count: 64 << 10)
        var sent = 0
        for _ in 0..<16 {
            var isPaused = false
            while !isPaused {
                isPaused = flight.append(piece)
                sent += piece.readableBytes
            }
            // It is read again once the fast one has taken it; the slow one does not matter.
            #expect(demands.withLock { $0.isEmpty })
            #expect(read(flight, fast).utf8.count > 0)
            #expect(demands.withLock { $0.count } == 1)
            demands.withLock { $0 = [] }
        }
        #expect(sent > 2 << 20 && flight.body.readableBytes <= 1 << 20)
        #expect(read(flight, slow) == "!")
        flight.end(.notShared, isWhole: true)
        #expect(read(flight, fast) == ".")
    }

    @Test("a flight whose reply is for its readers alone ends with the last of them; one that is stored does not")
    func lastReader() throws {
        for isStream in [false, true] {
            let flight = flight()
            let stops = Atomic<Int>(0)
            flight.setDemand { demand in
                if case .stop = demand { stops.add(1, ordering: .relaxed) }
            }
            let first = try #require(flight.attach(isLeader: true, takesPieces: true) { _ in }).reader
            let second = try #require(flight.attach(isLeader: false, takesPieces: true) { _ in }).reader
            flight.show(try head())
            if isStream { #expect(flight.stream(maxLagBytes: 1 << 20)) }
            flight.leave(first)
            #expect(stops.load(ordering: .relaxed) == 0)
            flight.leave(second)
            #expect(stops.load(ordering: .relaxed) == (isStream ? 1 : 0))
        }
    }
}
