import NIOCore
import ServiceLifecycle
import Upstream

/// Tries connections to the upstream while it is away, so that its return is noticed though no client asks.
struct UpstreamProbeService: Service {
    let client: UpstreamClient
    let health: UpstreamHealth
    let configuration: ConfigurationState
    let group: any EventLoopGroup

    func run() async throws {
        await cancelWhenGracefulShutdown { await probe() }
    }

    private func probe() async {
        var trial: UpstreamTrial?
        while !Task.isCancelled {
            let interval = configuration.configuration.upstream.probeInterval
            // Relays that lost one upstream together must not come back together.
            let next = ContinuousClock.now + interval * Double.random(in: 0.75...1.25)
            if health.snapshot().isBelievedHealthy {
                trial = nil
            } else {
                let current = client.configuration
                if trial?.configuration != current { trial = UpstreamTrial(current) }
                await tryConnection(trial ?? UpstreamTrial(current))
            }
            try? await Task.sleep(until: next)
        }
    }

    private func tryConnection(_ trial: UpstreamTrial) async {
        let finding = await trial.run(on: group.next())
        // What an earlier upstream does says nothing of the present one.
        guard client.configuration.url == trial.configuration.url else { return }
        switch finding {
        case .stands: health.connectionTried(nil)
        case .unreachable(let error): health.connectionTried(error)
        case .nothing: break
        }
    }
}
