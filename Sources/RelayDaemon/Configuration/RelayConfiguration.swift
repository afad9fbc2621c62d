package import DexatelAPI
package import Logging

/// Everything that an operator can set, checked and typed.
///
/// The initial values here are the defaults. ``ConfigurationKey/all`` names each property's key, range and purpose.
package struct RelayConfiguration: Sendable, Equatable {
    /// Where apps reach the relay, and how much of them it admits.
    package var listen = Listen()
    /// Where the relay reaches the API.
    package var upstream = Upstream()
    /// How writes are answered, queued and delivered.
    package var writes = Writes()
    /// For how long reads are answered from memory, and how much of it.
    package var reads = Reads()
    /// How the daemon ends.
    package var shutdown = Shutdown()
    /// Where the daemon keeps what must last.
    package var state = State()
    /// Where operators' commands reach the daemon.
    package var admin = Admin()
    /// What the daemon logs, and how.
    package var log = Log()

    /// Creates the configuration that holds when nothing is set anywhere.
    package init() {}
}

extension RelayConfiguration {
    /// Settings of the sockets that apps connect to.
    package struct Listen: Sendable, Equatable {
        /// An IP address, or `localhost`; nil for no TCP.
        package var address: String? = "127.0.0.1"
        /// A TCP port; 0 lets the kernel choose one.
        package var port = 8080
        /// The path of an additional Unix socket.
        package var unixSocket: String?
        /// Whether `address` may be reachable from other hosts.
        package var allowRemote = false
        /// Names and addresses by which the relay may be addressed beside its own.
        package var allowedHosts: [String] = []
        /// The path of a file with the token that clients have to show.
        package var tokenFile: String?
        /// What that file holds.
        package var token: Secret?
        /// The users who may use the Unix socket; empty for all.
        package var allowedUIDs: [LocalUser] = []
        /// The number of clients' connections at a time.
        package var maxConnections = 4096
        /// The size of a request's line and header fields together.
        package var maxHeadBytes = 16 << 10
        /// The time in which a request's head must have arrived.
        package var headTimeout: Duration = .seconds(10)
        /// The time after which a connection without a request is closed.
        package var idleTimeout: Duration = .seconds(75)
        /// `listen.max_buffered_bytes`.
        package var maxBufferedBytes = 64 << 20
    }

    /// Settings of the connections to the API.
    package struct Upstream: Sendable, Equatable {
        /// Scheme, host and port, without a slash at the end.
        package var url = "https://api.dexatel.com"
        /// The time for a connection to come about, TLS included.
        package var connectTimeout: Duration = .seconds(2)
        /// The time from sending a request to the end of its reply.
        package var requestTimeout: Duration = .seconds(10)
        /// The time between connections that find out whether the upstream is there again.
        package var probeInterval: Duration = .seconds(2)
        /// The number of connections at a time.
        package var maxConnections = 64
        /// The number of queued writes in flight at a time that is never exceeded: as many connections as deliveries can have
        /// when all other traffic takes what is reserved for it.
        package var maxConcurrentWrites = 40
        /// The time for which an unused connection is kept.
        package var keepAlive: Duration = .seconds(4)
        /// The age beyond which a connection is not used again.
        package var maxConnectionAge: Duration = .seconds(300)
        /// The URL of a proxy that makes tunnels to the API.
        package var proxy: String?
        /// The path of a file with the proxy's user and password.
        package var proxyCredentialsFile: String?
        /// What that file, or a proxy's URL in the environment, holds: `user:password`.
        package var proxyCredentials: Secret?
        /// A PEM file of authorities to trust instead of the system's.
        package var caFile: String?
        /// The path of a file with the API key that the relay sends for its clients.
        package var apiKeyFile: String?
        /// What that file holds.
        package var apiKey: Secret?
    }

    /// Settings of the way to a clean end.
    package struct Shutdown: Sendable, Equatable {
        /// The time for requests in flight to finish.
        package var timeout: Duration = .seconds(20)
    }

    /// Settings of the daemon's own files.
    package struct State: Sendable, Equatable {
        /// The folder of the outbox and its key.
        package var directory = "./var"
    }

    /// Settings of the operators' socket.
    package struct Admin: Sendable, Equatable {
        /// The path of the Unix socket.
        package var socket = "./var/admin.sock"
    }

    /// Settings of the log.
    package struct Log: Sendable, Equatable {
        /// The least severe level that is written.
        package var level: Logger.Level = .info
        /// The form of a log line.
        package var format: Format = .auto

        /// The form of a log line.
        package enum Format: String, Sendable, CaseIterable {
            /// The journal when systemd started the daemon, else text.
            case auto
            /// One readable line an event.
            case text
            /// One JSON object a line.
            case json
        }
    }
}
