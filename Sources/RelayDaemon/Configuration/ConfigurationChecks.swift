import FoundationEssentials
import ProxyServer

/// The rules that settings must keep among each other.
struct ConfigurationChecks {
    let configuration: RelayConfiguration
    let sources: ConfigurationSources
    /// Keys whose values were refused already: what stands in their place is not worth checking.
    let refused: Set<String>

    /// What is wrong, each problem at the setting that an operator gave.
    func problems() -> [ConfigurationError.Problem] {
        [
            remoteAddress(),
            noListener(),
            injectionOverTCP(),
            injectionOverUnixSocket(),
            plainUpstream(),
            authorities(),
            proxiedAddress(),
            adminSocketLength(),
            socketsDiffer(),
            atMost(
                "upstream.connect_timeout",
                "upstream.request_timeout",
                \.upstream.connectTimeout,
                \.upstream.requestTimeout
            ),
            atMost(
                "upstream.max_concurrent_writes",
                "upstream.max_connections",
                \.upstream.maxConcurrentWrites,
                \.upstream.maxConnections
            ),
            atMost("writes.reply_wait", "writes.max_reply_wait", \.writes.replyWait, \.writes.maxReplyWait),
            atMost(
                "writes.max_pending_unverified_per_key",
                "writes.max_pending_unverified",
                \.writes.maxPendingUnverifiedPerKey,
                \.writes.maxPendingUnverified
            ),
            atMost("writes.max_body", "writes.max_pending_bytes", \.writes.maxBodyBytes, \.writes.maxPendingBytes),
            atMost("writes.not_found_grace", "writes.max_age", \.writes.notFoundGrace, \.writes.maxAge),
            atMost("reads.max_object", "reads.memory", \.reads.maxObjectBytes, \.reads.memoryBytes),
            atMost("writes.retry.initial", "writes.retry.max", \.writes.retry.initial, \.writes.retry.max),
        ].compactMap(\.self)
    }

    private func remoteAddress() -> ConfigurationError.Problem? {
        let listen = configuration.listen
        guard !listen.allowRemote, let address = listen.address, !NetworkHost.isLoopback(address) else { return nil }
        return problem("listen.address", "other hosts can reach \(address); that needs listen.allow_remote: true")
    }

    private func noListener() -> ConfigurationError.Problem? {
        guard configuration.listen.address == nil, configuration.listen.unixSocket == nil else { return nil }
        return problem("listen.address", "without an address there must be a listen.unix_socket")
    }

    /// Whoever reaches the port would act with the relay's own API key.
    private func injectionOverTCP() -> ConfigurationError.Problem? {
        let listen = configuration.listen
        guard configuration.upstream.apiKeyFile != nil, listen.address != nil, listen.tokenFile == nil else {
            return nil
        }
        return problem(
            ["upstream.api_key_file", "listen.token_file", "listen.address"],
            "the relay would send its own API key for everybody who reaches listen.address; set listen.token_file (or give "
                + "the credential listen-token), or listen.address to \"\" and use listen.unix_socket alone"
        )
    }

    private func injectionOverUnixSocket() -> ConfigurationError.Problem? {
        let listen = configuration.listen
        guard configuration.upstream.apiKeyFile != nil, listen.unixSocket != nil, listen.tokenFile == nil,
            listen.allowedUIDs.isEmpty
        else { return nil }
        return problem(
            ["upstream.api_key_file", "listen.allowed_uids", "listen.unix_socket"],
            "the relay would send its own API key for every user of this host; set listen.allowed_uids or listen.token_file"
        )
    }

    /// Over plain HTTP the API key would be readable on the way (P7).
    private func plainUpstream() -> ConfigurationError.Problem? {
        guard let url = URLComponents(string: configuration.upstream.url), url.scheme == "http" else { return nil }
        guard !NetworkHost.isLoopback(url.host ?? "") else { return nil }
        return problem("upstream.url", "plain http:// is allowed on loopback only; use https://")
    }

    private func authorities() -> ConfigurationError.Problem? {
        guard let path = configuration.upstream.caFile else { return nil }
        return ConfigurationFile.obstacle(toReading: path).flatMap {
            problem("upstream.ca_file", "\(path) cannot be read: \($0)")
        }
    }

    /// In a tunnel the certificate can only be compared with a name: the peer's address is the proxy's.
    private func proxiedAddress() -> ConfigurationError.Problem? {
        guard configuration.upstream.proxy != nil, let url = URLComponents(string: configuration.upstream.url),
            url.scheme == "https", let host = url.host, NetworkHost.octets(host) != nil
        else { return nil }
        return problem(["upstream.proxy", "upstream.url"], "an upstream behind a proxy needs a name, not an address")
    }

    /// A default made from a long folder's name may not fit, though nobody gave it.
    private func adminSocketLength() -> ConfigurationError.Problem? {
        let (path, limit) = (configuration.admin.socket, ValueSyntax<String>.maxSocketPathBytes)
        guard path.utf8.count > limit else { return nil }
        return problem("admin.socket", "\(path) is longer than \(limit) bytes; choose a shorter path")
    }

    private func socketsDiffer() -> ConfigurationError.Problem? {
        guard configuration.listen.unixSocket == configuration.admin.socket else { return nil }
        return problem(["listen.unix_socket", "admin.socket"], "must not be the same path as admin.socket")
    }

    private func atMost<Value: Comparable>(
        _ smaller: String,
        _ larger: String,
        _ smallerValue: KeyPath<RelayConfiguration, Value>,
        _ largerValue: KeyPath<RelayConfiguration, Value>
    ) -> ConfigurationError.Problem? {
        guard configuration[keyPath: smallerValue] > configuration[keyPath: largerValue] else { return nil }
        let rule = "\(smaller) (\(sources.text(of: smaller, in: configuration))) must be at most"
        return problem([smaller, larger], "\(rule) \(larger) (\(sources.text(of: larger, in: configuration)))")
    }

    private func problem(_ name: String, _ message: String) -> ConfigurationError.Problem? {
        problem([name], message)
    }

    /// A problem between several keys belongs to the first that was given.
    private func problem(_ names: [String], _ message: String) -> ConfigurationError.Problem? {
        guard refused.isDisjoint(with: names) else { return nil }
        let given = names.first { sources.origin(of: $0) != nil } ?? names[0]
        return .init(origin: sources.origin(of: given) ?? .defaults, key: given, message: message)
    }
}
