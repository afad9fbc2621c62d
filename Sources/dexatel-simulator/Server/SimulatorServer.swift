import NIOCore
import NIOPosix

/// A running simulator: the API's port and the control port.
struct SimulatorServer: Sendable {
    let responder: APIResponder
    let api: HTTPListener
    let control: HTTPListener
    private let apiGroup: MultiThreadedEventLoopGroup
    /// Apart, so that a long log being written holds no API request up.
    private let controlGroup: MultiThreadedEventLoopGroup

    /// Binds both ports; the simulator answers when this returns.
    static func start(_ options: SimulatorOptions) async throws -> SimulatorServer {
        let apiGroup = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let controlGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let responder = APIResponder(SimulatorCore(settings: options.settings, logLimit: options.logLimit))
            let api = try HTTPListener(
                host: options.host,
                port: options.port,
                group: apiGroup,
                responder: responder
            )
            let control = try HTTPListener(
                host: options.host,
                port: options.controlPort,
                group: controlGroup,
                responder: ControlResponder(api: responder, listener: api)
            )
            try await api.open()
            try await control.open()
            return SimulatorServer(
                responder: responder,
                api: api,
                control: control,
                apiGroup: apiGroup,
                controlGroup: controlGroup
            )
        } catch {
            try? await apiGroup.shutdownGracefully()
            try? await controlGroup.shutdownGracefully()
            throw error
        }
    }

    /// The line that tells that both ports are bound.
    var readyLine: String { "dexatel-simulator ready api=\(api.url) control=\(control.url)" }

    /// Closes everything.
    func stop() async throws {
        try await control.close()
        try await api.close()
        try await apiGroup.shutdownGracefully()
        try await controlGroup.shutdownGracefully()
    }
}
