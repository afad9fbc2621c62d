import NIOCore
import NIOHTTP1
import ResponseCache
import Testing

@Suite("Invalidation (RFC 9111 §4.4, design §5.5)")
struct InvalidationTests {
    private static let all = [
        "/", "/v1", "/v1/audiences", "/v1/audiences?page=2", "/v1/audiences/a", "/v1/audiences/a/contacts",
        "/v1/audiences/a/contacts?page_size=5", "/v1/audiences/a/contacts?filter%5Bsearch%5D=x",
        "/v1/audiences/a/contacts/c", "/v1/audiences/a/contacts/c?x=1", "/v1/audiences/a/contacts/c/history",
        "/v1/audiences/a/contacts/cc", "/v1/audiences/a/contacts/d", "/v1/audiences/b", "/v1/audiences/b/contacts",
        "/v1/messages",
    ]

    private func invalidated(by target: String, shards: Int = 1) throws -> Set<String> {
        let fixture = CacheFixture(shards: shards)
        for target in Self.all {
            for partition in [CacheFixture.oneKey, .key(high: 9, low: 9), .shared] {
                try fixture.store(["Cache-Control": "max-age=60"], target: target, partition: partition)
            }
        }
        fixture.cache.invalidate(target: target)
        return Set(
            try Self.all.filter { stored in
                let words = [CacheFixture.oneKey, .key(high: 9, low: 9), .shared].map {
                    fixture.word(target: stored, partition: $0)
                }
                // The same for all keys.
                try #require(Set(words).count == 1)
                return words[0] != "fresh"
            }
        )
    }

