import DexatelAPI
import Testing

@testable import Outbox

@Suite struct KeyRegistryTests {
    private let registry = KeyRegistry(vault: Sample.vault)

    private func stored(
        _ secret: String,
        row: Int64 = 1,
        verified: Bool = false,
        refused: Bool = false,
        pending: Int64 = 0,
        vault: KeyVault = Sample.vault
    ) throws -> StoredKey {
        let fingerprint = vault.fingerprint(Secret(secret))
        return StoredKey(
            row: row,
            fingerprint: fingerprint,
            sealed: try vault.seal(Secret(secret), fingerprint: fingerprint),
            masterKeyIdentifier: vault.masterKeyIdentifier,
            isVerified: verified,
            isRefused: refused,
            pending: pending
        )
    }

    private func admitUntilFull(_ key: KnownKey, perKey: Int = 3, all: Int = 5) -> Int {
        var count = 0
        while count < 100, registry.admit(key, maxPerUnverifiedKey: perKey, maxUnverified: all) == nil { count += 1 }
        return count
    }

    @Test func `keys that never succeeded get exactly their share, of their own and of all`() {
        let keys = (1...3).map { registry.key(for: Secret("key-\($0)")) }
        #expect(admitUntilFull(keys[0]) == 3)
        #expect(admitUntilFull(keys[1]) == 2)
        #expect(admitUntilFull(keys[2]) == 0)
        registry.release(keys[0])
        #expect(admitUntilFull(keys[2]) == 1)
        registry.commit(keys[1])
        #expect(admitUntilFull(keys[2]) == 0, "a commit makes no room")
        registry.end(keys[1], verdict: nil)
        #expect(admitUntilFull(keys[2]) == 1)
    }

    @Test func `a key that has succeeded has no such limit, and its pending writes count no more`() {
        let key = registry.key(for: Secret("good"))
        let other = registry.key(for: Secret("unknown"))
        #expect(admitUntilFull(key) == 3)
        for _ in 1...3 { registry.commit(key) }
        registry.end(key, verdict: .verified)
        #expect(admitUntilFull(key) == 100)
        #expect(admitUntilFull(other) == 3)
        for _ in 1...2 { registry.end(key, verdict: .verified) }
        #expect(admitUntilFull(registry.key(for: Secret("third"))) == 2)
    }

    @Test func `keys that never succeeded are counted from their first write until they succeed or are forgotten`()
        throws
    {
        func admit(_ key: KnownKey) -> OutboxUnavailability? {
            registry.admit(key, maxPerUnverifiedKey: 9, maxUnverified: 99, maxUnverifiedKeys: 3)
        }
        let keys = (1...4).map { registry.key(for: Secret("key-\($0)")) }
        #expect(registry.unverifiedKeys == 0, "who only shows a key costs nothing")
        for key in keys[..<3] { #expect(admit(key) == nil && admit(key) == nil) }
        #expect(registry.unverifiedKeys == 3 && admit(keys[3]) == .keyLimit)
        for _ in 1...2 { registry.release(keys[0]) }
        #expect(registry.unverifiedKeys == 2, "nothing of it was stored")
        #expect(admit(keys[3]) == nil && registry.unverifiedKeys == 3)
        for (row, key) in [(Int64(2), keys[1]), (3, keys[2])] {
            for _ in 1...2 { registry.commit(key) }
            registry.adopt(key, row: row)
        }
        registry.end(keys[1], verdict: .verified)
        #expect(registry.unverifiedKeys == 2)
        for _ in 1...2 { registry.end(keys[2], verdict: .refused) }
        #expect(registry.unverifiedKeys == 2, "it is remembered")
        registry.forget([2, 3])
        #expect(registry.unverifiedKeys == 1)
        registry.release(keys[3])
        #expect(registry.unverifiedKeys == 0)
    }

    @Test func `keys of the outbox are counted once, however often they are loaded, sealed or not`() throws {
        var rows = [
            try stored("a", row: 1), try stored("b", row: 2), try stored("c", row: 3, verified: true),
            try stored("d", row: 4, verified: true),
        ]
        (rows[1].sealed, rows[3].sealed) = (nil, nil)
        for _ in 1...2 {
            try registry.load(rows)
            #expect(registry.unverifiedKeys == 2)
            // Who had been forgotten by everybody but the outbox comes back.
            _ = registry.key(for: Secret("b"))
            #expect(registry.unverifiedKeys == 2)
        }
        registry.forget([1, 2, 3, 4])
        #expect(registry.unverifiedKeys == 0)
        try registry.load(rows)
        registry.forget([2])
        #expect(registry.unverifiedKeys == 1)
    }

    @Test func `a key is held from when the commit thread says so until it says otherwise`() {
        let key = registry.key(for: Secret("k"))
        #expect(admitUntilFull(key) == 3)
        for _ in 1...3 { registry.commit(key) }
        registry.refuse(key)
        #expect(!key.isHeld, "its sender saw that, and nothing waits for it")
        #expect(registry.setHeld(key, true))
        #expect(!registry.setHeld(key, true), "it is no news")
        #expect(key.isHeld && key.beginTaking() && !key.beginTaking())
        registry.end(key, verdict: .verified)
        registry.take(key)
        #expect(registry.setHeld(key, false))
        #expect(!key.isHeld && !key.current.isRefused)
    }

    @Test func `keys of the outbox come back, and are the same that clients hold`() throws {
        let shown = registry.key(for: Secret("shown"))
        try registry.load([
            stored("shown", row: 1, verified: true), stored("unseen", row: 2, refused: true, pending: 2),
        ])
        #expect(registry.key(row: 1) === shown)
        #expect(shown.current.isVerified && shown.current.row == 1)
        let unseen = try #require(registry.key(row: 2))
        #expect(unseen === registry.key(for: Secret("unseen")))
        #expect(unseen.secret == Secret("unseen"))
        #expect(!unseen.isHeld && registry.heldRows.isEmpty, "refused, but not held")
    }

    @Test func `loading again counts what the database has, and keeps what is on its way there`() throws {
        let key = registry.key(for: Secret("k"))
        #expect(registry.admit(key, maxPerUnverifiedKey: 9, maxUnverified: 9) == nil)
        try registry.load([stored("k", pending: 4)])
        try registry.load([stored("k", pending: 4)])
        #expect(key.current.pending == 5)
        registry.commit(key)
        for _ in 1...5 { registry.end(key, verdict: nil) }
        #expect(key.current.pending == 0)
        #expect(admitUntilFull(key, perKey: 99, all: 7) == 7, "the count over all keys is right, too")
    }

    @Test func `another master key opens nothing`() throws {
        let other = KeyVault(masterKey: Sample.masterKey(2))
        let error = #expect(throws: OutboxError.self) { try registry.load([stored("k", vault: other)]) }
        #expect(error?.code == .masterKey)
    }

    @Test func `keys that nobody holds are forgotten past a bound, held ones never`() throws {
        let held = registry.key(for: Secret("held"))
        weak let unheld: KnownKey? = registry.key(for: Secret("unheld"))
        #expect(unheld != nil)
        for number in 0...KeyRegistry.maxTransientKeys { _ = registry.key(for: Secret("junk-\(number)")) }
        #expect(unheld == nil)
        #expect(registry.key(for: Secret("held")) === held, "two of a fingerprint would get two rows")
    }
}
