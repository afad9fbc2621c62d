import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// An authority in a folder of its own, and servers with its certificates; made with openssl.
final class TestAuthority: Sendable {
    /// A command that failed.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let folder: URL

    init() throws {
        self.folder = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
        try self.openssl(
            [
                "req", "-x509", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "9", "-subj",
                "/CN=test authority",
            ]
                + Self.newKey
        )
    }

    deinit { try? FileManager.default.removeItem(at: self.folder) }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]

    private func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = arguments
        process.currentDirectoryURL = self.folder
        let output = Pipe()
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: String(decoding: text, as: UTF8.self)) }
    }

    /// The authority's own certificate, in PEM.
    func pem() throws -> [UInt8] { Array(try Data(contentsOf: self.folder.appending(path: "ca.pem"))) }

    /// A context for a server with a certificate for these names, such as `DNS:localhost`.
    func server(
        _ names: String = "DNS:localhost,IP:127.0.0.1",
        days: Int = 9,
        configure: (inout TLSConfiguration) -> Void = { _ in }
    ) throws -> NIOSSLContext {
        try self.openssl(["req", "-nodes", "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=server"] + Self.newKey)
        try Data("subjectAltName=\(names)\n".utf8).write(to: self.folder.appending(path: "names"))
        try self.openssl([
            "x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "s.pem",
            "-days",
            "\(days)", "-extfile", "names",
        ])
        let chain = try NIOSSLCertificate.fromPEMFile(self.folder.appending(path: "s.pem").path)
        let key = try NIOSSLPrivateKey(file: self.folder.appending(path: "s.key").path, format: .pem)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        configure(&configuration)
        return try NIOSSLContext(configuration: configuration)
    }
}

/// A server that speaks TLS and gives every request one answer.
final class TLSServer: Sendable {
    private let channel: any Channel

    /// - Parameter endsTLS: Whether the end of the connection is announced within TLS, as it should be.
    init(_ context: NIOSSLContext, reply: String, closes: Bool = false, endsTLS: Bool = true) async throws {
        self.channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    let raw = RawEnd()
                    try pipeline.addHandler(raw)
                    try pipeline.addHandler(NIOSSLServerHandler(context: context))
                    try pipeline.addHandler(Answering(reply, closes: closes, raw: endsTLS ? nil : raw))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
    }

    var port: Int { self.channel.localAddress?.port ?? 0 }

    func stop() async throws { try await self.channel.close() }

    /// Below TLS: closes without a word.
    private final class RawEnd: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var context: ChannelHandlerContext?

        func handlerAdded(context: ChannelHandlerContext) { self.context = context }
        func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
        func close() { self.context?.close(promise: nil) }
    }

    private final class Answering: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let reply: String
        private let closes: Bool
        private let raw: RawEnd?
        private var received = ""

        init(_ reply: String, closes: Bool, raw: RawEnd?) {
            (self.reply, self.closes, self.raw) = (reply, closes, raw)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received += String(buffer: self.unwrapInboundIn(data))
            guard self.received.hasSuffix("\r\n\r\n") else { return }
            self.received = ""
            let bound = NIOLoopBound((context, self.raw), eventLoop: context.eventLoop)
            let (closes, isWritten) = (
                self.closes, context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: self.reply)))
            )
            isWritten.whenComplete { _ in
                guard closes else { return }
                if let raw = bound.value.1 { raw.close() } else { bound.value.0.close(promise: nil) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