    @Test(
        "a path, those below and those above are invalidated with every query and for all keys, contacts up to their audience",
        arguments: [1, 4]
    )
    func related(shards: Int) throws {
        #expect(
            try invalidated(by: "/v1/audiences/a/contacts/c", shards: shards) == [
                "/v1/audiences/a", "/v1/audiences/a/contacts",
                "/v1/audiences/a/contacts?page_size=5", "/v1/audiences/a/contacts?filter%5Bsearch%5D=x",
                "/v1/audiences/a/contacts/c", "/v1/audiences/a/contacts/c?x=1", "/v1/audiences/a/contacts/c/history",
            ]
        )
        #expect(
            try invalidated(by: "/v1/audiences/b?force=1", shards: shards) == [
                "/", "/v1", "/v1/audiences", "/v1/audiences?page=2", "/v1/audiences/b", "/v1/audiences/b/contacts",
            ]
        )
        #expect(try invalidated(by: "/", shards: shards) == Set(Self.all))
        #expect(try invalidated(by: "/v1/other/z", shards: shards) == ["/", "/v1"])
    }

    @Test("an invalidation for one key leaves all others as they are, those without a key included", arguments: [1, 4])
    func own(shards: Int) throws {
        let fixture = CacheFixture(shards: shards)
        let others: [CachePartition] = [.key(high: 9, low: 9), .shared]
        for _ in 0..<2 {
            for target in Self.all {
                for partition in [CacheFixture.oneKey] + others {
                    try fixture.store(["Cache-Control": "max-age=60"], target: target, partition: partition)
                }
            }
            fixture.cache.invalidate(target: "/v1/audiences/a/contacts/c", in: CacheFixture.oneKey)
            let own = Self.all.filter { fixture.word(target: $0) != "fresh" }
            #expect(
                Set(own) == [
                    "/v1/audiences/a", "/v1/audiences/a/contacts", "/v1/audiences/a/contacts?page_size=5",
                    "/v1/audiences/a/contacts?filter%5Bsearch%5D=x", "/v1/audiences/a/contacts/c",
                    "/v1/audiences/a/contacts/c?x=1", "/v1/audiences/a/contacts/c/history",
                ]
            )
            for partition in others {
                #expect(Self.all.allSatisfy { fixture.word(target: $0, partition: partition) == "fresh" })
            }
            // What the upstream has taken concerns everybody, whatever was marked before.
            fixture.cache.invalidate(target: "/v1/audiences/a/contacts/c")
            for partition in others {
                #expect(fixture.word(target: fixture.target, partition: partition) == "validate, stale")
            }
        }
    }

    @Test("of replies on their way, an invalidation for one key concerns those that this key has asked for")
    func ownRace() throws {
        let fixture = CacheFixture()
        let other = CachePartition.key(high: 9, low: 9)
        let early = fixture.cache.fetchToken(fixture.key())
        fixture.cache.invalidate(target: fixture.target, in: CacheFixture.oneKey)
        #expect(!fixture.cache.isCurrent(fixture.key(), since: early))
        #expect(!fixture.cache.isCurrent(fixture.key("/v1/audiences/a/contacts?page=3"), since: early))
        #expect(fixture.cache.isCurrent(fixture.key("/v1/audiences"), since: early))
        #expect(fixture.cache.isCurrent(fixture.key(nil, other), since: early))
        try fixture.store([:], token: early)
        try fixture.store([:], partition: other, token: early)
        #expect(fixture.word() == "validate, stale")
        #expect(fixture.word(partition: other) == "fresh")
        #expect(fixture.cache.isCurrent(fixture.key(), since: fixture.cache.fetchToken(fixture.key())))
    }

    @Test("however many writes one key has accepted, what others asked for before is stored as fresh")
    func ownFlood() throws {
        let fixture = CacheFixture()
        let other = CachePartition.key(high: 9, low: 9)
        let early = fixture.cache.fetchToken(fixture.key())
        for number in 0..<20_000 {
            fixture.cache.invalidate(target: "/v1/audiences/a/contacts/\(number)", in: CacheFixture.oneKey)
        }
        #expect(fixture.cache.isCurrent(fixture.key(nil, other), since: early))
        try fixture.store([:], partition: other, token: early)
        #expect(fixture.word(partition: other) == "fresh")
        // Beyond the bound more of the key's own counts as invalidated, never less.
        #expect(!fixture.cache.isCurrent(fixture.key("/v1/audiences/a/contacts/0"), since: early))
    }

    @Test("what is invalidated within the lifetime that it states is served while the upstream fails, and not after it")
    func invalidatedInItsLifetime() throws {
        let fixture = CacheFixture()
        try fixture.store(["Cache-Control": "max-age=60", "ETag": "\"a\""])
        fixture.cache.invalidate(target: fixture.target)
        #expect(fixture.word(at: 59) == "validate, stale")
        #expect(fixture.wordOnError(at: 59) == "stale")
        #expect(fixture.wordOnError(at: 60) == "504")
        #expect(fixture.wordDisconnected(at: 60) == "stale")
    }

    @Test(
        "other spellings of a path invalidate the same",
        arguments: [
            "/v1/audiences/b/", "/v1//audiences/b", "/v1/audiences/./b", "/v1/audiences/x/../b", "/V1/Audiences/B",
            "/v1/audiences/%62", "/v1%2Faudiences/b", "/v1/audiences/b;v=1", "http://host/v1/audiences/b?x",
            "\\v1\\audiences/b",
        ]
    )
    func spellings(target: String) throws {
        #expect(try invalidated(by: target) == invalidated(by: "/v1/audiences/b"))
    }

    @Test("what is invalidated is validated first, or stands in while the upstream fails")
    func marked() throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": "\"a\""])
        fixture.cache.invalidate(target: fixture.target)
        #expect(fixture.word(at: 1) == "validate, stale")
        #expect(fixture.word(["Cache-Control": "max-stale"], at: 1) == "validate, stale")
        #expect(fixture.wordOnError(at: 1) == "stale")
        #expect(fixture.wordOnError(at: 604_900) == "504")
        #expect(fixture.cache.counters.invalidated == 1)
    }

    @Test("RFC 9111 §5.2.2.2 must-revalidate forbids that too")
    func mustRevalidate() throws {
        let fixture = CacheFixture()
        try fixture.store(["Cache-Control": "max-age=60, must-revalidate"])
        fixture.cache.invalidate(target: fixture.target)
        #expect(fixture.wordOnError(at: 1) == "504")
    }

    @Test("a reply that was asked for after the invalidation is fresh again")
    func replaced() throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": "\"a\""])
        for _ in 0..<3 {
            fixture.cache.invalidate(target: fixture.target)
            #expect(fixture.word() == "validate, stale")
            try fixture.store(["ETag": "\"b\""])
            #expect(fixture.word() == "fresh")
        }
        // Marking again after a new reply has come to a marked path.
        fixture.cache.invalidate(target: "/v1/audiences")
        #expect(fixture.word() == "validate, stale")
    }

    @Test("a slow reply that was asked for before an invalidation never comes back as fresh")
    func race() throws {
        let fixture = CacheFixture()
        let early = fixture.cache.fetchToken(fixture.key())
        fixture.cache.invalidate(target: fixture.target)
        try fixture.store([:], body: "old", token: early)
        #expect(fixture.word() == "validate, stale")
        try fixture.store([:], body: "new")
        #expect(throws: StoreRefusal.superseded) { try fixture.store([:], body: "old", token: early) }
        let image = try #require(fixture.answer().hit).wireImage(nowMilliseconds: 0)
        #expect(image.bodyText == "new")
    }

    @Test("a slow reply that was asked for earlier does not take the place of a later one, though both are in doubt")
    func raceInDoubt() throws {
        let fixture = CacheFixture()
        let early = fixture.cache.fetchToken(fixture.key())
        fixture.cache.invalidate(target: fixture.target)
        try fixture.store(["ETag": "\"new\""], body: "new", at: 2)
        // Another write puts the later one in doubt, too.
        fixture.cache.invalidate(target: fixture.target)
        #expect(throws: StoreRefusal.superseded) { try fixture.store([:], body: "old", at: 1, token: early) }
        #expect(throws: StoreRefusal.superseded) { try fixture.store([:], body: "old", at: 1) }
        #expect(fixture.answer(at: 3).validation?.response.body == ByteBuffer(string: "new"))
        // What was asked for in the same millisecond may take it.
        try fixture.store([:], body: "newest", at: 2)
        #expect(fixture.answer(at: 3).validation == nil)
    }

    @Test("a 304 to an earlier question does not confirm a reply over a later one")
    func freshenInDoubt() throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": "\"a\""], body: "old")
        let validation = try #require(fixture.answer(at: 100).validation)
        try fixture.store(["ETag": "\"b\""], body: "new", at: 102)
        let fresh = fixture.cache.freshen(
            validation,
            by: CacheFixture.head(304, ["ETag": "\"a\""], at: 101),
            to: CacheFixture.request(),
            key: fixture.key()
        )
        #expect(fresh != nil)
        let image = try #require(fixture.answer(at: 103).hit).wireImage(nowMilliseconds: 103_000)
        #expect(image.bodyText == "new")
    }

    @Test("an invalidation elsewhere does not hold a reply back; more of them than are remembered do")
    func log() throws {
        let fixture = CacheFixture()
        let early = fixture.cache.fetchToken(fixture.key())
        fixture.cache.invalidate(target: "/v1/audiences/b")
        try fixture.store([:], token: early)
        #expect(fixture.word() == "fresh")
        for number in 0..<5000 { fixture.cache.invalidate(target: "/v1/messages/\(number)") }
        #expect(fixture.word() == "fresh")
        #expect(throws: StoreRefusal.superseded) { try fixture.store([:], token: early) }
        let late = fixture.cache.fetchToken(fixture.key())
        for number in 0..<4000 { fixture.cache.invalidate(target: "/v1/messages/\(number)") }
        try fixture.store([:], token: late)
        #expect(fixture.word() == "fresh")
    }

    @Test("§4.4 a 304 that comes after an invalidation does not undo it")
    func freshenRace() throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": "\"a\""])
        let validation = try #require(fixture.answer(at: 100).validation)
        fixture.cache.invalidate(target: fixture.target)
        let fresh = fixture.cache.freshen(
            validation,
            by: CacheFixture.head(304, ["ETag": "\"a\""], at: 100),
            to: CacheFixture.request(),
            key: fixture.key()
        )
        #expect(fresh != nil)
        #expect(fixture.word(at: 101) == "validate, stale")
    }

    @Test("a refused key loses all that was obtained with it, even what is still under way, and no other key does")
    func forgetPartition() throws {
        let fixture = CacheFixture()
        let other = CachePartition.key(high: 1, low: 3)
        for number in 0..<20 {
            try fixture.store([:], target: "/v1/audiences/\(number)")
            try fixture.store([:], target: "/v1/audiences/\(number)", partition: other)
        }
        let token = fixture.cache.fetchToken(fixture.key())
        fixture.cache.forget(CacheFixture.oneKey)
        for number in 0..<20 {
            #expect(fixture.word(target: "/v1/audiences/\(number)") == "uri-miss")
            #expect(fixture.word(target: "/v1/audiences/\(number)", partition: other) == "fresh")
        }
        #expect(throws: StoreRefusal.superseded) { try fixture.store([:], token: token) }
        try fixture.store([:])
        #expect(fixture.word() == "fresh")
    }

    @Test("a target that was refused is forgotten with its variants, for that key")
    func forgetKey() throws {
        let fixture = CacheFixture()
        for accept in ["a", "b"] { try fixture.store(["Vary": "Accept"], asked: ["Accept": accept]) }
        try fixture.store([:], target: "/v1/audiences/a/contacts/d")
        fixture.cache.forget(fixture.key())
        #expect(fixture.word(["Accept": "a"]) == "uri-miss")
        #expect(fixture.word(["Accept": "b"]) == "uri-miss")
        #expect(fixture.word(target: "/v1/audiences/a/contacts/d") == "fresh")
    }

    @Test("a purge takes away a path and what is below, and says how many")
    func purge() throws {
        let fixture = CacheFixture(shards: 2)
        for target in Self.all { try fixture.store(["Cache-Control": "max-age=60"], target: target) }
        #expect(fixture.cache.purge(path: "/v1/audiences/a/contacts") == 8)
        #expect(fixture.word(target: "/v1/audiences/a") == "fresh")
        #expect(fixture.cache.purge(path: "/") == Self.all.count - 8)
        #expect(fixture.cache.counters.entries == 0)
        #expect(fixture.cache.counters.bytes == 0)
    }
}

