import ResponseCache
import Testing

@testable import RelayDaemon

@Suite struct CacheSettingTests {
    @Test func `CDN-Cache-Control is obeyed by an option, behind the relay's own field`() {
        var configuration = RelayConfiguration()
        #expect(configuration.cacheConfiguration.targetedFields == ["Contact-Relay-Cache-Control"])
        configuration.reads.obeysCDNCacheControl = true
        #expect(
            configuration.cacheConfiguration.targetedFields == ["Contact-Relay-Cache-Control", "CDN-Cache-Control"]
        )
    }
}
