import Testing

@testable import ProxyServer

@Suite struct UploadWindowTests {
    private let block = 64 << 10

    @Test func `nothing is asked of the client before the upstream wants it`() {
        var window = UploadWindow()
        #expect(!window.isFlowing && !window.isStarved)
        window.taken(0)
        #expect(window.isFlowing && window.isStarved)
    }

    @Test func `the client is read until enough waits, and again when little is left`() {
        var window = UploadWindow()
        window.taken(0)
        for _ in 0..<3 { window.offered(block) }
        #expect(window.isFlowing && !window.isStarved)
        window.offered(block)
        #expect(!window.isFlowing && window.waitingBytes == UploadWindow.maxWaitingBytes)
        window.taken(2 * block)
        #expect(!window.isFlowing)
        window.taken(block)
        #expect(window.isFlowing && window.waitingBytes == UploadWindow.resumesAtBytes)
    }

    @Test func `a body that is there, or complete, starves nobody`() {
        var window = UploadWindow()
        window.taken(0)
        window.offered(1)
        #expect(!window.isStarved)
        window.taken(1)
        #expect(window.isStarved)
        window.ended()
        #expect(!window.isStarved)
    }
}
