import DexatelAPI
import Testing

@Suite struct ContactReferenceTests {
    private let audience = "01234567-89ab-cdef-fedc-ba9876543210"
    private let contact = "ffffffff-0000-1111-2222-333333333333"

    @Test func `the identity does not depend on the case of the text`() throws {
        let lower = try #require(ContactReference(audience: audience, contact: contact))
        let upper = try #require(ContactReference(audience: audience.uppercased(), contact: contact.uppercased()[...]))
        #expect(lower == upper)
        #expect(lower.hashValue == upper.hashValue)
        #expect(upper.audienceText == audience)
        #expect(upper.contactText == contact)
        #expect(upper.path == "/v1/audiences/\(audience)/contacts/\(contact)")
        #expect(RequestTarget.classify(upper.path) == .contact(lower))
    }

    @Test func `audience and contact are not interchangeable`() throws {
        let one = try #require(ContactReference(audience: audience, contact: contact))
        let other = try #require(ContactReference(audience: contact, contact: audience))
        #expect(one != other)
        #expect(one.bytes != other.bytes)
    }

    @Test func `the bytes are big-endian and read back`() throws {
        let reference = try #require(ContactReference(audience: audience, contact: contact))
        let hex = reference.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        #expect(hex == (audience + contact).filter { $0 != "-" })
        #expect(reference.bytes.count == ContactReference.byteCount)
        #expect(ContactReference(bytes: reference.bytes) == reference)
        #expect(ContactReference(bytes: ([0] + reference.bytes)[1...]) == reference)
    }

    @Test(arguments: [0, 31, 33]) func `another number of bytes is no reference`(count: Int) {
        #expect(ContactReference(bytes: [UInt8](repeating: 0, count: count)) == nil)
    }

    @Test func `texts that are no UUIDs are no reference`() {
        #expect(ContactReference(audience: "x", contact: contact) == nil)
        #expect(ContactReference(audience: audience, contact: "") == nil)
    }
}
