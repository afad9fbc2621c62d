/// What a newly read configuration means for a daemon that runs: what takes effect, and what has to wait for a restart.
struct ConfigurationChange: Equatable {
    /// What holds from now on: the new values, but the running ones for keys that need a restart.
    let effective: RelayConfiguration
    /// Keys whose new values take effect, in the order of the table.
    let changed: [String]
    /// Keys whose new values need a restart.
    let needsRestart: [String]

    init(from running: RelayConfiguration, to new: RelayConfiguration, table: [ConfigurationKey] = ConfigurationKey.all)
    {
        var (effective, changed, needsRestart) = (new, [String](), [String]())
        for key in table where key.text(in: running) != key.text(in: new) {
            guard key.needsRestart else {
                changed.append(key.name)
                continue
            }
            needsRestart.append(key.name)
            let isKept = key.set(key.text(in: running), in: &effective)
            precondition(isKept, "a value is read as it is written")
        }
        (self.effective, self.changed, self.needsRestart) = (effective, changed, needsRestart)
    }
}
