// swift-tools-version: 6.2

import PackageDescription

/// CI builds with warnings as errors; a newer compiler's new warnings do not break anybody else's build.
let strictSettings: [SwiftSetting] =
    Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)]

let swiftSettings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + strictSettings

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
]
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let sqlite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let heap: Target.Dependency = .product(name: "HeapModule", package: "swift-collections")

/// The floors of the house, top down; arrows point down only, and siblings do not import each other
/// (docs/architecture.md).
let package = Package(
    name: "contact-relay",
    products: [
        .executable(name: "contact-relay", targets: ["contact-relay"]),
        .executable(name: "dexatel-simulator", targets: ["dexatel-simulator"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.12.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .executableTarget(
            name: "contact-relay",
            dependencies: ["RelayDaemon", "Outbox", "AdminAPI", "Systemd", argumentParser, logging],
            swiftSettings: swiftSettings
        ),
        .target(
            name: "RelayDaemon",
            dependencies: [
                "ProxyServer", "Outbox", "Upstream", "ResponseCache", "AdminAPI", "Systemd", "CLinux", "DexatelAPI",
                "HTTPClient", nioPosix, logging, lifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Yams", package: "Yams"),
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .target(
            name: "ProxyServer",
            dependencies: [
                "Outbox", "Upstream", "HTTPClient", "ResponseCache", "AdminAPI", "HTTPWire", "DexatelAPI", nioPosix,
                logging, collections,
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Outbox",
            dependencies: ["DexatelAPI", grdb, sqlite, crypto, logging, collections, heap] + nio,
            swiftSettings: swiftSettings
        ),
        .target(
            name: "ResponseCache",
            dependencies: ["HTTPWire", "DexatelAPI", grdb, logging] + nio,
            swiftSettings: swiftSettings
        ),
        .target(
            name: "Upstream",
            dependencies: [
                "HTTPClient", "DexatelAPI", "CZlib", nioPosix, logging,
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .target(
            name: "HTTPClient",
            dependencies: [
                "HTTPWire", nioPosix, .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .target(
            name: "AdminAPI",
            dependencies: ["HTTPClient"] + nio,
            swiftSettings: swiftSettings
        ),
        .target(name: "Systemd", dependencies: ["CSystemd"], swiftSettings: swiftSettings),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLinux"),
        .target(name: "DexatelAPI", dependencies: ["CLinux"], swiftSettings: swiftSettings),
        .target(name: "HTTPWire", dependencies: nio, swiftSettings: swiftSettings),

        .executableTarget(
            name: "dexatel-simulator",
            dependencies: ["DexatelAPI", argumentParser, nioPosix] + nio,
            swiftSettings: swiftSettings
        ),

        .target(
            name: "TestSupport",
            dependencies: ["HTTPClient", nioPosix] + nio,
            path: "Tests/TestSupport",
            swiftSettings: swiftSettings
        ),
        .target(
            name: "FuzzInputs",
            dependencies: ["HTTPWire", "TestSupport", .product(name: "NIOEmbedded", package: "swift-nio")] + nio,
            path: "Tests/FuzzInputs",
            swiftSettings: swiftSettings
        ),
        .executableTarget(
            name: "fuzz",
            dependencies: ["FuzzInputs", "TestSupport"],
            path: "Tests/fuzz",
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "HTTPWireTests",
            dependencies: ["FuzzInputs", "HTTPWire", "TestSupport"] + nio,
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "DexatelAPITests",
            dependencies: ["DexatelAPI", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "OutboxTests",
            dependencies: ["Outbox", "DexatelAPI", "TestSupport", grdb, logging],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ResponseCacheTests",
            dependencies: ["ResponseCache", "HTTPWire", "DexatelAPI", "TestSupport", logging] + nio,
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "HTTPClientTests",
            dependencies: [
                "HTTPClient", "TestSupport", nioPosix, .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "UpstreamTests",
            dependencies: ["Upstream", "DexatelAPI", "TestSupport"],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ProxyServerTests",
            dependencies: [
                "ProxyServer", "Outbox", "Upstream", "ResponseCache", "HTTPWire", "DexatelAPI", "TestSupport", nioPosix,
                logging, .product(name: "NIOEmbedded", package: "swift-nio"),
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .testTarget(name: "SystemdTests", dependencies: ["Systemd"], swiftSettings: swiftSettings),
        .testTarget(
            name: "RelayDaemonTests",
            dependencies: [
                "RelayDaemon", "AdminAPI", "DexatelAPI", "Outbox", "ProxyServer", "ResponseCache", "Upstream",
                "HTTPClient", "TestSupport", logging,
            ] + nio,
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "SimulatorTests",
            dependencies: ["dexatel-simulator", "DexatelAPI", "HTTPClient", argumentParser] + nio,
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "CommandLineTests",
            dependencies: ["contact-relay", "AdminAPI", argumentParser],
            swiftSettings: swiftSettings
        ),
        .testTarget(
            name: "ProcessTests",
            dependencies: [
                "contact-relay", "dexatel-simulator", "AdminAPI", "DexatelAPI", "TestSupport", "HTTPClient", nioPosix,
                subprocess,
            ] + nio,
            swiftSettings: swiftSettings
        ),
    ]
)
