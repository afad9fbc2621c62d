import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Makes one connection, on the event loop of its pool.
protocol ConnectionMaker: AnyObject {
    /// Begins; `finish` is called exactly once, and never before this returns.
    func start(_ finish: @escaping (Result<ClientConnection, ExchangeFailure>) -> Void)
    /// Gives up, which is a failure.
    func cancel()
}

/// Makes one connection: tries the addresses of an origin in turns, and takes the first that is ready (RFC 8305).
///
/// Ready means that TLS stands where there is any: an address that accepts connections and does no more keeps nobody
/// from the next one.
final class Dialer: ConnectionMaker {
    /// How long an attempt has the field to itself (RFC 8305 §5).
    private static let stagger: TimeAmount = .milliseconds(250)

    private final class Attempt {
        let address: SocketAddress
        var channel: (any Channel)?
        var isConnected = false

        init(_ address: SocketAddress) { self.address = address }
    }

    private let pool: LoopPool
    private var finish: ((Result<ClientConnection, ExchangeFailure>) -> Void)?
    /// The addresses that are still to be tried, the next one last.
    private var addresses: [SocketAddress] = []
    private var tls: NIOSSLContext?
    private var attempts: [Attempt] = []
    private var firstFailure: (any Error)?
    private var hasConnected = false
    private var alarm: Scheduled<Void>?
    private var next: Scheduled<Void>?

    init(_ pool: LoopPool) {
        self.pool = pool
    }

    private var configuration: OriginConfiguration { self.pool.configuration }
    private var loop: NIOIsolatedEventLoop { self.pool.eventLoop.assumeIsolated() }

    func start(_ finish: @escaping (Result<ClientConnection, ExchangeFailure>) -> Void) {
        self.finish = finish
        self.alarm = self.loop.scheduleTask(in: self.configuration.connectTimeout) { [self] in self.timeIsUp() }
        guard let tls = self.configuration.tls else { return self.lookUp() }
        tls.context(on: self.pool.eventLoop).assumeIsolated().whenComplete { [self] result in
            switch result {
            case .success(let context):
                self.tls = context
                self.lookUp()
            case .failure(let error): self.end(.failure(self.failure(error)))
            }
        }
    }

    private func lookUp() {
        self.lookedUp().assumeIsolated().whenComplete { [self] result in
            guard self.finish != nil else { return }
            switch result {
            case .success(let addresses):
                self.addresses = addresses.reversed()
                self.tryNext()
            case .failure(let error): self.end(.failure(self.failure(error)))
            }
        }
    }

    func cancel() { self.end(.failure(.shutdown(mayHaveTakenEffect: false))) }

    private func lookedUp() -> EventLoopFuture<[SocketAddress]> {
        let eventLoop = self.pool.eventLoop
        if let proxy = self.configuration.proxy {
            return self.pool.addresses(of: proxy.host, port: proxy.port)
        }
        switch self.configuration.endpoint {
        case .host(let host, let port): return self.pool.addresses(of: host, port: port)
        case .unixSocket(let path):
            return eventLoop.makeCompletedFuture { [try SocketAddress(unixDomainSocketPath: path)] }
        }
    }

    private func tryNext() {
        self.next?.cancel()
        self.next = nil
        guard let address = self.addresses.popLast() else {
            if self.attempts.isEmpty { self.end(.failure(self.failure(self.firstFailure ?? ChannelError.eof))) }
            return
        }
        let attempt = Attempt(address)
        self.attempts.append(attempt)
        if !self.addresses.isEmpty {
            self.next = self.loop.scheduleTask(in: Self.stagger) { [self] in self.tryNext() }
        }
        self.connect(attempt)
    }

    private func connect(_ attempt: Attempt) {
        let bound = NIOLoopBound((self, attempt), eventLoop: self.pool.eventLoop)
        ClientBootstrap(group: self.pool.eventLoop)
            .connectTimeout(self.configuration.connectTimeout)
            .channelInitializer { channel in
                let (dialer, attempt) = bound.value
                return channel.eventLoop.makeCompletedFuture { try dialer.prepare(channel, attempt) }
            }
            .connect(to: attempt.address)
            .assumeIsolated()
            .whenComplete { [self] result in
                switch result {
                case .success: (attempt.isConnected, self.hasConnected) = (true, true)
                case .failure(let error): self.ended(attempt, .failure(error))
                }
            }
    }

