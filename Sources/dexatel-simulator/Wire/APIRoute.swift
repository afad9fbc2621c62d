import DexatelAPI

/// The resources of the API; an identifier that is not a UUID is nil.
enum APIRoute: Sendable, Equatable {
    case audiences
    case audience(UInt128?)
    case contacts(audience: UInt128?)
    case contact(audience: UInt128?, contact: UInt128?)
    case messages

    /// The resource that a request target names; nil where the API has none.
    init?(target: String) {
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
        guard path.first == UInt8(ascii: "/") else { return nil }
        let text = Substring(path)
        let decoded = text.utf8.contains(UInt8(ascii: "%")) ? Substring(PercentCoding.decode(text)) : text
        let segments = decoded.utf8.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        func segment(_ index: Int, is literal: String) -> Bool { segments[index].elementsEqual(literal.utf8) }
        func identifier(_ index: Int) -> UInt128? { UUIDText.parse(segments[index]) }

        guard segments.count >= 2, segments.count <= 5, segment(0, is: "v1") else { return nil }
        if segments.count == 2, segment(1, is: "messages") {
            self = .messages
            return
        }
        guard segment(1, is: "audiences"), segments.count <= 3 || segment(3, is: "contacts"),
            !segments.contains(where: \.isEmpty)
        else { return nil }
        switch segments.count {
        case 2: self = .audiences
        case 3: self = .audience(identifier(2))
        case 4: self = .contacts(audience: identifier(2))
        default: self = .contact(audience: identifier(2), contact: identifier(4))
        }
    }

    /// The audience, where the resource lies in one.
    var audience: UInt128? {
        switch self {
        case .audiences, .messages: nil
        case .audience(let audience), .contacts(let audience), .contact(let audience, _): audience
        }
    }

    /// The contact, where the resource is one.
    var contact: UInt128? {
        if case .contact(_, let contact) = self { contact } else { nil }
    }

    /// The methods that the resource has, in the words of `Allow`.
    var allowedMethods: [String] {
        switch self {
        case .audiences, .audience: ["GET", "HEAD"]
        case .contacts: ["GET", "HEAD", "POST"]
        case .contact: ["GET", "HEAD", "PUT", "DELETE"]
        case .messages: ["POST"]
        }
    }
}
