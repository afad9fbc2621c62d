import HTTPWire
import NIOCore
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing
import Upstream

@testable import ProxyServer

/// Reads, flights, a real cache and a clock, in which everything happens in any order.
@Suite("The decisions of a read")
struct ReadStateTests {
    @Test("a read is answered once, with nothing older or staler than it may be, in any order of events")
    func anyOrder() {
        let runs = SeededGenerator("read state")
        for run in 0..<400 as Range<UInt64> {
            var world = World(SeededGenerator(seed: runs.seed &+ run))
            for _ in 0..<150 { world.step() }
            world.finish()
            #expect(world.faults.isEmpty, "TEST_SEED=\(runs.seed &+ run): \(world.faults.prefix(3))")
            if !world.faults.isEmpty { return }
        }
    }

    @Test("all that can happen to a read does happen in these runs")
    func coverage() {
        var seen: Set<String> = []
        for seed in 0..<400 as Range<UInt64> {
            var world = World(SeededGenerator(seed: seed))
            for _ in 0..<150 { world.step() }
            world.finish()
            seen.formUnion(world.seen)
        }
        let expected: Set<String> = [
            "fresh", "stale", "stale on failure", "own", "shared", "stream", "shared stream", "error", "pass-through",
            "left",
        ]
        #expect(seen == expected)
    }
}

private final class Read {
    let request: CacheRequest
    let habits: ReadState.Habits
    var state: ReadState
    let startedAt: Int64
    var flight: SimulatedFlight?
    var isLeader = false
    var answers = 0
    var isGone = false
    var isOnDisk = false
    var isRendering = false
    var isTimed = false
    /// Whether something stale may be shown, as the upstream has failed or is not to be asked.
    var hasExcuse = false
    /// Whether something past its lifetime may be shown, as the upstream has not answered in time.
    var isLate = false
    /// What its own flight, or the one that it followed, has brought.
    var brought: Set<ObjectIdentifier> = []

    init(_ fields: HTTPHeaders, mayFetch: Bool, takesWhole: Bool, _ now: Int64) {
        request = CacheRequest(method: .GET, headers: fields)
        habits = ReadState.Habits(
            mayFetch: mayFetch,
            insists: request.insistsOnUpstream,
            takesWhole: takesWhole
        )
        state = ReadState(habits)
        startedAt = now
    }

    var onlyIfCached: Bool { text == "only-if-cached" }
    var saysNoCache: Bool { text == "no-cache" }

    private var text: String? { request.fields.headers.first(name: "Cache-Control") }
}

private final class SimulatedFlight {
    let token: FetchToken
    let beganAt: Int64
    var readers: [Read] = []
    var head: FlightHead?
    var isClosed = false

    init(_ token: FetchToken, _ now: Int64) { (self.token, beganAt) = (token, now) }
}

/// Executes actions as the exchange does, and judges them by rules of its own.
private struct World {
    private struct Terms {
        var askedAt: Int64
        var lifetime: Int64
        var whileRevalidate: Int64
        var ifError: Int64
        var mustRevalidate: Bool
    }

    private let cache = MemoryCache(CacheConfiguration())
    private let key = CacheKey(partition: .key(high: 1, low: 2), target: "/v1/senders")
    private var random: SeededGenerator
    private var now: Int64 = 1_000_000
    private var invalidatedAt = Int64.min
    private var isHealthy = true
    private var reads: [Read] = []
    private var flights: [SimulatedFlight] = []
    private var terms: [ObjectIdentifier: Terms] = [:]
    /// What was stored stays alive, so that it is known again.
    private var kept: [StoredResponse] = []
    private(set) var faults: [String] = []
    private(set) var seen: Set<String> = []

    init(_ random: SeededGenerator) { self.random = random }

    private mutating func check(_ isRight: Bool, _ fault: @autoclosure () -> String) {
        if !isRight { faults.append(fault()) }
    }

    // MARK: Events

    mutating func step() {
        now += Int64.random(in: 0...2_000, using: &random)
        switch Int.random(in: 0..<14, using: &random) {
        case 0..<4: begin()
        case 4..<7: if let flight = flights.randomElement(using: &random) { fly(flight) }
        case 7: invalidate()
        case 8: isHealthy.toggle()
        case 9: now += 20_000
        case 10:
            guard let read = reads.randomElement(using: &random) else { return }
            read.isGone = read.isGone || read.answers == 0
            read.state.cancel()
            leave(read)
        case 11:
            guard let read = reads.randomElement(using: &random) else { return }
            read.isLate = read.isLate || read.isTimed
            // A timer that was not set does not fire.
            if read.isTimed { execute(read.state.waitIsOver(), read) }
        default: for read in reads.shuffled(using: &random).prefix(3) { goOn(read) }
        }
    }

    mutating func finish() {
        for read in reads { goOn(read) }
        while let flight = flights.first { land(flight) }
        for read in reads {
            while read.isOnDisk || read.isRendering { goOn(read) }
        }
        while let flight = flights.first {
            land(flight)
            for read in reads { goOn(read) }
        }
        for read in reads { check(read.isGone ? read.answers <= 1 : read.answers == 1, "\(read.answers) answers") }
    }

