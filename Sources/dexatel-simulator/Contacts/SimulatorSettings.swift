/// What is fixed for the life of a simulated upstream.
struct SimulatorSettings: Sendable {
    /// What an Update does to the fields that it leaves out: the documents of the real API do not say.
    enum PutSemantics: String, Sendable, CaseIterable {
        /// They keep their values.
        case merge
        /// They are cleared.
        case replace
    }

    var putSemantics = PutSemantics.merge
    /// Keys that are let in; every key is when there are none here.
    var knownKeys: Set<String> = []
    /// Keys that are known and get 403.
    var forbiddenKeys: Set<String> = []
    /// Whether an Update of an unknown contact makes it instead of being answered 404.
    var createsOnPut = false
    /// How many contacts `seedAudience` has from the start.
    var seedContactCount = 0
    /// `Cache-Control` of replies to GET.
    var cacheControl: String?
    /// Whether replies to GET carry a strong `ETag` and `If-None-Match` is looked at.
    var sendsETags = false

    /// The audience of the provider's example.
    static let seedAudience: UInt128 = 0x2208_9fd7_7b74_4815_8452_3a8e_864a_ffbc
    /// The contact of the provider's example.
    static let seedContact: UInt128 = 0xfe84_f52d_d05e_4af6_b93a_08dc_0110_f536
    /// The account that everything belongs to, whatever the key.
    static let account: UInt128 = 0x0c9d_1f2e_5a34_4b6f_8d11_7be2_49aa_3c05
    /// When seeded contacts were made, in seconds since 1970: 2024-01-01 00:00:00 UTC.
    static let seedTimeSeconds: Int64 = 1_704_067_200
}
