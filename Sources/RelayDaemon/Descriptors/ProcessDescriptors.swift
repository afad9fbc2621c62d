import Glibc
import Logging

/// The descriptors that the system allows this process.
struct ProcessDescriptors: Sendable {
    /// How many there may be at a time.
    let limit: Int
    /// How many event loops the process has.
    let eventLoops: Int

    /// Raises the soft limit to the hard one: the soft one is for programs that use select(2), which the relay does not.
    static func raised(eventLoops: Int) -> ProcessDescriptors {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limits = rlimit()
        guard getrlimit(resource, &limits) == 0 else { return ProcessDescriptors(limit: 1_024, eventLoops: eventLoops) }
        if limits.rlim_cur < limits.rlim_max {
            var wanted = limits
            wanted.rlim_cur = limits.rlim_max
            if setrlimit(resource, &wanted) == 0 { limits = wanted }
        }
        return ProcessDescriptors(limit: Int(clamping: limits.rlim_cur), eventLoops: eventLoops)
    }

    /// The configuration with as many connections as there can be descriptors; says so when that is fewer than wanted.
    func fitted(_ configuration: RelayConfiguration, _ logger: Logger) throws(TooFewDescriptors) -> RelayConfiguration {
        let (listen, upstream) = (configuration.listen, configuration.upstream)
        guard
            let budget = DescriptorBudget(
                limit: limit,
                eventLoops: eventLoops,
                maxConnections: listen.maxConnections,
                maxUpstreamConnections: upstream.maxConnections
            )
        else { throw TooFewDescriptors(limit: limit, least: DescriptorBudget.minLimit(eventLoops: eventLoops)) }
        var fitted = configuration
        fitted.listen.maxConnections = budget.connections
        fitted.upstream.maxConnections = budget.upstreamConnections
        fitted.upstream.maxConcurrentWrites = min(upstream.maxConcurrentWrites, budget.upstreamConnections)
        if fitted != configuration {
            logger.warning(
                "the limit of open files is too low for the configured connections; fewer are taken",
                metadata: [
                    "limit": "\(limit)", "listen.max_connections": "\(listen.maxConnections)",
                    "connections": "\(budget.connections)", "upstream.max_connections": "\(upstream.maxConnections)",
                    "upstream_connections": "\(budget.upstreamConnections)",
                ]
            )
        }
        return fitted
    }
}

/// The system allows the process too few descriptors to serve anybody (exit 78).
package struct TooFewDescriptors: Error, Sendable, CustomStringConvertible {
    let limit: Int
    let least: Int

    /// What is wrong and what to do, for an operator.
    package var description: String {
        "the hard limit of open files is \(limit), which leaves too few for connections; raise it to \(least) at "
            + "least (LimitNOFILE= of the unit, ulimit -Hn)"
    }
}
