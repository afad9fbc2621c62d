import DequeModule
import DexatelAPI
import ResponseCache

/// What was delivered lately, to be laid over replies that were asked for before (design §5.4).
///
/// Bounded in number and bytes: what no longer fits is handed out, oldest first; replies that would need it must go then.
struct DeliveredChanges {
    /// A contact, as one key sees it.
    struct Place: Hashable {
        let partition: CachePartition
        let contact: ContactReference
    }

    /// One delivered write.
    struct Entry {
        let place: Place
        let change: PendingChange
        /// The monotonic moment at which the upstream had answered: replies that were asked for later hold it.
        let atMilliseconds: Int64

        /// The audience's contacts that it belongs to.
        var list: List { List(partition: place.partition, audience: place.contact.audience) }
    }

    /// An audience's contacts, as one key sees them.
    struct List: Hashable {
        let partition: CachePartition
        let audience: UInt128
    }

    let maxEntries: Int
    let maxBytes: Int
    private var entries: Deque<Entry> = []
    private var bytes = 0
    private var byPlace: [Place: [Entry]] = [:]
    /// When something of the audience was delivered last, and how many entries say so.
    private var lists: [List: (latestMilliseconds: Int64, count: Int)] = [:]
    /// When the latest of those that had to go was delivered: pages that were asked for up to then lack it for good.
    private(set) var horizons: [List: Int64] = [:]
    /// The same for all lists together, once there are too many.
    private(set) var commonHorizon = Int64.min
    /// Lists that have a horizon of their own, at most.
    static let maxHorizons = 4_096

    init(maxEntries: Int, maxBytes: Int) {
        self.maxEntries = maxEntries
        self.maxBytes = maxBytes
    }

    /// Remembers a delivery, and hands out those that have to go for it.
    mutating func add(_ entry: Entry) -> [Entry] {
        entries.append(entry)
        bytes += entry.change.bytes
        byPlace[entry.place, default: []].append(entry)
        Self.note(entry, in: &lists[entry.list, default: (.min, 0)])
        var gone: [Entry] = []
        while entries.count > maxEntries || bytes > maxBytes, let oldest = entries.first {
            remove(oldest)
            addHorizon(oldest.list, oldest.atMilliseconds)
            gone.append(oldest)
        }
        return gone
    }

    /// Notes that pages of a list which were asked for up to a moment lack something for good.
    mutating func addHorizon(_ list: List, _ atMilliseconds: Int64) {
        horizons[list] = max(horizons[list] ?? .min, atMilliseconds)
        guard horizons.count > Self.maxHorizons else { return }
        commonHorizon = max(commonHorizon, horizons.values.max() ?? .min)
        horizons.removeAll()
    }

    /// Notes that pages of all lists which were asked for up to a moment may lack something for good.
    mutating func addCommonHorizon(_ atMilliseconds: Int64) { commonHorizon = max(commonHorizon, atMilliseconds) }

    /// Whether a page that was asked for at a moment lacks something that is not remembered any more.
    func isBehindHorizon(_ list: List, requested milliseconds: Int64) -> Bool {
        milliseconds <= max(commonHorizon, horizons[list] ?? .min)
    }

    /// Everything that is remembered, in the order of delivery.
    var all: some Sequence<Entry> { entries }

    private mutating func remove(_ oldest: Entry) {
        entries.removeFirst()
        bytes -= oldest.change.bytes
        if let index = byPlace.index(forKey: oldest.place) {
            byPlace.values[index].removeFirst()
            if byPlace.values[index].isEmpty { byPlace.remove(at: index) }
        }
        if let index = lists.index(forKey: oldest.list) {
            lists.values[index].count -= 1
            if lists.values[index].count == 0 { lists.remove(at: index) }
        }
    }

    private static func note(_ entry: Entry, in list: inout (latestMilliseconds: Int64, count: Int)) {
        list = (max(list.latestMilliseconds, entry.atMilliseconds), list.count + 1)
    }

    /// What a reply about a contact lacks that was asked for at a moment.
    func changes(_ place: Place, since milliseconds: Int64) -> [PendingChange] {
        byPlace[place]?.filter { $0.atMilliseconds >= milliseconds }.map(\.change) ?? []
    }

    /// What is remembered of a contact, in the order of delivery.
    func entries(_ place: Place) -> [Entry] { byPlace[place] ?? [] }

    /// Whether a reply about a contact that was asked for at a moment lacks something.
    func concerns(_ place: Place, since milliseconds: Int64) -> Bool {
        byPlace[place]?.last.map { $0.atMilliseconds >= milliseconds } ?? false
    }

    /// Whether a page of an audience that was asked for at a moment may lack something.
    func concerns(_ partition: CachePartition, audience: UInt128, since milliseconds: Int64) -> Bool {
        lists[List(partition: partition, audience: audience)].map { $0.latestMilliseconds >= milliseconds } ?? false
    }
}
