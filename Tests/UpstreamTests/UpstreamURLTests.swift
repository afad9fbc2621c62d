import Testing
import Upstream

@Suite("Upstream URL")
struct UpstreamURLTests {
    @Test(
        "valid ones come apart",
        arguments: [
            ("https://api.dexatel.com", "https://api.dexatel.com", ""),
            ("https://API.Dexatel.com/", "https://api.dexatel.com", ""),
            ("HTTPS://api.dexatel.com:443/v2//", "https://api.dexatel.com", "/v2"),
            ("https://api.dexatel.com:8443/a/b%20c/", "https://api.dexatel.com:8443", "/a/b%20c"),
            ("http://localhost:9000", "http://localhost:9000", ""),
            ("http://127.8.9.10", "http://127.8.9.10", ""),
            ("http://[::1]:80/x", "http://[::1]", "/x"),
            ("https://[2001:DB8::1]:444", "https://[2001:db8::1]:444", ""),
        ]
    )
    func valid(text: String, origin: String, basePath: String) throws {
        let url = try UpstreamURL(text)
        #expect(url.origin == origin)
        #expect(url.basePath == basePath)
    }

    @Test(
        "the rest is refused",
        arguments: [
            "", "api.dexatel.com", "://x", "ftp://api.dexatel.com", "unix:///run/x", "https://", "https:///v1",
            "https://:443",
            "https://user@api.dexatel.com", "https://user:pass@api.dexatel.com", "https://api.dexatel.com:0",
            "https://api.dexatel.com:65536", "https://api.dexatel.com:", "https://api.dexatel.com:+1",
            "https://api.dexatel.com?x=1",
            "https://api.dexatel.com/#top", "https://api.dexatel.com/a b", "https://api.dexatel.com/ä",
            "https://exa mple.com",
            "https://[::1", "https://[localhost]", "https://[::1]x", "http://api.dexatel.com", "http://10.0.0.1",
            "http://127.0.0.1.example.com", "http://127.0.0", "http://localhost.example.com", "http://[::2]",
        ]
    )
    func invalid(text: String) {
        #expect(throws: UpstreamURL.Fault.self) { try UpstreamURL(text) }
    }
}