    private mutating func begin() {
        let fields: HTTPHeaders =
            switch Int.random(in: 0..<8, using: &random) {
            case 0: ["Cache-Control": "no-cache"]
            case 1: ["Cache-Control": "max-age=0"]
            case 2: ["Cache-Control": "only-if-cached"]
            default: [:]
            }
        let read = Read(
            fields,
            mayFetch: !random.chance(oneIn: 8),
            takesWhole: Bool.random(using: &random),
            now
        )
        reads.append(read)
        execute(found(read), read)
    }

    private func lookUp(_ read: Read) -> CacheAnswer {
        cache.lookup(key, read.request, nowMilliseconds: now, isRepeated: true)
    }

    private mutating func found(_ read: Read) -> ReadState.Action {
        if !isHealthy { read.hasExcuse = true }
        let mayBeOnDisk = Bool.random(using: &random)
        let isUnstorable = random.chance(oneIn: 6)
        return read.state.found(
            lookUp(read),
            mayBeOnDisk: { mayBeOnDisk },
            mustNotWait: { [isHealthy] _ in !isHealthy },
            isUnstorable: { isUnstorable }
        )
    }

    /// What was begun outside of the event loop ends.
    private mutating func goOn(_ read: Read) {
        if read.isOnDisk {
            read.isOnDisk = false
            let isTooMany = random.chance(oneIn: 5)
            execute(read.state.lookedOnDisk(isTooMany ? .tooMany : .done, isHealthy: isHealthy), read)
        } else if read.isRendering {
            read.isRendering = false
            execute(read.state.overlaid(.unchanged), read)
        }
    }

    private mutating func invalidate() {
        now += 1
        cache.invalidate(target: key.target)
        invalidatedAt = now
        now += 1
    }

    // MARK: Flights

    private mutating func fly(_ flight: SimulatedFlight) {
        guard flight.head == nil, Bool.random(using: &random), let (reply, plan, _) = reply(flight) else {
            return land(flight)
        }
        let head = FlightHead(reply: reply, plan: plan)
        flight.head = head
        for read in flight.readers where read.flight === flight {
            let suits = read.isLeader || !random.chance(oneIn: 6)
            execute(read.state.head(head, suits: suits), read)
        }
    }

    private func cacheControl(_ terms: Terms) -> String {
        "max-age=\(terms.lifetime), stale-while-revalidate=\(terms.whileRevalidate), stale-if-error=\(terms.ifError)"
            + (terms.mustRevalidate ? ", must-revalidate" : "")
    }

    private mutating func reply(_ flight: SimulatedFlight) -> (ReplyHead, StoragePlan, Terms)? {
        let terms = Terms(
            askedAt: flight.beganAt,
            lifetime: Int64.random(in: 1...15, using: &random),
            whileRevalidate: Int64.random(in: 0...10, using: &random),
            ifError: Int64.random(in: 0...40, using: &random),
            mustRevalidate: random.chance(oneIn: 4)
        )
        let reply = ReplyHead(
            status: 200,
            headers: ["Cache-Control": cacheControl(terms)],
            times: ExchangeTimes(
                requestMilliseconds: flight.beganAt,
                responseMilliseconds: now,
                responseUnixSeconds: 1_700_000_000 + now / 1000
            )
        )
        let request = CacheRequest(method: .GET, headers: [:])
        guard
            let plan = try? StoragePlan(
                reply,
                to: request,
                key: key,
                token: flight.token,
                cache.configuration
            )
        else { return nil }
        return (reply, plan, terms)
    }

    private mutating func land(_ flight: SimulatedFlight) {
        var outcome = FlightOutcome.failed(.tooSlow)
        var isFailure = true
        switch Int.random(in: 0..<6, using: &random) {
        case 0: break
        case 1: (outcome, isFailure) = (.notShared, false)
        case 2:
            if let (reply, _, _) = reply(flight) {
                let head = ReplyHead(status: 503, headers: [:], times: reply.times)
                var fetched = FetchedReply(response: .unstored(head, body: ByteBuffer()), upstreamStatus: 503)
                fetched.failure = .init(isUnserved: true)
                kept.append(fetched.response)
                outcome = .reply(fetched)
            }
        default:
            if let (_, plan, terms) = reply(flight), let stored = try? cache.store(plan, body: ByteBuffer()) {
                self.terms[ObjectIdentifier(stored)] = terms
                kept.append(stored)
                (outcome, isFailure) = (.reply(FetchedReply(response: stored, upstreamStatus: 200)), false)
            }
        }
        flight.isClosed = true
        flights.removeAll { $0 === flight }
        for read in flight.readers where read.flight === flight {
            // One that reads the body as it comes has its answer already.
            guard flight.head == nil || read.habits.takesWhole else {
                leave(read)
                continue
            }
            let suits = read.isLeader || !random.chance(oneIn: 6)
            var given = outcome
            // A reply that is not for sharing is its leader's all the same.
            if read.isLeader, case .notShared = outcome, let (reply, _, _) = reply(flight) {
                let own = FetchedReply(response: .unstored(reply, body: ByteBuffer()), upstreamStatus: 200)
                kept.append(own.response)
                given = .reply(own)
            }
            if case .reply(let reply) = given { read.brought.insert(ObjectIdentifier(reply.response)) }
            read.hasExcuse = read.hasExcuse || isFailure
            execute(read.state.landed(given, suits: suits), read)
        }
    }

