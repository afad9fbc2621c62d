import Testing

@testable import ProxyServer

/// Which names the relay goes by, and how they are written.
@Suite("Hosts")
struct HostRuleTests {
    @Test(
        "a host may have a port, and is the same in any case",
        arguments: [
            ("localhost", "localhost"), ("LocalHost:8080", "localhost"), ("localhost:", "localhost"),
            ("relay.internal.", "relay.internal"), ("127.0.0.1:1", "127.0.0.1"), ("[::1]", "::1"),
            ("[FD00::1]:443", "fd00::1"), ("a_b-c~%20!", "a_b-c~%20!"),
        ]
    )
    func authority(text: String, host: String) {
        #expect(Authority(text)?.host == host)
    }

    @Test(
        "what is no host with a port is refused",
        arguments: [
            "", ":80", ".", "a b", "a:b", "a:80:80", "a:123456", "user@localhost", "localhost/", "localhost#", "[::1",
            "::1",
            "[::1]80", "[localhost]", "[127.0.0.1]", "a\"b", "localhost, localhost", "localhost\t", "ä",
            // In lower case it would be "kiosk".
            "\u{212A}iosk",
        ]
    )
    func notAuthority(text: String) {
        #expect(Authority(text) == nil)
    }

    @Test(
        "a setting names a host without a port",
        arguments: [
            ("Relay.Internal", "relay.internal"), ("192.0.2.7", "192.0.2.7"), ("fd00::7", "fd00::7"),
            ("[FD00::7]", "fd00::7"), ("relay:80", nil), ("[fd00::7]:80", nil), ("", nil), ("a/b", nil),
        ] as [(String, String?)]
    )
    func setting(text: String, host: String?) {
        #expect(Authority(host: text)?.host == host)
    }

    @Test(
        "loopback's names and addresses are always the relay's",
        arguments: [
            "localhost", "LOCALHOST.:8080", "127.0.0.1:8080", "127.9.8.7", "[::1]:8080", "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]", "app.localhost",
        ]
    )
    func loopback(text: String) throws {
        let authority = try #require(Authority(text))
        #expect(HostRule(address: nil, allowed: []).admits(authority))
    }

    @Test(
        "other names are not, however near they come",
        arguments: [
            "evil.example", "localhost.evil.example", "notlocalhost", "127.0.0.1.evil.example", "0.0.0.0", "[::]",
            "192.0.2.7", "127.1", "2130706433", "0x7f.0.0.1", "api.dexatel.com",
        ]
    )
    func foreign(text: String) throws {
        let authority = try #require(Authority(text))
        #expect(!HostRule(address: "127.0.0.1", allowed: []).admits(authority))
    }

    @Test("what is configured is, too: the address, and the allowed hosts in any spelling")
    func configured() throws {
        let rule = HostRule(address: "192.0.2.7", allowed: ["Relay.Internal", "fd00::7"])
        for text in ["192.0.2.7:80", "relay.internal", "RELAY.INTERNAL.:8080", "[fd00:0:0::7]:1"] {
            #expect(rule.admits(try #require(Authority(text))), "\(text)")
        }
        for text in ["192.0.2.8", "sub.relay.internal", "[fd00::8]"] {
            #expect(!rule.admits(try #require(Authority(text))), "\(text)")
        }
    }

    @Test("a relay that listens at all addresses goes by all of them, and by no name", arguments: ["0.0.0.0", "::"])
    func unspecified(address: String) throws {
        let rule = HostRule(address: address, allowed: [])
        for text in ["192.0.2.7:80", "[2001:db8::1]", "localhost"] {
            #expect(rule.admits(try #require(Authority(text))), "\(text)")
        }
        #expect(!rule.admits(try #require(Authority("evil.example"))))
    }

    @Test(
        "pages of the relay's own hosts may use it, and no others",
        arguments: [
            ("http://localhost:3000", true), ("https://relay.internal", true), ("http://[::1]:8080", true),
            ("null", false), ("", false), ("http://evil.example", false), ("http://localhost.evil.example", false),
            ("http://localhost http://evil.example", false), ("file://localhost", false), ("localhost", false),
            ("chrome-extension://localhost", false), ("http://evil.example@localhost", false), ("http://", false),
        ]
    )
    func origins(origin: String, isAdmitted: Bool) {
        #expect(HostRule(address: "127.0.0.1", allowed: ["relay.internal"]).admits(origin: origin) == isAdmitted)
    }

    @Test(
        "a proxy may speak for this host, and for nobody else",
        arguments: [
            (["127.0.0.1"], [], true), (["127.0.0.1, ::1", "[::1]:90"], [], true), (["\"127.0.0.1:80\""], [], true),
            (["203.0.113.5"], [], false), (["127.0.0.1, 203.0.113.5"], [], false), (["unknown"], [], false),
            ([""], [], true), (["127.0.0.1"], ["for=203.0.113.5"], false),
            ([], ["for=127.0.0.1;proto=http;by=203.0.113.5"], true), ([], ["For=\"[::1]:4711\", for=127.0.0.1"], true),
            ([], ["for=127.0.0.1, FOR = 203.0.113.5"], false), ([], ["for=_hidden"], false),
            ([], ["for=unknown"], false),
            ([], ["proto=https"], true),
        ] as [([String], [String], Bool)]
    )
    func forwarded(forwardedFor: [String], forwarded: [String], isLocal: Bool) {
        #expect(ForwardedClients.areLocal(forwardedFor: forwardedFor, forwarded: forwarded) == isLocal)
    }
}
