extension Duration {
    static func minutes(_ count: Int) -> Duration { .seconds(count * 60) }
    static func hours(_ count: Int) -> Duration { .minutes(count * 60) }
    static func days(_ count: Int) -> Duration { .hours(count * 24) }
}
