import DexatelAPI
import Testing

@testable import Outbox

@Suite struct KeyVaultTests {
    private let secret = Secret("planted-api-key")

    @Test func `what was sealed opens, and looks different each time`() throws {
        let vault = Sample.vault
        let fingerprint = vault.fingerprint(secret)
        let one = try vault.seal(secret, fingerprint: fingerprint)
        let other = try vault.seal(secret, fingerprint: fingerprint)
        #expect(one != other)
        #expect(try vault.open(one, fingerprint: fingerprint) == secret)
        #expect(try vault.open(other, fingerprint: fingerprint) == secret)
        #expect(!String(decoding: one, as: UTF8.self).contains("planted"))
    }

    @Test func `a changed seal, another fingerprint and another master key open nothing`() throws {
        let vault = Sample.vault
        let fingerprint = vault.fingerprint(secret)
        let sealed = try vault.seal(secret, fingerprint: fingerprint)
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: (any Error).self) { try vault.open(changed, fingerprint: fingerprint) }
        }
        #expect(throws: (any Error).self) { try vault.open(Array(sealed.dropLast()), fingerprint: fingerprint) }
        #expect(throws: (any Error).self) { try vault.open([], fingerprint: fingerprint) }
        let other = KeyVault(masterKey: Sample.masterKey(2))
        #expect(throws: (any Error).self) { try other.open(sealed, fingerprint: fingerprint) }
        #expect(throws: (any Error).self) { try vault.open(sealed, fingerprint: vault.fingerprint(Secret("x"))) }
    }

    @Test func `a fingerprint depends on key and master key, and reads back from its bytes`() {
        let fingerprint = Sample.vault.fingerprint(secret)
        #expect(fingerprint == Sample.vault.fingerprint(Secret("planted-api-key")))
        #expect(fingerprint != Sample.vault.fingerprint(Secret("planted-api-keY")))
        #expect(fingerprint != KeyVault(masterKey: Sample.masterKey(2)).fingerprint(secret))
        #expect(KeyFingerprint(fingerprint.bytes) == fingerprint)
        #expect(KeyFingerprint([UInt8](repeating: 0, count: 16)).description == "000000000000")
        #expect(fingerprint.description.utf8.count == 12)
    }
}
