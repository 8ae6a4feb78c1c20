//! The list of deliberate bugs.

/// One bug: a text of the sources, and what stands in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutation {
    pub name: String,
    /// From the root of the project.
    pub file: String,
    pub from: String,
    pub to: String,
}

impl Mutation {
    /// The source with the bug; an error when its text does not stand there exactly once.
    pub fn applied(&self, source: &str) -> Result<String, String> {
        match source.matches(&self.from).count() {
            1 => Ok(source.replacen(&self.from, &self.to, 1)),
            count => Err(format!(
                "`{}`: its text stands {count} times in {}; mend tests/sim/mutations.toml",
                self.name, self.file
            )),
        }
    }
}

/// All of them, as `mutations.toml` has them.
pub fn list() -> Vec<Mutation> {
    let table: toml::Table =
        include_str!("../mutations.toml").parse().unwrap_or_else(|error| panic!("{error}"));
    let field = |entry: &toml::Value, name: &str| {
        let value = entry.get(name).and_then(toml::Value::as_str);
        value.unwrap_or_else(|| panic!("a mutation lacks `{name}`: {entry}")).to_owned()
    };
    let entries = table.get("mutation").and_then(toml::Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| Mutation {
            name: field(entry, "name"),
            file: field(entry, "file"),
            from: field(entry, "from"),
            to: field(entry, "to"),
        })
        .collect()
}
