import DexatelAPI

/// What the body of a PUT or POST says about a contact; members that the API does not know are ignored.
struct ContactChange: Decodable, Sendable, Equatable {
    /// The text fields that are present; nil is JSON's null.
    private(set) var texts: [ContactAttribute: String?] = [:]
    /// Whether `tags` is present.
    private(set) var namesTags = false
    private(set) var tags: [String]?

    /// The number of tags that a contact may have.
    static let tagLimit = 10

    init() {}

    init(texts: [ContactAttribute: String?]) {
        self.texts = texts
    }

    private enum BodyKey: String, CodingKey { case data }
    private enum TagsKey: String, CodingKey { case tags }

    /// Reads `{"data":{…}}`, where `data` may be missing.
    init(from decoder: any Decoder) throws {
        let body = try decoder.container(keyedBy: BodyKey.self)
        guard body.contains(.data) else {
            self.init()
            return
        }
        try self.init(fields: try body.superDecoder(forKey: .data))
    }

    /// Reads the fields themselves.
    init(fields decoder: any Decoder) throws {
        let data = try decoder.container(keyedBy: ContactAttribute.self)
        for attribute in ContactAttribute.allCases where data.contains(attribute) {
            texts.updateValue(try data.decodeIfPresent(String.self, forKey: attribute), forKey: attribute)
        }
        let rest = try decoder.container(keyedBy: TagsKey.self)
        namesTags = rest.contains(.tags)
        tags = try rest.decodeIfPresent([String].self, forKey: .tags)
    }

    /// The number, where there is one that is not null.
    var number: String? { texts[.number] ?? nil }

    /// The first documented limit that is exceeded, in the order of the codes.
    var exceededLimit: DexatelErrorCode? {
        if let tags, tags.count > Self.tagLimit { return .tooManyTags }
        return texts.compactMap { attribute, text in
            guard let text, text.unicodeScalars.count > attribute.limit.scalars else { return nil }
            return attribute.limit.code
        }.min { $0.rawValue < $1.rawValue }
    }

    /// What a create's number is refused for.
    var numberRefusal: DexatelErrorCode? {
        guard let number, !number.isEmpty else { return .numberRequired }
        if number.unicodeScalars.count > ContactAttribute.number.limit.scalars { return .numberTooLong }
        let digits = number.hasPrefix("+") ? number.dropFirst() : number[...]
        return !digits.isEmpty && digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? nil : .numberInvalid
    }
}
