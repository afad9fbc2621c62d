import Foundation
import NIOHTTP1
import Synchronization
import TestSupport

/// What the clients of a model run share.
final class ModelBoard: Sendable {
    /// The identifiers of the contacts.
    let contacts: [String]
    let owners: [ModelKey]
    let places: [String: Int]
    let port: Int
    private let wanted: Int
    private let replies = Atomic<Int>(0)
    private let numbers = Atomic<Int>(0)
    private let isStopped = Atomic<Bool>(false)

    init(contacts: [String], owners: [ModelKey], port: Int, replies wanted: Int) {
        (self.contacts, self.owners, self.port, self.wanted) = (contacts, owners, port, wanted)
        places = Dictionary(uniqueKeysWithValues: contacts.enumerated().map { ($1, $0) })
    }

    /// How many replies there have been.
    var replyCount: Int { replies.load(ordering: .relaxed) }

    var isOver: Bool { replyCount >= wanted || isStopped.load(ordering: .relaxed) }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    func countReply() { replies.add(1, ordering: .relaxed) }

    func nextNumber() -> Int { numbers.add(1, ordering: .relaxed).oldValue }
}

/// A client that reads and writes at random on a connection of its own, and remembers what it was told.
///
/// It runs on a thread of its own, as it waits for each reply.
struct ModelClient {
    /// Sizes of the pages that it reads; the last has room for everything.
    static let pageSizes = [5, 10, 10, 100]
    /// Contacts that it writes to at a time; further ones take the places of those that it has deleted.
    private static let activeCount = 4

    let key: ModelKey
    let board: ModelBoard
    private var generator: SeededGenerator
    private let connection: KeepAliveConnection
    /// The places of its own contacts.
    private var own: [Int]
    private var deleted: [Int] = []
    /// The last body and entity tag of each target.
    private var known: [String: (tag: String, body: [UInt8])] = [:]
    private(set) var history = ModelHistory()
    private(set) var tally = ModelTally()

    init(_ key: ModelKey, own: [Int], board: ModelBoard, seed: UInt64) throws {
        (self.key, self.own, self.board) = (key, own, board)
        generator = SeededGenerator(seed: seed)
        connection = try KeepAliveConnection(port: board.port)
    }

    /// Goes on until there are enough replies.
    mutating func run() throws {
        while !board.isOver {
            if !own.isEmpty, generator.chance(oneIn: 6) { try write() } else { try read() }
        }
    }

    private func request(_ method: String, _ target: String, _ fields: String, body: String = "") -> String {
        let length = method == "PUT" ? "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" : ""
        return "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(board.port)\r\nX-Dexatel-Key: \(key.value)\r\n"
            + "\(fields)\(length)\r\n\(body)"
    }

    // MARK: - Writing

    private mutating func write() throws {
        let place = own.prefix(Self.activeCount).randomElement(using: &generator) ?? own[0]
        var write = ModelWrite(number: board.nextNumber(), contact: place, began: ModelTime.now())
        let prefer = generator.chance(oneIn: 2) ? "Prefer: respond-async\r\n" : ""
        let target = Samples.target(board.contacts[place]) + "?tag=w\(write.number)"
        let answer: Answer
        if own.count > Self.activeCount, generator.chance(oneIn: 300) {
            write.isDelete = true
            own.removeAll { $0 == place }
            deleted.append(place)
            answer = try connection.exchange(request("DELETE", target, prefer))
        } else {
            write.sets = ModelWrite.fields.map { _ in generator.chance(oneIn: 2) }
            if !write.sets.contains(true) { write.sets[0] = true }
            let members = zip(ModelWrite.fields, write.sets).filter(\.1).map { "\"\($0.0)\":\"w\(write.number)\"" }
            let body = "{\"data\":{\(members.joined(separator: ","))}}"
            answer = try connection.exchange(request("PUT", target, prefer, body: body))
        }
        write.ended = ModelTime.now()
        if (200..<300).contains(answer.status) {
            write.outcome = .acknowledged(id: answer.write, status: answer.status)
            tally.acknowledged += 1
            if answer.status != 202 { tally.delivered += 1 }
        } else {
            write.outcome = .refused(id: answer.write, status: answer.status)
            tally.rejected += 1
        }
        history.writes.append(write)
        tally.writes += 1
        countReply()
    }

