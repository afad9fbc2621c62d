import DexatelAPI
import HTTPWire
import NIOHTTP1
import Testing

@testable import ProxyServer

/// Who may ask: every case as a line.
@Suite("Client rules")
struct ClientRulesTests {
    private static func rules(_ adjust: (inout ClientGuardSettings) -> Void = { _ in }) -> ClientRules {
        var settings = ClientGuardSettings()
        settings.allowedHosts = ["relay.internal"]
        adjust(&settings)
        return ClientRules(settings, address: "127.0.0.1")
    }

    private static func fields(_ lines: [(String, String)]) -> ClientFields {
        ClientFields(RequestHead(.GET, "/", HTTPHeaders(lines)))
    }

    @Test(
        "over TCP there is one Host, and it is one of the relay's",
        arguments: [
            (["127.0.0.1:8080"], nil), (["relay.internal"], nil), (["evil.example"], .hostNotAllowed),
            ([], .hostMalformed), ([""], .hostMalformed), (["a b"], .hostMalformed),
            (["localhost", "localhost"], .hostMalformed), (["localhost", "evil.example"], .hostMalformed),
        ] as [([String], ClientRefusal?)]
    )
    func host(hosts: [String], expected: ClientRefusal?) {
        let fields = Self.fields(hosts.map { ("Host", $0) })
        #expect(Self.rules().refusalOfHost(fields, isHTTP10: false, from: .network) == expected)
        // HTTP/1.0 need not have one.
        let relaxed = hosts.isEmpty ? nil : expected
        #expect(Self.rules().refusalOfHost(fields, isHTTP10: true, from: .network) == relaxed)
    }

    @Test(
        "over a Unix socket any name will do, and none",
        arguments: [
            (["api.dexatel.com"], nil), ([], nil), (["a b"], .hostMalformed), (["a", "b"], .hostMalformed),
        ] as [([String], ClientRefusal?)]
    )
    func hostOverUnixSocket(hosts: [String], expected: ClientRefusal?) {
        let fields = Self.fields(hosts.map { ("host", $0) })
        #expect(Self.rules().refusalOfHost(fields, isHTTP10: false, from: .local(uid: 1000)) == expected)
    }

    @Test(
        "pages of other sites and proxies for other hosts are refused",
        arguments: [
            ([], nil),
            ([("Origin", "http://localhost:3000")], nil), ([("origin", "null")], .originNotAllowed),
            ([("Origin", "https://evil.example")], .originNotAllowed),
            ([("Origin", "http://localhost"), ("Origin", "http://localhost")], .originNotAllowed),
            ([("Sec-Fetch-Site", "cross-site")], .originNotAllowed), ([("Sec-Fetch-Site", "same-origin")], nil),
            ([("Sec-Fetch-Site", "none")], nil), ([("Sec-Fetch-Site", "none, Cross-Site")], .originNotAllowed),
            ([("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")], .originNotAllowed),
            // A page of an allowed host is of another site than the relay, too.
            ([("Sec-Fetch-Site", "cross-site"), ("Origin", "https://relay.internal")], nil),
            ([("X-Forwarded-For", "127.0.0.1")], nil), ([("X-Forwarded-For", "203.0.113.5")], .forwardedNotAllowed),
            ([("X-Forwarded-For", "::1"), ("x-forwarded-for", "203.0.113.5")], .forwardedNotAllowed),
            ([("Forwarded", "for=\"[2001:db8::1]\"")], .forwardedNotAllowed), ([("Forwarded", "for=[::1]")], nil),
        ] as [([(String, String)], ClientRefusal?)]
    )
    func origin(lines: [(String, String)], expected: ClientRefusal?) {
        #expect(Self.rules().refusalOfOrigin(Self.fields(lines)) == expected)
    }

    @Test("proxies may speak for other hosts if those are allowed, and browsers not")
    func remote() {
        let rules = Self.rules { $0.allowsRemote = true }
        #expect(rules.refusalOfOrigin(Self.fields([("X-Forwarded-For", "203.0.113.5")])) == nil)
        #expect(rules.refusalOfOrigin(Self.fields([("Origin", "https://evil.example")])) == .originNotAllowed)
    }

    private static let token = "a-token-of-some-length"

