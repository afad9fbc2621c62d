import ProxyServer

extension ValueSyntax where Value == [String] {
    /// Names and IP addresses of hosts, without ports.
    static var hosts: Self {
        Self(type: "list", allowed: "names or IP addresses of hosts, without ports", isList: true) { text in
            list(text) { Authority(host: $0)?.host }
        } format: {
            $0.joined(separator: ", ")
        }
    }
}

extension ValueSyntax where Value == [LocalUser] {
    /// Users of this host.
    static var users: Self {
        Self(type: "list", allowed: "names or numbers of users of this host", isList: true) { text in
            list(text) { LocalUser($0) }
        } format: {
            $0.map(\.text).joined(separator: ", ")
        }
    }
}

extension ValueSyntax {
    fileprivate init(
        type: String,
        allowed: String,
        isList: Bool,
        parse: @escaping @Sendable (String) -> Value?,
        format: @escaping @Sendable (Value) -> String
    ) {
        self.init(
            type: type,
            allowed: allowed + ", with commas between, or \"\" for none",
            isQuoted: true,
            isList: isList,
            parse: parse,
            format: format
        )
    }

    /// The members of a text; nil if one of them is not allowed.
    fileprivate static func list<Member>(_ text: String, _ member: (String) -> Member?) -> [Member]? {
        var members: [Member] = []
        for part in text.split(separator: ",") {
            let words = part.split(separator: " ")
            guard words.count == 1, let found = member(String(words[0])) else { return nil }
            members.append(found)
        }
        return members
    }
}
