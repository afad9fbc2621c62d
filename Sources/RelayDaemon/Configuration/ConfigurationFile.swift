import Yams

/// The settings in a YAML file, each with its line, and what is wrong with the file's form.
///
/// Values stay text: whether they are right is the table's business, wherever they come from.
struct ConfigurationFile {
    /// A setting as it stands in the file.
    struct Entry {
        let text: String
        let line: Int?
    }

    /// The settings by their dotted names; all of them are known keys.
    private(set) var entries: [String: Entry] = [:]
    private(set) var problems: [ConfigurationError.Problem] = []
    private let path: String
    private let names: KeyNames

    /// Reads `yaml`; `path` serves only to say where a problem is.
    init(yaml: String, path: String, names: KeyNames) {
        self.path = path
        self.names = names
        do {
            guard let root = try Yams.compose(yaml: yaml) else { return }
            switch root {
            case .mapping(let mapping): read(mapping, section: nil)
            case .scalar where root.tag == Tag(.null): break
            default: report(nil, at: root.mark, "the file must hold keys and values, such as `log:`")
            }
        } catch {
            report(error)
        }
    }

    private mutating func read(_ mapping: Node.Mapping, section: String?) {
        for (keyNode, value) in mapping {
            let mark = keyNode.mark ?? value.mark
            guard let part = keyNode.scalar?.string else {
                report(section, at: mark, "a key must be a word")
                continue
            }
            read(value, name: section.map { "\($0).\(part)" } ?? part, at: mark)
        }
    }

    private mutating func read(_ value: Node, name: String, at mark: Mark?) {
        switch (value, names.key(name), names.members(ofSection: name)) {
        case (.scalar(let scalar), let key?, _):
            if value.tag == Tag(.null) {
                report(name, at: mark, "has no value; it must be \(key.rule)")
            } else {
                note(name, scalar.string, at: mark)
            }
        case (.sequence(let members), let key?, _) where key.isList && members.allSatisfy { $0.scalar != nil }:
            note(name, members.compactMap(\.scalar?.string).joined(separator: ", "), at: mark)
        case (_, let key?, _):
            report(name, at: mark, "must be a single value: \(key.rule)")
        case (.mapping(let mapping), nil, let members):
            // The keys of an unknown section are reported one by one, since each may be known elsewhere.
            if members == nil, mapping.isEmpty { report(name, at: mark, names.refusal(of: name)) }
            read(mapping, section: name)
        case (_, nil, let members?):
            // A section whose keys are all commented out is nothing to complain of.
            if value.tag != Tag(.null) {
                report(name, at: mark, "is a section with the keys \(members.joined(separator: ", "))")
            }
        case (_, nil, nil):
            report(name, at: mark, names.refusal(of: name))
        }
    }

    private mutating func note(_ name: String, _ text: String, at mark: Mark?) {
        if let earlier = entries[name] {
            report(name, at: mark, "is given twice" + (earlier.line.map { ", first in line \($0)" } ?? ""))
        } else {
            entries[name] = Entry(text: text, line: mark?.line)
        }
    }

    /// The parser's own description quotes the file, which may hold secrets: only its reason and place are repeated.
    private mutating func report(_ error: any Error) {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            report(nil, at: mark, "is not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let names, let context):
            report(nil, at: context.mark, "is given twice: \(names.joined(separator: ", "))")
        case .reader(let problem, _, _, _):
            report(nil, at: nil, "is not valid YAML: \(problem)")
        default:
            report(nil, at: nil, "is not valid YAML")
        }
    }

    private mutating func report(_ key: String?, at mark: Mark?, _ message: String) {
        problems.append(.init(origin: .file(path, line: mark?.line), key: key, message: message))
    }
}
