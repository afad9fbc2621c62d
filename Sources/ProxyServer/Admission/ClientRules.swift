import DexatelAPI

/// Decides who may ask; without state, so that every case of it is a line of a table.
struct ClientRules: Sendable {
    let settings: ClientGuardSettings
    private let hosts: HostRule

    /// - Parameter address: `listen.address`.
    init(_ settings: ClientGuardSettings, address: String?) {
        self.settings = settings
        hosts = HostRule(address: address, allowed: settings.allowedHosts)
    }

    /// Whether `Authorization` is the relay's: it is neither forwarded nor of any meaning to the cache then.
    var takesAuthorization: Bool { settings.token != nil || settings.injectedKey != nil }

    // MARK: - By which way

    /// What is wrong with the name by which the relay is addressed.
    ///
    /// No name leads a browser to a Unix socket: any will do there, and none, which some clients send. HTTP/1.0 knows requests
    /// without one, and no browser speaks it.
    func refusalOfHost(_ fields: ClientFields, isHTTP10: Bool, from peer: ConnectionPeer) -> ClientRefusal? {
        guard !fields.hasSeveralHosts else { return .hostMalformed }
        guard let host = fields.host else { return isHTTP10 || peer != .network ? nil : .hostMalformed }
        return refusal(ofAuthority: host, from: peer)
    }

    /// What is wrong with the name in a target in absolute form: what holds for `Host`, which it stands for.
    func refusal(ofAuthority text: String, from peer: ConnectionPeer) -> ClientRefusal? {
        guard let authority = Authority(text) else { return .hostMalformed }
        return peer == .network && !hosts.admits(authority) ? .hostNotAllowed : nil
    }

    /// Whether a browser asks for a page of another site, or a proxy for another host.
    func refusalOfOrigin(_ fields: ClientFields) -> ClientRefusal? {
        if let origin = fields.origin {
            guard !fields.hasSeveralOrigins, hosts.admits(origin: origin) else { return .originNotAllowed }
        } else if fields.isCrossSite {
            return .originNotAllowed
        }
        guard fields.isForwarded, !settings.allowsRemote else { return nil }
        return ForwardedClients.areLocal(forwardedFor: fields.forwardedFor, forwarded: fields.forwarded)
            ? nil : .forwardedNotAllowed
    }

    // MARK: - With what right

    /// Whether the client has shown what admits it.
    func refusalOfCredentials(_ fields: ClientFields, from peer: ConnectionPeer) -> ClientRefusal? {
        if let refusal = refusalOfClient(fields, peer) { return refusal }
        guard let isWellFormed = fields.withAPIKey({ APIKeySyntax.admits($0) }) else { return nil }
        if settings.injectedKey != nil { return .keyNotAccepted }
        return isWellFormed ? nil : .keyMalformed
    }

    private func refusalOfClient(_ fields: ClientFields, _ peer: ConnectionPeer) -> ClientRefusal? {
        if case .local(let uid) = peer, let allowed = settings.allowedUIDs {
            // The kernel's word is worth more than a token, which anybody may have found.
            return uid.map(allowed.contains) == true ? nil : .peerNotAllowed
        }
        guard let token = settings.token else { return settings.injectedKey == nil ? nil : .nobodyAdmitted }
        guard let authorization = fields.authorization else { return .tokenMissing }
        guard let shown = Self.bearerToken(authorization) else { return .tokenMissing }
        return !fields.hasSeveralAuthorizations && token.matches(shown) ? nil : .tokenRefused
    }

    /// The token of `Bearer …` (RFC 6750 §2.1); nil for other schemes.
    private static func bearerToken(_ authorization: String) -> Substring.UTF8View? {
        let scheme: StaticString = "bearer "
        guard authorization.utf8.matchesPrefix(scheme) else { return nil }
        return authorization.utf8.dropFirst(scheme.utf8CodeUnitCount).drop { $0 == 0x20 }
    }
}

extension String.UTF8View {
    fileprivate func matchesPrefix(_ literal: StaticString) -> Bool {
        count >= literal.utf8CodeUnitCount && prefix(literal.utf8CodeUnitCount).matchesASCII(literal)
    }
}
