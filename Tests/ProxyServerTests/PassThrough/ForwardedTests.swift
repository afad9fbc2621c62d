import DexatelAPI
import HTTPWire
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

    private func forwarded(
        _ headers: HTTPHeaders,
        apiKey: Secret? = nil,
        dropsAuthorization: Bool = false
    ) -> ForwardedRequest {
        ForwardedRequest(
            RequestHead(.POST, "/a", headers),
            apiKey: apiKey,
            dropsAuthorization: dropsAuthorization
        )
    }

    @Test("the body's length is what the client says")
    func bodyLength() {
        #expect(forwarded([:]).body == .none)
        #expect(forwarded(["Content-Length": "0"]).body == .none)
        #expect(forwarded(["Content-Length": "12"]).body == .known(12))
        #expect(forwarded(["Transfer-Encoding": "chunked"]).body == .unknown)
    }

    @Test("the key travels apart from the fields")
    func key() {
        let headers: HTTPHeaders = ["X-Dexatel-Key": "another", "Host": "relay", "Expect": "100-continue"]
        let request = forwarded(headers, apiKey: Secret("secret")).request
        #expect(request.apiKey == Secret("secret"))
        #expect(!request.headers.contains(name: "X-Dexatel-Key"))
        #expect(!request.headers.contains(name: "Host") && !request.headers.contains(name: "Expect"))
        #expect(forwarded([:]).request.apiKey == nil)
    }

    @Test("Authorization goes on, unless it was for the relay")
    func authorization() {
        let headers: HTTPHeaders = ["Authorization": "Bearer a", "X-Mine": "b"]
        #expect(forwarded(headers).request.headers["Authorization"] == ["Bearer a"])
        let request = forwarded(headers, dropsAuthorization: true).request
        #expect(request.headers["Authorization"] == [] && request.headers["X-Mine"] == ["b"])
    }

    @Test("a target in absolute form names a host, and no other does")
    func authority() {
        #expect(ForwardedTarget.authority("http://host:81/a?b") == "host:81")
        #expect(ForwardedTarget.authority("https://host?b") == "host")
        #expect(ForwardedTarget.authority("//host/a") == nil && ForwardedTarget.authority("*") == nil)
    }
}