    private mutating func countReply() {
        tally.replies += 1
        board.countReply()
    }

    // MARK: - Reading

    private mutating func read() throws {
        var pageSize = 0
        var place = 0
        if generator.chance(oneIn: 8) {
            pageSize = Self.pageSizes.randomElement(using: &generator) ?? 5
        } else {
            place = drawContact()
        }
        let target =
            pageSize == 0
            ? Samples.target(board.contacts[place])
            : "/v1/audiences/\(Samples.audience)/contacts?page_size=\(pageSize)"
        let isHead = generator.chance(oneIn: 20)
        var fields = ""
        switch Int.random(in: 0..<12, using: &generator) {
        case 0: fields = "Cache-Control: no-cache\r\n"
        case 1: fields = "Cache-Control: max-age=0\r\n"
        case 2: fields = "Cache-Control: max-stale\r\n"
        default: break
        }
        if !isHead, generator.chance(oneIn: 4), let tag = known[target]?.tag {
            fields += "If-None-Match: \(tag)\r\n"
        }
        let began = ModelTime.now()
        let answer = try connection.exchange(request(isHead ? "HEAD" : "GET", target, fields), isHead: isHead)
        let ended = ModelTime.now()
        tally.reads += 1
        tally.replies += 1
        if answer.status == 504, answer.headers.contains(name: "Retry-After") {
            // It proves little, so that it does not count; and who is told to come back later waits a moment.
            Thread.sleep(forTimeInterval: 0.005)
        } else {
            board.countReply()
        }
        note(answer, isHead: isHead, target, place, pageSize, began, ended)
    }

    /// Mostly what somebody is writing to just now.
    private mutating func drawContact() -> Int {
        if !deleted.isEmpty, generator.chance(oneIn: 20), let place = deleted.randomElement(using: &generator) {
            return place
        }
        if !own.isEmpty, generator.chance(oneIn: 2) {
            return own.prefix(Self.activeCount).randomElement(using: &generator) ?? own[0]
        }
        return Int.random(in: board.contacts.indices, using: &generator)
    }

    private mutating func note(
        _ answer: Answer,
        isHead: Bool,
        _ target: String,
        _ place: Int,
        _ pageSize: Int,
        _ began: Int64,
        _ ended: Int64
    ) {
        let reply = ModelReply(answer)
        history.findings += reply.findings.map { "\(key) \(isHead ? "HEAD" : "GET") \(target) at \(ended): \($0)" }
        reply.count(in: &tally)
        if answer.status == 401 {
            history.refusals.append((key, began, ended))
            known.removeAll()
        }
        guard !isHead else { return }
        var body = answer.body
        if answer.status == 304 {
            let tag = answer.headers.first(name: "ETag")
            guard let last = known[target], tag == last.tag else {
                return history.findings.append(
                    "\(key) \(target): 304 for \(tag ?? "nothing"), which was not asked about"
                )
            }
            body = last.body
        } else if answer.status == 200, let tag = answer.headers.first(name: "ETag") {
            known[target] = (tag, body)
        }
        var reading = ModelReading(
            key: key,
            contact: place,
            pageSize: pageSize,
            began: began,
            ended: ended,
            seen: .gone
        )
        reading.isMarkedStale = reply.isMarkedStale
        reading.pending = reply.pending
        reading.cacheStatus = reply.cacheStatus
        if answer.status == 404, pageSize == 0, reply.errorCode == 1351 { history.readings.append(reading) }
        guard answer.status == 200 || answer.status == 304 else { return }
        let contacts = ModelReply.contacts(body, isPage: pageSize > 0)
        if key == .stranger, !contacts.isEmpty { history.findings.append("the stranger got \(target)") }
        for (id, values) in contacts {
            guard let place = board.places[id] else { continue }
            if pageSize == 0, place != reading.contact {
                history.findings.append("\(key) asked for \(target) and got \(id)")
            }
            reading.contact = place
            reading.seen = .values(values)
            history.readings.append(reading)
        }
        if pageSize > board.contacts.count, !contacts.isEmpty {
            let there = Set(contacts.map(\.id))
            for (place, id) in board.contacts.enumerated() where !there.contains(id) {
                reading.contact = place
                reading.seen = .gone
                history.readings.append(reading)
            }
        }
    }
}
