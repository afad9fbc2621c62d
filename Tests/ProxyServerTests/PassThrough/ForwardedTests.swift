import DexatelAPI
import NIOHTTP1
import Testing
import Upstream

@testable import ProxyServer

@Suite("Forwarded requests")
struct ForwardedTests {
    @Test(
        "the target is taken in origin form and in absolute form, byte for byte",
        arguments: [
            ("/", "/"), ("/a?b=c", "/a?b=c"), ("/a%2Fb//c/./d?[x]=%20", "/a%2Fb//c/./d?[x]=%20"),
            ("//host/a", "//host/a"),
            ("http://host/a?b", "/a?b"), ("HTTPS://host:1/a", "/a"), ("http://host", "/"), ("http://host?q", "/?q"),
        ]
    )
    func target(given: String, expected: String) {
        #expect(ForwardedTarget.originForm(given) == expected)
    }

    @Test(
        "every other target is refused",
        arguments: [
            "", "*", "a/b", "host:443", "ftp://h/a", "http:///a", "http:/a", "/a b", "/a#b", "/é", "/a\u{7f}", "\\a",
        ]
    )
    func refusedTarget(given: String) {
        #expect(ForwardedTarget.originForm(given) == nil)
    }

    private func forwarded(_ headers: HTTPHeaders) -> ForwardedRequest {
        ForwardedRequest(HTTPRequestHead(version: .http1_1, method: .POST, uri: "/a", headers: headers))
    }

    @Test("the body's length is what the client says")
    func bodyLength() {
        #expect(forwarded([:]).body == .none)
        #expect(forwarded(["Content-Length": "0"]).body == .none)
        #expect(forwarded(["Content-Length": "12"]).body == .known(12))
        #expect(forwarded(["Content-Length": "12"]).length == 12)
        #expect(forwarded(["Transfer-Encoding": "chunked"]).body == .unknown)
        #expect(forwarded(["Transfer-Encoding": "chunked"]).length == nil)
    }

    @Test("the key travels apart from the fields")
    func key() {
        let request = forwarded(["X-Dexatel-Key": "secret", "Host": "relay", "Expect": "100-continue"]).request
        #expect(request.apiKey == Secret("secret"))
        #expect(!request.headers.contains(name: "X-Dexatel-Key"))
        #expect(!request.headers.contains(name: "Host") && !request.headers.contains(name: "Expect"))
        #expect(forwarded([:]).request.apiKey == nil)
    }
}
