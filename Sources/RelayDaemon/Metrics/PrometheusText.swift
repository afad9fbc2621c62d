/// Writes metrics in Prometheus' text format, version 0.0.4.
struct PrometheusText {
    /// The kinds of metrics that the relay has.
    enum Kind: String {
        case counter
        case gauge
    }

    /// One time series of a metric.
    struct Sample {
        var labels: [(name: String, value: String)] = []
        var value: Double
    }

    private var text = ""

    /// Writes a metric with its samples; names and help come from the code and are taken as they are.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        guard !samples.isEmpty else { return }
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
        for sample in samples {
            text += name
            if !sample.labels.isEmpty {
                let labels = sample.labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
                text += "{" + labels.joined(separator: ",") + "}"
            }
            text += " \(Self.number(sample.value))\n"
        }
    }

    /// Writes a metric of one time series.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: some BinaryInteger) {
        add(name, kind, help, [Sample(value: Double(value))])
    }

    /// Everything that was added.
    var bytes: [UInt8] { Array(text.utf8) }

    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    private static func number(_ value: Double) -> String {
        // Whole numbers as such: nobody likes to read 1e+06.
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }
}
