import DexatelAPI
import Foundation
import Testing

@Suite struct UUIDTextTests {
    private let text = "01234567-89ab-cdef-fedc-ba9876543210"
    private let value: UInt128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210

    @Test func `either case is read and lower case is written`() {
        #expect(UUIDText.parse(text.utf8) == value)
        #expect(UUIDText.parse(text.uppercased().utf8) == value)
        #expect(UUIDText.parse("01234567-89aB-cDeF-FedC-ba9876543210".utf8) == value)
        #expect(UUIDText.text(value) == text)
        #expect(UUIDText.text(0) == "00000000-0000-0000-0000-000000000000")
        #expect(UUIDText.text(.max) == "ffffffff-ffff-ffff-ffff-ffffffffffff")
    }

    @Test func `bytes that do not lie side by side are read alike`() {
        #expect(UUIDText.parse(text.utf8.reversed().reversed().lazy.map { $0 }) == value)
        #expect(UUIDText.parse("x\(text)".utf8.dropFirst()) == value)
        #expect(UUIDText.parse(text.utf8.lazy.map { $0 }.dropLast()) == nil)
    }

    @Test func `every wrong byte at every place is refused`() {
        let good = Array(text.utf8)
        for index in good.indices {
            for byte in UInt8.min...UInt8.max {
                var changed = good
                changed[index] = byte
                let isHyphenPlace = good[index] == UInt8(ascii: "-")
                let isDigit = Character(Unicode.Scalar(byte)).isHexDigit && byte < 0x80
                let isRight = isHyphenPlace ? byte == UInt8(ascii: "-") : isDigit
                #expect((UUIDText.parse(changed) != nil) == isRight, "byte \(byte) at \(index)")
            }
        }
    }

    @Test(arguments: [
        "", "0", "0123456789abcdeffedcba9876543210", "{01234567-89ab-cdef-fedc-ba9876543210}",
        "01234567-89ab-cdef-fedc-ba98765432100", "01234567-89ab-cdef-fedc-ba987654321",
        "012345678-9ab-cdef-fedc-ba9876543210", " 1234567-89ab-cdef-fedc-ba9876543210",
    ])
    func `anything but 36 bytes in the usual groups is refused`(text: String) {
        #expect(UUIDText.parse(text.utf8) == nil)
    }

    @Test func `random UUIDs are read and written as Foundation does`() throws {
        for _ in 0..<1000 {
            let uuid = UUID()
            let value = try #require(UUIDText.parse(uuid.uuidString.utf8))
            #expect(UUIDText.text(value) == uuid.uuidString.lowercased())
        }
    }
}
