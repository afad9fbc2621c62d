import Foundation
import Logging
import NIOCore
import NIOHTTP1
import ResponseCache
import Synchronization
import TestSupport
import Testing

/// A clock that tests set; both readings begin at the fixture's time 0.
final class TestClock: Sendable {
    private let state = Mutex((monotonic: Int64(0), wall: CacheFixture.wallSeconds * 1000))

    var cacheClock: CacheClock {
        CacheClock(
            monotonicMilliseconds: { self.state.withLock { $0.monotonic } },
            wallMilliseconds: { self.state.withLock { $0.wall } }
        )
    }

    var nowMilliseconds: Int64 { state.withLock { $0.monotonic } }

    /// Time passes.
    func advance(seconds: Int64) {
        state.withLock {
            $0.monotonic += seconds * 1000
            $0.wall += seconds * 1000
        }
    }

    /// Somebody sets the wall clock.
    func setWall(bySeconds seconds: Int64) { state.withLock { $0.wall += seconds * 1000 } }

    /// The host restarts: the monotonic clock begins anew.
    func restart(downSeconds: Int64) {
        state.withLock {
            $0.monotonic = 5_000
            $0.wall += downSeconds * 1000
        }
    }
}

/// A folder that is removed with its last owner.
final class CacheFolder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/cache-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var database: String { path + "/cache.sqlite" }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() ?? [] }

    /// What the files take together.
    var bytes: Int {
        names.reduce(0) { sum, name in
            let attributes = try? FileManager.default.attributesOfItem(atPath: path + "/" + name)
            return sum + ((attributes?[.size] as? Int) ?? 0)
        }
    }

    /// The files as they are now, as a crash of the machine would leave them.
    func copy() throws -> CacheFolder {
        let copy = try CacheFolder()
        for name in names where !name.hasSuffix("-shm") {
            try FileManager.default.copyItem(atPath: path + "/" + name, toPath: copy.path + "/" + name)
        }
        return copy
    }

    /// Changes bytes of the database.
    func patch(_ change: (inout Data) -> Void) throws {
        let url = URL(fileURLWithPath: database)
        var data = try Data(contentsOf: url)
        change(&data)
        try data.write(to: url)
    }
}

extension Logger {
    /// What is expected to go wrong is not printed.
    static let quiet: Logger = {
        var logger = Logger(label: "disk-cache-tests")
        logger.logLevel = .critical
        return logger
    }()
}

/// Memory and disk together, as the relay has them.
struct DiskFixture {
    let folder: CacheFolder
    let clock: TestClock
    let disk: DiskCache
    let memory: MemoryCache
    let configuration: CacheConfiguration

    /// Starts over what the folder holds.
    init(
        _ folder: CacheFolder,
        _ clock: TestClock = TestClock(),
        maxBytes: Int = 16 << 20,
        path: String? = nil,
        origin: String = "https://api.example",
        lingerMilliseconds: Int = 1,
        retryMilliseconds: Int = 20,
        shards: Int = 1,
        _ configure: (inout CacheConfiguration) -> Void = { _ in }
    ) {
        var configuration = CacheConfiguration()
        configure(&configuration)
        self.configuration = configuration
        self.folder = folder
        self.clock = clock
        disk = DiskCache(
            path: path ?? folder.database,
            origin: origin,
            maxBytes: maxBytes,
            clock: clock.cacheClock,
            lingerMilliseconds: lingerMilliseconds,
            retryMilliseconds: retryMilliseconds,
            logger: .quiet
        )
        memory = MemoryCache(configuration, shards: shards, journal: disk.journal)
        disk.start(memory)
    }

    func key(_ target: String = CacheFixture.target, _ partition: CachePartition = CacheFixture.oneKey) -> CacheKey {
        CacheKey(partition: partition, target: target)
    }

    @discardableResult
    func store(
        _ headers: HTTPHeaders = [:],
        status: Int = 200,
        body: String = "body",
        asked: HTTPHeaders = [:],
        target: String = CacheFixture.target,
        partition: CachePartition = CacheFixture.oneKey,
        token: FetchToken? = nil
    ) throws -> StoredResponse {
        let key = key(target, partition)
        let now = clock.nowMilliseconds
        let plan = try StoragePlan(
            ReplyHead(
                status: status,
                headers: headers,
                times: ExchangeTimes(
                    requestMilliseconds: now,
                    responseMilliseconds: now,
                    responseUnixSeconds: CacheFixture.wallSeconds
                )
            ),
            to: CacheFixture.request(asked),
            key: key,
            token: token ?? memory.fetchToken(key),
            configuration
        )
        return try memory.store(plan, body: ByteBuffer(string: body))
    }

    func answer(
        _ headers: HTTPHeaders = [:],
        target: String = CacheFixture.target,
        partition: CachePartition = CacheFixture.oneKey
    ) -> CacheAnswer {
        memory.lookup(key(target, partition), CacheFixture.request(headers), nowMilliseconds: clock.nowMilliseconds)
    }

    /// The answer after a look at the disk, as the relay gives it.
    func loaded(
        _ headers: HTTPHeaders = [:],
        target: String = CacheFixture.target,
        partition: CachePartition = CacheFixture.oneKey
    ) async -> CacheAnswer {
        let answer = answer(headers, target: target, partition: partition)
        switch answer {
        case .miss, .onlyIfCached504:
            let key = key(target, partition)
            let mayHold = disk.mayHold(key)
            guard await disk.load(key) == .done else { return answer }
            // It is found without being looked up where it is not.
            #expect(mayHold, "\(target)")
        default: return answer
        }
        return self.answer(headers, target: target, partition: partition)
    }

    func word(
        _ headers: HTTPHeaders = [:],
        target: String = CacheFixture.target,
        partition: CachePartition = CacheFixture.oneKey
    ) async -> String {
        await loaded(headers, target: target, partition: partition).word
    }

    /// What stands in when the upstream fails, in a word.
    func wordOnError(target: String = CacheFixture.target, isDisconnected: Bool = false) async -> String {
        guard case .validate(let validation) = await loaded(target: target) else { return "no validation" }
        let hit = memory.staleIfError(
            validation,
            key(target),
            CacheFixture.request(),
            isDisconnected: isDisconnected,
            nowMilliseconds: clock.nowMilliseconds
        )
        return hit == nil ? "504" : "stale"
    }

    /// Stops in good order and starts again over the same files.
    func restarted(
        downSeconds: Int64 = 0,
        maxBytes: Int = 16 << 20,
        origin: String = "https://api.example"
    ) async -> DiskFixture {
        await disk.close()
        clock.restart(downSeconds: downSeconds)
        let configuration = configuration
        return DiskFixture(folder, clock, maxBytes: maxBytes, origin: origin) { $0 = configuration }
    }

    /// A start over a copy of the files as they are now: what a crash of the machine leaves.
    func afterCrash(downSeconds: Int64 = 0) throws -> DiskFixture {
        let copy = try folder.copy()
        clock.restart(downSeconds: downSeconds)
        let configuration = configuration
        return DiskFixture(copy, clock) { $0 = configuration }
    }
}
