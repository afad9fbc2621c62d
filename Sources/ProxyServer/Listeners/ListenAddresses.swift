import Glibc
package import NIOCore
import NIOPosix

/// The addresses that `listen.address` stands for, and how they are bound together.
package enum ListenAddresses {
    /// Ports that are tried until all addresses have the same one, where the system chooses it.
    private static let maxPortTries = 16

    /// Every address that a name has, such as both families of `localhost`; an address stands for itself.
    package static func resolve(_ host: String, port: Int) async throws -> [SocketAddress] {
        // getaddrinfo(3) may wait for a name server.
        try await NIOThreadPool.singleton.runIfActive { try lookUp(host, port: port) }
    }

    private static func lookUp(_ host: String, port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &list)
        guard result == 0, let first = list else {
            throw UnknownListenAddress(host: host, reason: String(cString: gai_strerror(result)))
        }
        defer { freeaddrinfo(first) }
        var addresses: [SocketAddress] = []
        for entry in sequence(first: first, next: { $0.pointee.ai_next }) {
            let address: SocketAddress? =
                switch entry.pointee.ai_family {
                case AF_INET:
                    entry.pointee.ai_addr?.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                        SocketAddress($0.pointee)
                    }
                case AF_INET6:
                    entry.pointee.ai_addr?.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                        SocketAddress($0.pointee)
                    }
                default: nil
                }
            if let address, !addresses.contains(address) { addresses.append(address) }
        }
        return addresses
    }

    /// What came of binding the addresses of a name.
    package struct Bound<Listener> {
        /// In the order of the addresses.
        package var listeners: [Listener] = []
        /// Addresses of a family that this host does not have, as where IPv6 is off.
        package var absent: [SocketAddress] = []
    }

    /// Binds all addresses; those that the host does not have are left out, as long as there is another.
    ///
    /// Any other failure is the failure of all. Where the system chooses the port all get the same one.
    package static func bind<Listener: Sendable>(
        _ addresses: [SocketAddress],
        isolation: isolated (any Actor)? = #isolation,
        with bind: (SocketAddress) async throws -> Listener,
        port: (Listener) -> Int?,
        close: (Listener) async -> Void
    ) async throws -> Bound<Listener> {
        var tries = 1
        while true {
            var bound = Bound<Listener>()
            var absence: (any Error)?
            do {
                for address in addresses {
                    var address = address
                    if address.port == 0, let chosen = bound.listeners.first.flatMap(port) { address.port = chosen }
                    do {
                        bound.listeners.append(try await bind(address))
                    } catch let error as IOError where [EADDRNOTAVAIL, EAFNOSUPPORT].contains(error.errnoCode) {
                        bound.absent.append(address)
                        absence = absence ?? error
                    }
                }
                if bound.listeners.isEmpty, let absence { throw absence }
                return bound
            } catch {
                for listener in bound.listeners { await close(listener) }
                let isChosen = addresses.first?.port == 0 && !bound.listeners.isEmpty
                guard isChosen, (error as? IOError)?.errnoCode == EADDRINUSE, tries < maxPortTries else { throw error }
                tries += 1
            }
        }
    }
}

/// A name in `listen.address` has no address.
package struct UnknownListenAddress: Error, CustomStringConvertible {
    let host: String
    let reason: String

    /// What is wrong, for an operator.
    package var description: String { "listen.address \(host) has no address here: \(reason)" }
}

/// A name in `listen.address` has an address that other hosts can reach, which `listen.allow_remote` does not allow.
package struct RemoteListenAddress: Error, CustomStringConvertible {
    /// What is wrong and what to do, for an operator.
    package let description: String

    init(host: String, address: String) {
        description =
            "listen.address \(host) is \(address) here, which other hosts can reach; that needs "
            + "listen.allow_remote: true"
    }
}
