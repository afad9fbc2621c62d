import Glibc
import NIOCore
import Testing

@testable import ProxyServer

@Suite struct ListenAddressesTests {
    private static func address(_ text: String, _ port: Int = 0) throws -> SocketAddress {
        try SocketAddress(ipAddress: text, port: port)
    }

    /// Binds both families of a name with a script: the n-th attempt fails with the n-th error number, 0 for none.
    private func bind(_ port: Int, _ results: [CInt]) async throws -> (bound: [SocketAddress], open: [SocketAddress]) {
        var (results, open, nextPort) = (results, [SocketAddress](), 5_000)
        let addresses = [try Self.address("::1", port), try Self.address("127.0.0.1", port)]
        let bound = try await ListenAddresses.bind(
            addresses,
            with: { address in
                let number = results.isEmpty ? 0 : results.removeFirst()
                guard number == 0 else { throw IOError(errnoCode: number, reason: "bind") }
                var address = address
                if address.port == 0 {
                    address.port = nextPort
                    nextPort += 1
                }
                open.append(address)
                return address
            },
            port: { $0.port },
            close: { closed in open.removeAll { $0 == closed } }
        )
        return (bound.listeners, open)
    }

    @Test func `an address stands for itself, and a name for all of its addresses`() async throws {
        for text in ["127.0.0.1", "::1", "0.0.0.0"] {
            #expect(try await ListenAddresses.resolve(text, port: 80).map(\.ipAddress) == [text])
        }
        let addresses = try await ListenAddresses.resolve("localhost", port: 80)
        #expect(addresses.contains { $0.ipAddress == "127.0.0.1" } && addresses.allSatisfy { $0.port == 80 })
        await #expect(throws: UnknownListenAddress.self) { try await ListenAddresses.resolve("no such name", port: 80) }
    }

    @Test func `both families are bound, to one port`() async throws {
        let both = try [Self.address("::1", 5_000), Self.address("127.0.0.1", 5_000)]
        #expect(try await bind(0, []).bound == both)
        #expect(try await bind(80, []).bound.map(\.port) == [80, 80])
    }

    @Test(arguments: [EADDRNOTAVAIL, EAFNOSUPPORT])
    func `a family that the host does not have is no error, as long as there is another`(number: CInt) async throws {
        #expect(try await bind(80, [number]).bound == [Self.address("127.0.0.1", 80)])
        #expect(try await bind(80, [0, number]).bound == [Self.address("::1", 80)])
        await #expect(throws: IOError.self) { try await bind(80, [number, number]) }
    }

    @Test func `any other failure is the failure of all, and leaves nothing open`() async throws {
        var open: [SocketAddress] = []
        let addresses = try [Self.address("::1", 80), Self.address("127.0.0.1", 80)]
        await #expect(throws: IOError.self) {
            _ = try await ListenAddresses.bind(
                addresses,
                with: { address in
                    guard open.isEmpty else { throw IOError(errnoCode: EADDRINUSE, reason: "bind") }
                    open.append(address)
                    return address
                },
                port: { $0.port },
                close: { closed in open.removeAll { $0 == closed } }
            )
        }
        #expect(open.isEmpty)
    }

    @Test func `a chosen port that the other family has in use is given up for another one`() async throws {
        let (bound, open) = try await bind(0, [0, EADDRINUSE, 0, EADDRINUSE])
        #expect(bound.map(\.port) == [5_002, 5_002] && open == bound)
        await #expect(throws: IOError.self) {
            try await bind(0, Array(repeating: [0, EADDRINUSE], count: 100).flatMap { $0 })
        }
    }
}