    @Test(
        "a token is asked for wherever there is one",
        arguments: [
            ([], .tokenMissing), (["Bearer a-token-of-some-length"], nil), (["bearer   a-token-of-some-length"], nil),
            (["Bearer a-token-of-some-lengtH"], .tokenRefused), (["Bearer a-token-of-some-length "], .tokenRefused),
            (["Bearer "], .tokenRefused), (["Bearer a-token"], .tokenRefused), (["Basic YTpi"], .tokenMissing),
            (["a-token-of-some-length"], .tokenMissing), (["Bearera-token-of-some-length"], .tokenMissing),
            (["Bearer a-token-of-some-length", "Basic YTpi"], .tokenRefused),
        ] as [([String], ClientRefusal?)]
    )
    func token(authorizations: [String], expected: ClientRefusal?) {
        let fields = Self.fields(authorizations.map { ("Authorization", $0) })
        for injectedKey in [nil, Secret("key")] {
            let rules = Self.rules {
                $0.token = Secret(Self.token)
                $0.injectedKey = injectedKey
            }
            for peer in [ConnectionPeer.network, .local(uid: 1000)] {
                #expect(rules.refusalOfCredentials(fields, from: peer) == expected, "\(peer)")
            }
            #expect(rules.takesAuthorization)
        }
    }

    @Test("on the Unix socket the allowed users need no token, and no token helps the others")
    func users() {
        let shown = Self.fields([("Authorization", "Bearer \(Self.token)")])
        for token in [nil, Secret(Self.token)] {
            let rules = Self.rules {
                $0.token = token
                $0.allowedUIDs = [1000, 0]
            }
            for fields in [Self.fields([]), shown] {
                #expect(rules.refusalOfCredentials(fields, from: .local(uid: 1000)) == nil)
                #expect(rules.refusalOfCredentials(fields, from: .local(uid: 0)) == nil)
                #expect(rules.refusalOfCredentials(fields, from: .local(uid: 1001)) == .peerNotAllowed)
                #expect(rules.refusalOfCredentials(fields, from: .local(uid: nil)) == .peerNotAllowed)
            }
            let missing: ClientRefusal? = token == nil ? nil : .tokenMissing
            #expect(rules.refusalOfCredentials(Self.fields([]), from: .network) == missing)
        }
    }

    @Test("the relay's own key is sent for nobody whom nothing admits, and takes the place of clients' keys")
    func injection() {
        let open = Self.rules { $0.injectedKey = Secret("key") }
        for peer in [ConnectionPeer.network, .local(uid: 0)] {
            #expect(open.refusalOfCredentials(Self.fields([]), from: peer) == .nobodyAdmitted)
        }
        let users = Self.rules {
            $0.injectedKey = Secret("key")
            $0.allowedUIDs = [1000]
        }
        #expect(users.refusalOfCredentials(Self.fields([]), from: .network) == .nobodyAdmitted)
        #expect(users.refusalOfCredentials(Self.fields([]), from: .local(uid: 1000)) == nil)
        let own = Self.fields([("X-Dexatel-Key", "mine")])
        #expect(users.refusalOfCredentials(own, from: .local(uid: 1000)) == .keyNotAccepted)
        #expect(users.refusalOfCredentials(Self.fields([("X-Dexatel-Key", "")]), from: .local(uid: 1000)) == nil)
        // Who is not admitted does not learn more.
        #expect(users.refusalOfCredentials(own, from: .local(uid: 1)) == .peerNotAllowed)
    }

    @Test(
        "a client's key is visible ASCII",
        arguments: [
            ("mine", nil), ("", nil), ("caf\u{E9}", .keyMalformed), ("cafe\u{301}", .keyMalformed),
            ("a b", .keyMalformed), ("a\u{FFFD}", .keyMalformed), ("\u{212A}ey", .keyMalformed),
            (String(repeating: "k", count: 4_096), nil), (String(repeating: "k", count: 4_097), .keyMalformed),
        ] as [(String, ClientRefusal?)]
    )
    func keySyntax(key: String, expected: ClientRefusal?) {
        let fields = Self.fields([("X-Dexatel-Key", key)])
        #expect(Self.rules().refusalOfCredentials(fields, from: .network) == expected)
        let token = Self.rules { $0.token = Secret(Self.token) }
        // Who is not admitted does not learn more.
        #expect(token.refusalOfCredentials(fields, from: .network) == .tokenMissing)
    }

    @Test("without any of it everybody asks with a key of their own")
    func open() {
        let rules = Self.rules()
        let fields = Self.fields([("X-Dexatel-Key", "mine"), ("Authorization", "Basic YTpi")])
        for peer in [ConnectionPeer.network, .local(uid: 1000)] {
            #expect(rules.refusalOfCredentials(fields, from: peer) == nil)
        }
        #expect(!rules.takesAuthorization && fields.withAPIKey { Array($0) } == Array("mine".utf8))
    }
}
