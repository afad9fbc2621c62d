import DexatelAPI
import NIOHTTP1

/// What those are told who are not admitted.
extension RelayErrors {
    /// - Parameter isRelayEndpoint: Whether the request names something of the relay's own (`/_relay/`).
    func refused(_ refusal: ClientRefusal, isRelayEndpoint: Bool, for request: RequestSummary) -> Reply {
        func reply(_ status: Int, _ slug: String, _ message: String) -> Reply {
            isRelayEndpoint
                ? problem(status, slug, message, headers: [("Cache-Control", "no-store")])
                : self.reply(status, slug, message, for: request)
        }
        func challenge(_ reply: Reply, _ value: String) -> Reply {
            var reply = reply
            reply.headers.append(("WWW-Authenticate", value))
            return reply
        }
        switch refusal {
        case .hostMalformed:
            return reply(
                400,
                "host_malformed",
                "The request must have one Host field, which is a host and perhaps a port"
            )
        case .hostNotAllowed:
            return reply(
                421,
                "host_not_allowed",
                "The relay does not go by the name in the request's Host field; listen.allowed_hosts gives it further ones"
            )
        case .forwardingLoop:
            return reply(
                508,
                "forwarding_loop",
                "The request has come from this relay itself: upstream.url leads back to it"
            )
        case .originNotAllowed:
            return reply(
                403,
                "origin_not_allowed",
                "A page of another site may not use the relay (Origin, Sec-Fetch-Site); listen.allowed_hosts admits "
                    + "further ones"
            )
        case .forwardedNotAllowed:
            return reply(
                403,
                "forwarded_not_allowed",
                "A proxy says that somebody on another host asks (X-Forwarded-For, Forwarded); that needs "
                    + "listen.allow_remote: true"
            )
        case .peerNotAllowed:
            return reply(403, "peer_not_allowed", "The connecting user is not one of listen.allowed_uids")
        case .nobodyAdmitted:
            return reply(
                403,
                "peer_not_allowed",
                "The relay sends its own API key, and neither listen.token_file nor listen.allowed_uids admits anybody here"
            )
        case .tokenMissing:
            return challenge(
                reply(401, "token_missing", "The request needs Authorization: Bearer with the relay's token"),
                #"Bearer realm="contact-relay""#
            )
        case .tokenRefused:
            return challenge(
                reply(401, "token_refused", "The token in Authorization is not the relay's"),
                #"Bearer realm="contact-relay", error="invalid_token""#
            )
        case .keyNotAccepted:
            return reply(403, "key_not_accepted", "The relay sends its own API key: leave X-Dexatel-Key out")
        case .keyMalformed:
            return reply(
                400,
                "key_malformed",
                "The X-Dexatel-Key is no API key: it must be at most \(APIKeySyntax.maxBytes) bytes of visible ASCII, without "
                    + "spaces"
            )
        }
    }
}
