import Foundation
import TestSupport

/// The most memory that this process has had since it was last asked to forget, in bytes.
struct PeakMemory {
    private let before: Int

    /// Starts anew from what is in use now.
    init() throws {
        // proc(5): writing 5 resets the peak.
        try "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
        before = try Self.peak()
    }

    /// By how much the process has grown at its largest.
    func growth() throws -> Int { try Self.peak() - before }

    private static func peak() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        guard let line, let kibibytes = Int(line.filter(\.isNumber)) else {
            throw DeadlinePassed(description: "no VmHWM in /proc/self/status")
        }
        return kibibytes * 1024
    }
}
