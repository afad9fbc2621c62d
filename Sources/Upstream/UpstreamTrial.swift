import HTTPClient
package import NIOCore

/// Finds out whether the upstream can be reached, by connections of the daemon's own that carry no request.
package struct UpstreamTrial: Sendable {
    /// What a connection was tried with.
    package let configuration: UpstreamConfiguration
    private let origin: OriginConfiguration

    /// Prepares trials of one upstream; with TLS its authorities are read at the first.
    package init(_ configuration: UpstreamConfiguration) {
        self.configuration = configuration
        self.origin = configuration.origin
    }

    /// What a connection that was tried shows.
    package enum Finding: Sendable, Hashable {
        /// It stood, TLS included.
        case stands
        /// It did not; why, in words.
        case unreachable(String)
        /// This host could not make one: nothing was learnt.
        case nothing
    }

    /// Makes one connection and closes it at once.
    package func run(on eventLoop: any EventLoop) async -> Finding {
        guard let failure = await OriginClient.tryConnection(self.origin, on: eventLoop).map(UpstreamFailure.init)
        else {
            return .stands
        }
        return failure.signal == .unreachable ? .unreachable(failure.description) : .nothing
    }
}
