import HTTPClient
import HTTPWire
import NIOCore
import Outbox
import ResponseCache
import Upstream

/// Answers reads: at once and on the event loop if the cache can, else through an exchange (design §5, §9).
struct ReadRouting {
    let server: ServerCore

    /// Serves a GET or HEAD.
    func serve(
        _ head: RequestHead,
        _ subject: ReadRequest.Subject,
        on connection: ConnectionHandler
    ) {
        var cacheRequest = CacheRequest(head)
        let caller: Caller
        do throws(ClientRefusal) {
            caller = try connection.admit(ClientFields(head))
        } catch {
            let reply = server.errors.refused(error, isRelayEndpoint: false, for: RequestSummary(head))
            return connection.answer(reply, from: nil)
        }
        if caller.takesAuthorization { cacheRequest.disregardAuthorization() }
        cacheRequest.asksForIdentity = subject != .other
        let read = ReadRequest(subject, caller, cacheRequest)
        // A read that waits for the key's writes, or has a body, is the upstream's alone.
        if head.body != .known(0) || head.fields.has(.prefer) && Preference(head.fields).relayBarrier {
            return passThrough(read, .bypass, nil, on: connection)
        }
        let now = server.reads.clock.milliseconds()
        let answer = server.reads.cache.lookup(read.cacheKey, read.cacheRequest, nowMilliseconds: now)
        if case .fresh(let hit) = answer, deliver(hit, read, now, on: connection) { return }
        let exchange = ReadExchange(read, mayFetch: !mustPassThrough(read), server: server, connection: connection)
        exchange.begin(answer)
    }

    /// What is not fetched as a whole on a client's behalf: parts of what may be very large, and heads of it.
    private func mustPassThrough(_ read: ReadRequest) -> Bool {
        read.subject == .other && (read.head.fields.has(.range) || read.cacheRequest.isHead)
    }

    /// Serves a read by the upstream alone, streamed.
    func passThrough(
        _ read: ReadRequest,
        _ forward: CacheStatus.Forward,
        _ token: FetchToken?,
        on connection: ConnectionHandler
    ) {
        PassThroughExchange(
            read.head,
            read.caller,
            // What only reads overtakes no write.
            contact: nil,
            read: PassThroughExchange.Read(request: read, forward: forward, token: token),
            server: server,
            connection: connection
        ).begin()
    }

    /// Answers with what is stored, at once; false if it has to be looked up what is pending.
    private func deliver(_ hit: CacheHit, _ read: ReadRequest, _ now: Int64, on connection: ConnectionHandler) -> Bool {
        let shown: CacheHit
        switch server.reads.overlay.need(read, over: hit.response, server.outbox) {
        case .none: shown = hit
        case .rendered(let response): shown = CacheHit(response, for: read.cacheRequest)
        case .lookup: return false
        }
        connection.answer(shown, read.additions(nil, server), nowMilliseconds: now, from: nil)
        return true
    }

    /// Whether the upstream is believed to be away, has just been silent about this very reply, or has asked for a pause.
    ///
    /// A read does not wait for it then: the stored reply is served stale, and revalidated behind the scenes as soon as the
    /// upstream may be asked (P6).
    func mustNotWait(for validation: CacheValidation, _ read: ReadRequest) -> Bool {
        if server.reads.isPaused(read.cacheKey.partition) { return true }
        let health = server.upstreamHealth.snapshot()
        return !health.isBelievedHealthy || validation.failedEpisode == health.revision
    }

    /// What is stored and may be shown without having been confirmed, as the upstream fails; nil if it must not be.
    ///
    /// - Parameter isDisconnected: Whether the upstream cannot be reached, or has not served the request; else it has
    ///   answered with an error.
    func standIn(
        for validation: CacheValidation,
        _ read: ReadRequest,
        isDisconnected: Bool,
        _ nowMilliseconds: Int64
    ) -> StandIn? {
        server.reads.cache.staleIfError(
            validation,
            read.cacheKey,
            read.cacheRequest,
            isDisconnected: isDisconnected,
            nowMilliseconds: nowMilliseconds
        )
    }

    /// Confirms what is stored behind the scenes, unless somebody is at it already, or the upstream is not there or has
    /// asked for a pause.
    ///
    /// - Parameter eventLoop: That of the client whose read has shown that it is due.
    func refresh(_ read: ReadRequest, _ validation: CacheValidation, near eventLoop: any EventLoop) {
        let flights = server.reads.flights
        // First without a flight of its own: every hit of something stale comes here.
        guard flights.isIdle(read.cacheKey), !server.reads.isPaused(read.cacheKey.partition) else { return }
        let flight = Flight(token: validation.token, isQueued: true)
        guard flights.addIfIdle(flight, read.cacheKey) else { return }
        let isTaken = server.reads.refreshes.begin(max: maxRefreshes, maxWaiting: server.reads.maxWaiters) {
            startRefresh(read, validation, flight, near: eventLoop)
        }
        if !isTaken { giveUp(flight, read) }
    }

    /// Says whether it has begun.
    private func startRefresh(
        _ read: ReadRequest,
        _ validation: CacheValidation,
        _ flight: Flight,
        near eventLoop: any EventLoop
    ) -> Bool {
        // A client that came meanwhile has asked already.
        guard server.reads.flights.dequeue(flight, read.cacheKey),
            // The upstream may have asked for a pause since it was queued.
            !server.reads.isPaused(read.cacheKey.partition),
            case .go(let permit) = server.upstreamHealth.mayStart(origin: read.origin, traffic: .read)
        else {
            giveUp(flight, read)
            return false
        }
        ReadFetch.start(read, flight, validation, .confirmation, permit, server: server, near: eventLoop) {
            server.reads.refreshes.end(max: maxRefreshes)
        }
        return true
    }

    /// Half of the connections are left to those who wait.
    private var maxRefreshes: Int { max(1, server.client.configuration.maxConnections / 2) }

    /// A flight that does not take place: whoever has joined it asks for itself.
    func giveUp(_ flight: Flight, _ read: ReadRequest) {
        server.reads.flights.remove(flight, read.cacheKey)
        flight.end(.notShared)
    }
}

extension StandIn {
    /// What an answer has to say that was put in doubt while it would still be fresh: its age alone does not tell.
    var additions: WireAdditions? {
        guard isInvalidated else { return nil }
        return WireAdditions(cacheStatus: CacheStatus(ttlSeconds: 0, detail: "invalidated"))
    }
}
