extension Collection<String> {
    /// The element that the least number of typing errors makes of `name`, if that is plausible: two errors, and one
    /// more for every eight characters.
    func nearest(to name: String, ignoringPrefix prefix: String = "") -> String? {
        let limit = 2 + (name.count - prefix.count) / 8
        return
            map { (name: $0, errors: $0.typingErrors(to: name)) }
            .filter { $0.errors <= limit }
            .min { ($0.errors, $0.name) < ($1.errors, $1.name) }?
            .name
    }
}

extension String {
    /// The number of letters to insert, remove or replace, or of neighbours to swap, between two names (optimal string
    /// alignment).
    func typingErrors(to other: String) -> Int {
        let (a, b) = (Array(self.utf8), Array(other.utf8))
        var rows = [Array(0...b.count)]
        for i in 0..<a.count {
            var row = [i + 1]
            for j in 0..<b.count {
                var errors = Swift.min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    errors = Swift.min(errors, rows[i - 1][j - 1] + 1)
                }
                row.append(errors)
            }
            rows.append(row)
        }
        return rows[a.count][b.count]
    }
}
