import Foundation
import Glibc

/// Where the programs under test are.
enum Binaries {
    /// `CONTACT_RELAY_BINARIES`, or the folder of the test executable, into which the build puts all programs.
    static let folder: String = {
        if let folder = ProcessInfo.processInfo.environment["CONTACT_RELAY_BINARIES"] { return folder }
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        for candidate in [executable, CommandLine.arguments.first ?? ""] + CommandLine.arguments {
            let folder = (candidate as NSString).deletingLastPathComponent
            if access(folder + "/contact-relay", X_OK) == 0 { return folder }
        }
        // Starting a program will fail and name this folder.
        return (executable as NSString).deletingLastPathComponent
    }()
}
