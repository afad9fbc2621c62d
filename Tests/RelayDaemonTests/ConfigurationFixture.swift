import Foundation

/// A configuration file that exists as long as this value does.
struct ConfigurationFixture: ~Copyable {
    let path: String

    init(_ text: String) throws {
        try self.init(bytes: Data(text.utf8))
    }

    init(bytes: Data) throws {
        path = NSTemporaryDirectory() + "configuration-\(UUID().uuidString).yaml"
        try bytes.write(to: URL(filePath: path))
    }

    deinit {
        unlink(path)
    }
}
