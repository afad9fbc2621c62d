import AsyncHTTPClient
import DexatelAPI
import HTTPWire
package import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// Sends requests to the upstream and brings back whole replies or failures that say what they mean.
///
/// HTTP/1.1 only, although HTTP/2 could be negotiated: an attempt with an unknown outcome has to close its
/// connection (P3), which with HTTP/2 would close everybody else's exchanges or close nothing;
/// `upstream.max_connections` means what it says; and the target goes out byte for byte (``RawTargetHandler``).
///
/// Redirects are never followed (they would carry the key elsewhere), nothing is decompressed, there are no
/// cookies, proxies from the environment are not used, and nothing is ever sent twice: async-http-client
/// repeats at most the making of a connection, and that is off too, as the breaker is to learn of every failed
/// one and callers have their own backoff.
package final class UpstreamClient: Sendable {
    /// Connections rest no longer than this in the pool, a little less than the keep-alive of the least patient
    /// common servers (5 s): a request on a connection that the server is just closing fails with an unknown
    /// outcome.
    package static let idleConnectionTimeout: Duration = .seconds(4)

    private let eventLoopGroup: any EventLoopGroup
    private let generations: Mutex<ConnectionGenerations>

    /// What new requests are sent with.
    package var configuration: UpstreamConfiguration { self.generations.withLock { $0.current.configuration } }

    /// Makes a client; no connection is made before the first request.
    ///
    /// ``shutdown()`` must be awaited before the last reference goes.
    package init(
        configuration: UpstreamConfiguration,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.eventLoopGroup = eventLoopGroup
        self.generations = Mutex(ConnectionGenerations(Self.generation(configuration, eventLoopGroup)))
    }

    /// Sends new requests with another configuration, to another upstream perhaps; those under way end as they began.
    ///
    /// The old connections go with their last request, so that for a moment there can be twice as many.
    package func reload(_ configuration: UpstreamConfiguration) {
        let group = self.eventLoopGroup
        self.generations.withLock { generations in
            guard generations.current.configuration != configuration else { return }
            generations.replace(by: Self.generation(configuration, group))
        }
    }

    private static func generation(
        _ configuration: UpstreamConfiguration,
        _ group: any EventLoopGroup
    ) -> ConnectionGeneration {
        // No logger is passed, here or to requests: at trace level the client logs header fields, keys included (P7).
        let client = HTTPClient(
            eventLoopGroupProvider: .shared(group),
            configuration: Self.clientConfiguration(configuration)
        )
        return ConnectionGeneration(configuration, client)
    }

    /// Sends a request and waits for the whole reply, `request_timeout` at most, waiting for a connection included.
    ///
    /// A timeout or cancellation closes the connection, in async-http-client 1.37: before the reply's head
    /// through `Transaction.deadlineExceeded` and `cancel`, after it through the termination of the body's
    /// sequence, and all of them end in `HTTPRequestExecutor.cancelRequest`, which closes an HTTP/1 connection
    /// whose request has begun. The upstream thus sees the end of an attempt before it sees the next one.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - maxReplyBytes: The largest body to take into memory, `configuration.maxReplyBytes` if `nil`.
    package func send(
        _ request: UpstreamRequest,
        maxReplyBytes: Int? = nil
    ) async -> Result<UpstreamReply, UpstreamFailure> {
        let generation = self.generations.withLock { $0.current }
        let started = ContinuousClock.now
        let deadline = started + generation.configuration.requestTimeout
        do throws(UpstreamFailure) {
            var prepared = try Self.prepare(request, for: generation.configuration.url)
            prepared.body = request.body.map { .bytes($0) }
            let slot = try await generation.acquireSlot(until: deadline)
            defer { slot.release() }
            let response = try await generation.execute(prepared, deadline: Self.nioDeadline(deadline))
            let status = Int(response.status.code)
            let body = try await Self.collect(
                response,
                from: generation.configuration.url,
                upTo: maxReplyBytes ?? generation.configuration.maxReplyBytes,
                until: deadline
            )
            let framing = UpstreamReply.framing(
                method: request.method,
                status: status,
                headers: response.headers.mapNonASCII { Latin1.text($0.utf8) }
            )
            return .success(
                UpstreamReply(
                    status: status,
                    headers: response.headers.mapNonASCII { Latin1.text($0.utf8) },
                    body: body,
                    framing: framing,
                    duration: started.duration(to: .now)
                )
            )
        } catch {
            return .failure(error)
        }
    }

    /// Sends a request whose body comes in pieces, and returns as soon as the reply's head is there.
    ///
    /// Back-pressure works both ways. Instead of one deadline, `request_timeout` bounds how long nothing may
    /// move: an upload of any length is fine as long as it goes on.
    ///
    /// - Parameters:
    ///   - request: The request; its own `body` is ignored.
    ///   - body: The body's pieces; an error thrown by it aborts the exchange with
    ///     ``UpstreamFailure/Code/cancelled``.
    ///   - length: The body's length in bytes, or `nil` to send it in chunks.
    package func open(
        _ request: UpstreamRequest,
        body: (some AsyncSequence<ByteBuffer, any Error> & Sendable)?,
        length: Int64?
    ) async throws(UpstreamFailure) -> UpstreamStream {
        let generation = self.generations.withLock { $0.current }
        let configuration = generation.configuration
        var prepared = try Self.prepare(request, for: configuration.url)
        prepared.body = body.map { body in
            .stream(
                RequestBody(base: body, eventLoops: generation.client.eventLoopGroup),
                length: length.map { .known($0) } ?? .unknown
            )
        }
        let slot = try await generation.acquireSlot(until: .now + configuration.requestTimeout)
        let response = try await generation.execute(prepared, deadline: .distantFuture)
        return UpstreamStream(
            status: Int(response.status.code),
            headers: response.headers.mapNonASCII { Latin1.text($0.utf8) },
            body: UpstreamBody(base: response.body, slot: slot, upstream: configuration.url)
        )
    }

    /// Closes all connections; requests in flight end with a failure.
    ///
    /// Shutting down twice does no harm.
    package func shutdown() async {
        for client in self.generations.withLock({ $0.clients }) {
            // The only error is that the client is shut down already.
            try? await client.shutdown()
        }
    }

    private static func prepare(
        _ request: UpstreamRequest,
        for url: UpstreamURL
    ) throws(UpstreamFailure) -> HTTPClientRequest {
        guard request.isWellFormed else {
            throw UpstreamFailure(.invalidRequest, "the method or target is malformed", mayHaveTakenEffect: false)
        }
        guard !Task.isCancelled else {
            throw UpstreamFailure(.cancelled, "the request was cancelled before it was sent", mayHaveTakenEffect: false)
        }
        // The path is set by RawTargetHandler: what goes through the URL type here is a constant.
        var prepared = HTTPClientRequest(url: url.origin + "/")
        prepared.method = HTTPMethod(rawValue: request.method)
        prepared.headers = request.headers.mapNonASCII { String(decoding: Latin1.bytes($0), as: UTF8.self) }
        prepared.headers.replaceOrAdd(name: "Host", value: url.authority)
        prepared.headers.remove(name: DexatelHeader.apiKey)
        if let apiKey = request.apiKey {
            prepared.headers.add(name: DexatelHeader.apiKey, value: apiKey.exposedText)
        }
        prepared.headers.replaceOrAdd(
            name: RawTargetHandler.fieldName,
            value: url.basePath + request.target
        )
        return prepared
    }

    /// Takes in the body, until the deadline: that of `HTTPClient.execute` ends with the reply's head.
    private static func collect(
        _ response: HTTPClientResponse,
        from url: UpstreamURL,
        upTo maxBytes: Int,
        until deadline: ContinuousClock.Instant
    ) async throws(UpstreamFailure) -> ByteBuffer {
        do {
            return try await withThrowingTaskGroup(of: ByteBuffer?.self) { group in
                group.addTask { try await response.body.collect(upTo: maxBytes) }
                group.addTask {
                    try await Task.sleep(until: deadline, clock: .continuous)
                    return nil
                }
                defer { group.cancelAll() }
                guard let body = try await group.next() ?? nil else { throw HTTPClientError.deadlineExceeded }
                return body
            }
        } catch is NIOTooManyBytesError {
            throw UpstreamFailure(
                .replyTooLarge,
                "the reply is larger than \(maxBytes) bytes",
                mayHaveTakenEffect: true,
                signal: .answered(status: Int(response.status.code))
            )
        } catch {
            throw UpstreamFailure(cause: error, from: url)
        }
    }

    private static func nioDeadline(_ deadline: ContinuousClock.Instant) -> NIODeadline {
        .now() + .nanoseconds(max(0, ContinuousClock.now.duration(to: deadline).wholeNanoseconds))
    }

    private static func clientConfiguration(_ configuration: UpstreamConfiguration) -> HTTPClient.Configuration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let caFile = configuration.caFile {
            tls.trustRoots = .file(caFile)
        }
        let still = TimeAmount.nanoseconds(configuration.requestTimeout.wholeNanoseconds)
        var client = HTTPClient.Configuration(
            tlsConfiguration: tls,
            redirectConfiguration: .disallow,
            timeout: .init(
                connect: .nanoseconds(configuration.connectTimeout.wholeNanoseconds),
                read: still,
                write: still
            ),
            connectionPool: .init(
                idleTimeout: .nanoseconds(Self.idleConnectionTimeout.wholeNanoseconds),
                concurrentHTTP1ConnectionsPerHostSoftLimit: max(1, configuration.maxConnections)
            ),
            proxy: nil,
            decompression: .disabled
        )
        client.connectionPool.retryConnectionEstablishment = false
        client.httpVersion = .http1Only
        client.http1_1ConnectionDebugInitializer = { RawTargetHandler.install(in: $0) }
        // Trace headers of the app pass through; the relay adds none of its own.
        client.tracing.tracer = nil
        return client
    }
}

extension HTTPHeaders {
    /// The same fields, with other values where they are not ASCII: async-http-client takes fields for UTF-8, while a value
    /// has a scalar for each byte everywhere else in the relay (``Latin1``).
    fileprivate func mapNonASCII(_ transform: (String) -> String) -> HTTPHeaders {
        guard contains(where: { !$0.value.utf8.allSatisfy { $0 < 0x80 } }) else { return self }
        return HTTPHeaders(map { ($0.name, transform($0.value)) })
    }
}
