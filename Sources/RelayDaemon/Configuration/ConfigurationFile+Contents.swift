private import Glibc

extension ConfigurationFile {
    /// The size beyond which a file is not taken for a configuration.
    static let maxFileBytes = 1 << 20

    /// Why a file's text could not be had.
    enum ReadError: Error {
        case missing
        case failed(String)
    }

    /// The text of a file, read once so that all of it is of the same moment.
    static func contents(of path: String) throws(ReadError) -> String {
        guard let stream = fopen(path, "re") else {
            throw errno == ENOENT ? .missing : .failed(reason(errno))
        }
        defer { fclose(stream) }
        let bytes = [UInt8](unsafeUninitializedCapacity: maxFileBytes + 1) { buffer, count in
            count = fread(buffer.baseAddress, 1, buffer.count, stream)
        }
        guard ferror(stream) == 0 else { throw .failed(reason(errno)) }
        guard bytes.count <= maxFileBytes else { throw .failed("it is larger than \(maxFileBytes) bytes") }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .failed("it is not UTF-8 text") }
        return text
    }

    /// Why a file cannot be opened for reading, or `nil` if it can.
    static func obstacle(toReading path: String) -> String? {
        access(path, R_OK) == 0 ? nil : reason(errno)
    }

    private static func reason(_ code: Int32) -> String {
        String(cString: strerror(code))
    }
}
