import NIOCore
import NIOEmbedded
import NIOHTTP1

@testable import HTTPClient

/// A pool on a loop without time of its own, whose connections end in the test.
final class ScriptedPool {
    let loop = EmbeddedEventLoop()
    private(set) var channels: [EmbeddedChannel] = []
    /// Connections that cannot be made from now on.
    var refuses = false
    private var made: LoopPool?

    init(_ configure: (inout OriginConfiguration) -> Void = { _ in }) {
        var configuration = OriginConfiguration(endpoint: .host("api.test", port: 80), authority: "api.test")
        configure(&configuration)
        self.made = LoopPool(
            configuration,
            places: configuration.maxConnections,
            maxWaiting: configuration.maxWaiting,
            self.loop,
            PoolLoad()
        ) { [unowned self] pool in Maker(self, pool) }
    }

    var pool: LoopPool {
        guard let made else { preconditionFailure("the pool is made first") }
        return made
    }

    private final class Maker: ConnectionMaker {
        private let scripted: ScriptedPool
        private let pool: LoopPool

        init(_ scripted: ScriptedPool, _ pool: LoopPool) {
            self.scripted = scripted
            self.pool = pool
        }

        func start(_ finish: @escaping (Result<ClientConnection, ExchangeFailure>) -> Void) {
            self.scripted.loop.assumeIsolated().execute { [scripted, pool] in
                guard !scripted.refuses else {
                    return finish(.failure(ExchangeFailure(.unreachable, "refused", mayHaveTakenEffect: false)))
                }
                let connection = ClientConnection(pool, isSecure: false) { _ in }
                let channel = EmbeddedChannel(handler: connection, loop: scripted.loop)
                channel.connect(to: .init(ipv4Loopback: 80), promise: nil)
                scripted.channels.append(channel)
                finish(.success(connection))
            }
        }

        func cancel() {}
    }

    /// Begins an exchange and lets everything happen that can.
    func send(
        _ request: OutboundRequest,
        timeout: TimeAmount? = .seconds(10)
    ) throws -> (exchange: Exchange, outcome: RecordedExchange) {
        let recorded = RecordedExchange()
        let rendered = try RenderedRequest(request, authority: "api.test")
        let patience = timeout.map { Exchange.Patience.whole(until: self.loop.now + $0) } ?? .standstill(.seconds(10))
        let exchange = self.pool.begin(rendered, recorded, patience)
        self.loop.run()
        return (exchange, recorded)
    }

    func get(_ target: String = "/", timeout: TimeAmount? = .seconds(10)) throws -> RecordedExchange {
        try self.send(OutboundRequest(method: "GET", target: target), timeout: timeout).outcome
    }

    /// What the last connection has sent since it was last asked.
    func sent(on index: Int? = nil) throws -> String {
        // What was written in one turn of the loop goes out at its end.
        self.loop.run()
        var text = ""
        let channel = self.channels[index ?? self.channels.count - 1]
        while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    /// Lets bytes arrive on a connection.
    func reply(_ text: String, on index: Int? = nil) throws {
        let channel = self.channels[index ?? self.channels.count - 1]
        try channel.writeInbound(ByteBuffer(bytes: text.unicodeScalars.map { UInt8($0.value) }))
        self.loop.run()
    }

    /// Ends a connection from the other side.
    func close(_ index: Int? = nil) {
        let channel = self.channels[index ?? self.channels.count - 1]
        channel.close(promise: nil)
        self.loop.run()
    }

    func isOpen(_ index: Int) -> Bool { self.channels[index].isActive }

    deinit {
        // A shutdown asks for no new connections.
        self.made?.shutDown {}
        for channel in self.channels { _ = try? channel.finish(acceptAlreadyClosed: true) }
    }
}

extension SocketAddress {
    fileprivate init(ipv4Loopback port: Int) {
        guard let address = try? SocketAddress(ipAddress: "127.0.0.1", port: port) else {
            preconditionFailure("a loopback address")
        }
        self = address
    }
}

/// What became of an exchange.
final class RecordedExchange: ExchangeDelegate {
    var interim: [Int] = []
    var head: ReceivedHead?
    var text = ""
    var isWhole = false
    var trailers: HTTPHeaders?
    var failure: ExchangeFailure?
    var writableCount = 0
    var onBody: () -> Void = {}

    var isOver: Bool { self.isWhole || self.failure != nil }

    func interim(_ head: ReceivedHead) { self.interim.append(head.status) }
    func head(_ head: ReceivedHead) { self.head = head }
    func body(_ bytes: ByteBuffer) {
        self.text += String(buffer: bytes)
        self.onBody()
    }
    func ended(trailers: HTTPHeaders?) {
        self.isWhole = true
        self.trailers = trailers
    }
    func failed(_ failure: ExchangeFailure) { self.failure = failure }
    func writable() { self.writableCount += 1 }
}
