import AdminAPI

/// The cache for a terminal of 80 columns.
struct CachePage {
    private let cache: RelayStatus.Cache

    init(_ cache: RelayStatus.Cache) { self.cache = cache }

    var text: String { (rows + diskDetails).joined(separator: "\n") }

    /// The part that the status shows, too.
    var rows: [String] {
        let number = { (value: UInt64) in Int64(clamping: value) }
        return [
            PageRow.text("cached", Int64(cache.entries), note: room(cache.bytes, cache.maxBytes)),
            PageRow.text("hits", number(cache.hits), note: cache.hitPercent.map { "\($0) % without the upstream" }),
            PageRow.text("stale", number(cache.stale + cache.staleOnError), note: staleNote),
            PageRow.text("misses", number(cache.misses)),
            PageRow.text("validated", number(cache.validations), note: "\(cache.revalidated) confirmed"),
        ] + (cache.disk.map { [diskRow($0)] } ?? [])
    }

    private var staleNote: String? {
        cache.staleOnError > 0
            ? "\(StatusLine.grouped(Int64(clamping: cache.staleOnError))) as the upstream failed" : nil
    }

    private func diskRow(_ disk: RelayStatus.Cache.Disk) -> String {
        let state = disk.isAvailable ? "" : ", OFF after a failure"
        return PageRow.text("on disk", Int64(disk.entries), note: room(disk.bytes, disk.maxBytes) + state)
    }

    private var diskDetails: [String] {
        let number = { (value: UInt64) in Int64(clamping: value) }
        let memory = [
            PageRow.text("stored", number(cache.stored)),
            PageRow.text("evicted", number(cache.evicted), note: "for want of room"),
            PageRow.text("invalidated", number(cache.invalidated), note: "by writes"),
            PageRow.text("waiting", Int64(cache.waiting), note: "reads for another one's reply"),
        ]
        guard let disk = cache.disk else { return memory }
        return memory + [
            PageRow.text("disk look-ups", number(disk.lookups), note: "\(disk.found) found"),
            PageRow.text("disk dropped", number(disk.dropped), note: "came too fast to be written"),
            PageRow.text("disk failures", number(disk.failures)),
        ]
    }

    private func room(_ bytes: Int, _ maxBytes: Int) -> String {
        "\(ByteText.text(bytes)) of \(ByteText.text(maxBytes))"
    }
}

/// A line of a page: a name and what it stands for.
enum PageRow {
    /// A name and a text.
    static func text(_ name: String, _ value: String) -> String {
        TerminalText.clipped(TerminalText.left(name, 14) + value, to: TerminalText.columns)
    }

    /// A name and a number, the numbers of all lines at one edge.
    static func text(_ name: String, _ number: Int64, note: String? = nil) -> String {
        text(name, TerminalText.right(StatusLine.grouped(number), 13) + (note.map { "   \($0)" } ?? ""))
    }
}
