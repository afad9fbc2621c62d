/// The unescaped bytes of a member's name: in the text, or in the reader's arena if it had escapes.
struct JSONName {
    let start: Int
    let count: Int
    let isInArena: Bool

    static let empty = JSONName(start: 0, count: 0, isInArena: false)
}