    private func prepare(_ channel: any Channel, _ attempt: Attempt) throws {
        attempt.channel = channel
        let pipeline = channel.pipeline.syncOperations
        let configuration = self.configuration
        if let proxy = configuration.proxy {
            try pipeline.addHandler(
                TunnelHandler(to: configuration.tunnelTarget, proxy, limits: configuration.limits) {
                    [tls] pipeline, handler in
                    guard let tls else { return }
                    try pipeline.addHandler(configuration.tlsHandler(tls), position: .after(handler))
                }
            )
        } else if let tls {
            try pipeline.addHandler(configuration.tlsHandler(tls))
        }
        try pipeline.addHandler(
            ClientConnection(self.pool, isSecure: self.tls != nil) { [self] result in self.ended(attempt, result) }
        )
    }

    /// Takes the end of an attempt; the first success ends the others.
    private func ended(_ attempt: Attempt, _ result: Result<ClientConnection, any Error>) {
        guard let index = self.attempts.firstIndex(where: { $0 === attempt }) else {
            // Another one was quicker.
            if case .success(let connection) = result { connection.close() }
            return
        }
        self.attempts.remove(at: index)
        switch result {
        case .success(let connection): self.end(.success(connection))
        case .failure(let error):
            guard self.firstFailure == nil, let tls, self.configuration.proxy == nil,
                TLSFault.concernsCertificate(error)
            else {
                if self.firstFailure == nil { self.firstFailure = error }
                return self.tryNext()
            }
            self.inspect(attempt, tls, error)
        }
    }

    /// Finds out what is wrong with a certificate; until then its attempt counts as under way.
    private func inspect(_ attempt: Attempt, _ tls: NIOSSLContext, _ error: any Error) {
        self.firstFailure = error
        attempt.channel = nil
        self.attempts.append(attempt)
        CertificateInspection.certificates(
            at: attempt.address,
            tls,
            serverName: self.configuration.serverName,
            timeout: self.configuration.connectTimeout,
            on: self.pool.eventLoop
        ).assumeIsolated().whenSuccess { [self] certificates in
            guard let index = self.attempts.firstIndex(where: { $0 === attempt }) else { return }
            self.attempts.remove(at: index)
            if let certificates {
                let isForOtherName = error is NIOSSLExtraError
                self.firstFailure = certificates.fault(isForOtherName: isForOtherName, nowSeconds: time(nil))
            }
            self.tryNext()
        }
    }

    private func timeIsUp() {
        if Shortage.isAcute { return self.end(.failure(self.noDescriptor())) }
        let place = self.configuration.place
        // What is known already says more than that the time is up.
        if let firstFailure, TLSFault(firstFailure) != nil { return self.end(.failure(self.failure(firstFailure))) }
        self.end(
            .failure(
                ExchangeFailure(
                    .unreachable,
                    self.hasConnected && self.configuration.tls != nil
                        ? "the TLS handshake with \(place) took too long" : "connecting to \(place) took too long",
                    mayHaveTakenEffect: false
                )
            )
        )
    }

    private func end(_ result: Result<ClientConnection, ExchangeFailure>) {
        guard let finish = self.finish.take() else { return }
        self.alarm?.cancel()
        self.next?.cancel()
        let losers = self.attempts
        self.attempts = []
        self.addresses = []
        for loser in losers { loser.channel?.close(promise: nil) }
        // Whoever began must not be called back before that returns.
        self.loop.execute { finish(result) }
    }

    private func noDescriptor() -> ExchangeFailure {
        ExchangeFailure(
            .noDescriptor,
            "no connection to \(self.configuration.place) can be opened here: no descriptor is free",
            mayHaveTakenEffect: false
        )
    }

    private func failure(_ error: any Error) -> ExchangeFailure {
        if Shortage.isBehind(error) { return self.noDescriptor() }
        let place = self.configuration.place
        switch error {
        case let failure as ExchangeFailure: return failure
        case let failure as AddressResolver.Failure:
            return self.unreachable("cannot connect to \(place): no address: \(failure.reason)")
        case let failure as TunnelFailure: return self.unreachable("\(failure.description) for \(place)")
        case ChannelError.connectTimeout: return self.unreachable("connecting to \(place) took too long")
        case let error as IOError:
            return self.unreachable("cannot connect to \(place): \(FailureText.reason(error))", error.errnoCode)
        default:
            let fault = TLSFault(error)
            guard let fault else { return self.unreachable("cannot connect to \(place): \(FailureText.reason(error))") }
            return self.unreachable("TLS with \(place) failed: \(fault.reason)")
        }
    }

    private func unreachable(_ message: String, _ errorNumber: Int32? = nil) -> ExchangeFailure {
        ExchangeFailure(.unreachable, message, mayHaveTakenEffect: false, errorNumber: errorNumber)
    }
}