    private func leave(_ read: Read) {
        read.flight?.readers.removeAll { $0 === read }
        read.flight = nil
    }

    // MARK: Actions

    private mutating func execute(_ action: ReadState.Action, _ read: Read) {
        switch action {
        case .nothing: break
        case .lookOnDisk:
            check(!read.isOnDisk && read.answers == 0, "looks on disk again")
            read.isOnDisk = true
        case .lookUp: execute(found(read), read)
        case .fetch(let fetch): begin(fetch, read)
        case .leaveAndFetch(let token):
            check(read.flight != nil, "leaves no flight")
            leave(read)
            seen.insert("left")
            if case .fresh(let hit) = lookUp(read) { return execute(read.state.foundMeanwhile(hit.response), read) }
            lead(read, token)
        case .findStandIn(let validation, let isDisconnected):
            let found = cache.staleIfError(
                validation,
                key,
                read.request,
                isDisconnected: isDisconnected,
                nowMilliseconds: now
            )
            execute(read.state.standIn(found), read)
        case .overlay(let base, _, _):
            check(!read.isRendering && read.answers == 0, "is settled twice")
            leave(read)
            if let base { judge(base, read) }
            read.isRendering = true
            if Bool.random(using: &random) { goOn(read) }
        case .answer:
            read.answers += 1
        case .answerError:
            seen.insert("error")
            read.answers += 1
        case .stream:
            check(read.flight?.head != nil && !read.habits.takesWhole, "streams what is not there")
            seen.insert(read.isLeader ? "stream" : "shared stream")
            read.answers += 1
        case .passThrough:
            check(!read.habits.mayFetch, "passes through what may be fetched")
            seen.insert("pass-through")
            read.answers += 1
        }
        check(!read.isGone || read.answers == 0, "answers a client that has gone")
    }

    private mutating func begin(_ fetch: ReadState.Fetch, _ read: Read) {
        check(!read.isGone && read.answers == 0 && read.flight == nil, "fetches without a reader")
        check(!read.onlyIfCached, "fetches for only-if-cached")
        check(fetch.isAlone || !read.habits.insists, "follows though it insists on the upstream's word")
        read.isTimed = fetch.isTimed
        if random.chance(oneIn: 12) {
            read.hasExcuse = true
            return execute(read.state.crowded(), read)
        }
        guard !fetch.isAlone else { return lead(read, fetch.token) }
        if let latest = flights.last, cache.isCurrent(key, since: latest.token) {
            check(latest.beganAt > invalidatedAt, "follows a flight from before a write")
            latest.readers.append(read)
            read.flight = latest
            read.state.follows()
            if let head = latest.head { execute(read.state.head(head, suits: true), read) }
            return
        }
        if case .fresh(let hit) = lookUp(read) { return execute(read.state.foundMeanwhile(hit.response), read) }
        lead(read, fetch.token)
    }

    private mutating func lead(_ read: Read, _ token: FetchToken) {
        if random.chance(oneIn: 8) {
            read.hasExcuse = true
            return execute(read.state.refused(retryAt: nil), read)
        }
        let flight = SimulatedFlight(token, now)
        flight.readers = [read]
        flights.append(flight)
        read.flight = flight
        read.isLeader = true
        read.state.leads()
    }

    /// Whether a reply may be shown to a read now, by the rules of RFC 9111 §4 and RFC 5861 as they are written there.
    private mutating func judge(_ response: StoredResponse, _ read: Read) {
        if read.brought.contains(ObjectIdentifier(response)) {
            seen.insert(read.isLeader ? "own" : "shared")
            check(!read.habits.insists || response.requestedMilliseconds >= read.startedAt, "older than was asked for")
            return
        }
        guard let terms = terms[ObjectIdentifier(response)] else { return check(false, "an unknown reply") }
        let age = (now - terms.askedAt) / 1000
        let isInvalidated = terms.askedAt <= invalidatedAt
        // An age of 0 is not more than `max-age=0` (RFC 9111 §5.2.1.1).
        let isWelcome = !read.habits.insists || read.hasExcuse || !read.saysNoCache && age == 0
        if age < terms.lifetime, !isInvalidated, isWelcome { return _ = seen.insert("fresh") }
        check(!terms.mustRevalidate || age < terms.lifetime && !isInvalidated, "stale against must-revalidate")
        let staleFor = age - terms.lifetime
        if !isInvalidated, !read.habits.insists, staleFor <= terms.whileRevalidate { return _ = seen.insert("stale") }
        let told = "age \(age) of \(terms), invalidated at \(invalidatedAt), late: \(read.isLate), now \(now)"
        check(read.hasExcuse || read.isLate && !isInvalidated, "stale without a failure: \(told)")
        check(staleFor <= terms.ifError || age < terms.lifetime, "too stale")
        seen.insert("stale on failure")
    }
}