@Suite("What an unsafe request invalidates (RFC 9111 §4.4)")
struct UnsafeReplyTests {
    private func targets(_ method: HTTPMethod, _ status: Int, _ headers: HTTPHeaders = [:]) -> [String] {
        UnsafeReply.invalidatedTargets(
            method: method,
            target: "/v1/audiences/a?x=1",
            status: status,
            headers: headers,
            origin: "https://api.dexatel.com"
        )
    }

    @Test("§4.4 a non-error reply to an unsafe or unknown method invalidates its target")
    func methods() {
        for method in [HTTPMethod.POST, .PUT, .DELETE, .PATCH, .RAW(value: "BREW")] {
            for status in [200, 201, 204, 302, 399] { #expect(targets(method, status) == ["/v1/audiences/a?x=1"]) }
            for status in [100, 400, 404, 500] { #expect(targets(method, status).isEmpty) }
        }
        for method in [HTTPMethod.GET, .HEAD, .OPTIONS, .TRACE] { #expect(targets(method, 200).isEmpty) }
    }

    @Test(
        "§4.4 Location and Content-Location invalidate too, within the origin only",
        arguments: [
            ("/v1/audiences/b", "/v1/audiences/b"), ("https://api.dexatel.com/v1/x", "/v1/x"),
            ("HTTPS://API.Dexatel.com/v1/x", "/v1/x"), ("//api.dexatel.com/v1/x", "/v1/x"), ("b", "/v1/audiences/b"),
            ("https://api.dexatel.com", "/"), ("https://api.dexatel.com.evil.example/v1/x", nil),
            ("https://evil.example/v1/x", nil), ("http://api.dexatel.com/v1/x", nil), ("//evil.example/v1", nil),
            ("mailto:x", nil), ("", nil),
        ] as [(String, String?)]
    )
    func locations(value: String, target: String?) {
        for name in ["Location", "Content-Location"] {
            #expect(targets(.POST, 201, [name: value]).dropFirst().first == target)
        }
    }
}
