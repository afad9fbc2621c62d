import HTTPWire
import NIOHTTP1
import Testing

@testable import ProxyServer

@Suite("Preferences")
struct PreferenceTests {
    private func preference(_ lines: String...) -> Preference {
        Preference(FieldSection(HTTPHeaders(lines.map { ("Prefer", $0) })))
    }

    @Test("what is asked for is found, whatever stands around it")
    func parsing() {
        #expect(preference() == preference("", "handling=lenient", "wait", "wait=-1", "wait=soon"))
        #expect(preference("respond-async").respondAsync)
        #expect(preference("a=b, Respond-Async;x=y").respondAsync)
        #expect(preference("wait=5").waitSeconds == 5)
        #expect(preference("handling=strict", " wait = \"7\" ").waitSeconds == 7)
        #expect(preference("wait=5", "wait=6").waitSeconds == 5)
        #expect(preference("relay-barrier, wait=3").relayBarrier)
        #expect(!preference("respond-async").relayBarrier)
    }

    @Test("the wait is what was asked for, within its bound")
    func wait() {
        #expect(preference().replyWaitMilliseconds(default: 2_000, max: 30_000) == 2_000)
        #expect(preference("wait=5").replyWaitMilliseconds(default: 2_000, max: 30_000) == 5_000)
        #expect(preference("wait=100").replyWaitMilliseconds(default: 2_000, max: 30_000) == 30_000)
        #expect(preference("wait=\(Int64.max)").replyWaitMilliseconds(default: 2_000, max: 30_000) == 30_000)
        #expect(preference("respond-async").replyWaitMilliseconds(default: 2_000, max: 30_000) == 0)
        #expect(preference("respond-async, wait=1").replyWaitMilliseconds(default: 2_000, max: 30_000) == 1_000)
    }

    @Test("only what was applied is said to be")
    func applied() {
        #expect(preference().applied(isAsynchronous: true) == nil)
        #expect(preference("respond-async").applied(isAsynchronous: true) == "respond-async")
        #expect(preference("respond-async").applied(isAsynchronous: false) == nil)
        #expect(preference("wait=2").applied(isAsynchronous: false) == "wait=2")
        #expect(preference("respond-async, wait=2").applied(isAsynchronous: true) == "respond-async, wait=2")
        #expect(preference("respond-async, wait=2").applied(isAsynchronous: false) == "wait=2")
    }
}
