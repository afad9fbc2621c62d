import RelayDaemon
import Testing

/// The table of settings as a whole.
@Suite struct ConfigurationTableTests {
    @Test func `no two keys share a name or a variable`() {
        let keys = ConfigurationKey.all
        #expect(Set(keys.map(\.name)).count == keys.count)
        #expect(Set(keys.map(\.variable)).count == keys.count)
    }

    @Test func `names are lower-case words with underscores, in a section`() {
        for key in ConfigurationKey.all {
            #expect(key.name.wholeMatch(of: /[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)+/) != nil, "\(key.name)")
        }
    }

    @Test func `every summary is a sentence`() {
        for key in ConfigurationKey.all {
            #expect(key.summary.hasSuffix(".") && !key.summary.contains("|"), "\(key.name)")
        }
    }

    @Test(arguments: [
        ("listen.address", "127.0.0.1"), ("listen.port", "8080"), ("listen.unix_socket", ""),
        ("listen.allow_remote", "false"), ("listen.allowed_hosts", ""), ("listen.allowed_uids", ""),
        ("listen.token_file", "`$CREDENTIALS_DIRECTORY/listen-token`, if it is there"),
        ("upstream.api_key_file", "`$CREDENTIALS_DIRECTORY/dexatel-api-key`, if it is there"),
        ("listen.max_connections", "4096"), ("listen.max_head", "16KiB"),
        ("listen.head_timeout", "10s"), ("listen.idle_timeout", "75s"),
        ("listen.max_buffered_bytes", "64MiB"), ("upstream.url", "https://api.dexatel.com"),
        ("upstream.connect_timeout", "2s"), ("upstream.request_timeout", "10s"), ("upstream.max_connections", "64"),
        ("upstream.probe_interval", "2s"), ("upstream.max_concurrent_writes", "40"), ("upstream.ca_file", ""),
        ("upstream.keep_alive", "4s"), ("upstream.max_connection_age", "5m"),
        ("upstream.proxy", "`HTTPS_PROXY`, unless `NO_PROXY` names the upstream or it is on loopback"),
        ("upstream.proxy_credentials_file", "`$CREDENTIALS_DIRECTORY/upstream-proxy`, if it is there"),
        ("writes.reply_wait", "2s"),
        ("writes.max_reply_wait", "30s"), ("writes.max_waiting", "1024"), ("writes.accepted_status", "202"),
        ("writes.max_pending", "1000000"), ("writes.max_pending_bytes", "2GiB"),
        ("writes.max_pending_unverified_per_key", "1000"), ("writes.max_pending_unverified", "10000"),
        ("writes.max_unverified_keys", "10000"),
        ("writes.max_dead", "100000"), ("writes.max_deaths_per_minute", "1000"), ("writes.max_receipts", "1000000"),
        ("writes.supersede", "true"),
        ("writes.put_semantics", "unknown"), ("writes.max_age", "7d"), ("writes.keep_receipts", "1d"),
        ("writes.max_body", "64KiB"),
        ("writes.limits.first_name", "32"), ("writes.limits.last_name", "32"), ("writes.limits.timestamp", "32"),
        ("writes.limits.date", "70"), ("writes.min_free_disk", "64MiB"), ("writes.not_found_grace", "5m"),
        ("writes.foreign_reply_grace", "1h"),
        ("writes.hold_probe", "5m"), ("writes.settle", "0s"), ("writes.on_dead_url", ""),
        ("writes.retry.initial", "1s"),
        ("writes.retry.max", "15m"), ("writes.retry.max_retry_after", "1h"), ("shutdown.timeout", "20s"),
        ("reads.default_ttl", "1m"), ("reads.stale_while_revalidate", "30s"),
        ("reads.stale_if_error", "7d"), ("reads.reply_wait", "2s"), ("reads.negative_ttl", "10s"),
        ("reads.memory", "64MiB"), ("reads.disk", "512MiB"), ("reads.max_object", "1MiB"),
        ("reads.max_waiters", "1024"), ("reads.obey_cdn_cache_control", "false"),
        ("state.directory", "`$STATE_DIRECTORY`, or `./var`"),
        ("admin.socket", "`$RUNTIME_DIRECTORY/admin.sock`, or `admin.sock` in the state directory"),
        ("log.level", "info"), ("log.format", "auto"),
    ])
    func `defaults are what the documents promise`(name: String, text: String) {
        #expect(ConfigurationKey.all.first { $0.name == name }?.defaultText == text)
    }

    @Test func `every key's default is pinned above`() {
        #expect(ConfigurationKey.all.count == 69)
    }
}
