//! Recipes: how a server is configured, started and stopped for a comparison, one TOML file each.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

/// The recipes that come with ringload, by name.
// tidy: flat table
pub const BUILT_IN: &[(&str, &str)] = &[
    ("ringmail", include_str!("../../peers/ringmail.toml")),
    ("postfix", include_str!("../../peers/postfix.toml")),
    ("exim", include_str!("../../peers/exim.toml")),
    ("opensmtpd", include_str!("../../peers/opensmtpd.toml")),
    ("haraka", include_str!("../../peers/haraka.toml")),
    ("kumomta", include_str!("../../peers/kumomta.toml")),
    ("stalwart", include_str!("../../peers/stalwart.toml")),
    ("ringmail-imap", include_str!("../../peers/ringmail-imap.toml")),
    ("dovecot", include_str!("../../peers/dovecot.toml")),
];

/// Why a recipe cannot be followed.
#[derive(Debug, Error)]
pub enum RecipeError {
    #[error("there is no peer `{name}`; take one of {known}, or the path of a recipe file")]
    Unknown { name: String, known: String },
    #[error("{path} cannot be read: {error}; give the path of a recipe file")]
    Read { path: PathBuf, error: std::io::Error },
    #[error("the recipe {name} is not understood: {error}; loadtest/peers/README.md has its keys")]
    Syntax { name: String, error: toml::de::Error },
    #[error(
        "the recipe knows nothing that is called {{{name}}}; name it under [needs] or [tls], or \
         put a space inside the braces if it is meant as it stands"
    )]
    Placeholder { name: String },
    #[error("not installed: none of {tried} is there; install it, or see loadtest/peers/fetch.sh")]
    Missing { tried: String },
    #[error("the recipe has no [tls.{0}]; leave the peer out, or add what it needs for that")]
    Tls(String),
}

/// A recipe as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub name: String,
    pub protocol: Protocol,
    /// One sentence: what its 250, or its OK to an APPEND, means as it is configured here.
    pub promise: String,
    /// Whether it takes commands one behind the other; false is for what does not offer it.
    #[serde(default = "offered")]
    pub pipelining: bool,
    /// A command whose output's last line names the version.
    version: Vec<String>,
    /// What its own manual advises for this work and the recipe follows, and where it says so.
    #[serde(default)]
    pub advice: Vec<String>,
    /// Commands to be run before the start, in order.
    #[serde(default)]
    prepare: Vec<Vec<String>>,
    /// The server, in the foreground.
    start: Vec<String>,
    #[serde(default)]
    stop: Stop,
    /// Its log, where that is not its output.
    log: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Placeholders for programs and files it cannot do without: the first path that is there.
    #[serde(default)]
    needs: BTreeMap<String, Vec<String>>,
    /// Placeholders by what `--tls` asks for.
    #[serde(default)]
    tls: BTreeMap<String, BTreeMap<String, String>>,
    /// Files to be written into the folder of a round.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

fn offered() -> bool {
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Smtp,
    Imap,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Smtp => "smtp",
            Protocol::Imap => "imap",
        }
    }
}

/// How a server is told to end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Stop {
    Signal(Signal),
    Command(Vec<String>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    #[default]
    Term,
    Int,
    Quit,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop::Signal(Signal::Term)
    }
}

/// What a round gives a recipe to fill itself with.
#[derive(Clone, Debug)]
pub struct Site {
    /// Of the round, with everything in it.
    pub folder: PathBuf,
    /// Where unpacked peers are.
    pub peers: PathBuf,
    /// The Ringmail that is measured.
    pub ringmail_binary: PathBuf,
    pub port: u16,
    pub sink_host: String,
    pub sink_port: u16,
    pub cores: usize,
    /// `none` or `starttls`.
    pub tls: String,
}

/// The server's own name.
const HOSTNAME: &str = "bench.example";

/// A recipe with nothing left to be filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub version: Vec<String>,
    pub prepare: Vec<Vec<String>>,
    pub start: Vec<String>,
    pub stop: Stop,
    pub log: Option<PathBuf>,
    pub env: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
}

impl Recipe {
    /// A recipe that comes with ringload, or the one in a file.
    pub fn find(peer: &str) -> Result<Recipe, RecipeError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == peer) {
            return Recipe::parse(name, text);
        }
        let path = Path::new(peer);
        if !peer.contains('/') && path.extension().is_none() {
            let known = BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(RecipeError::Unknown { name: peer.to_owned(), known });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| RecipeError::Read { path: path.to_owned(), error })?;
        Recipe::parse(peer, &text)
    }

    pub fn parse(name: &str, text: &str) -> Result<Recipe, RecipeError> {
        toml::from_str(text).map_err(|error| RecipeError::Syntax { name: name.to_owned(), error })
    }

    /// Everything a server needs to run at this site; `there` says whether a path exists.
    pub fn plan(&self, site: &Site, there: impl Fn(&Path) -> bool) -> Result<Plan, RecipeError> {
        let mut words = site.words();
        for (name, paths) in &self.needs {
            let paths =
                paths.iter().map(|path| fill(path, &words)).collect::<Result<Vec<_>, _>>()?;
            let found = paths.iter().find(|path| there(Path::new(path)));
            let missing = || RecipeError::Missing { tried: paths.join(", ") };
            words.insert(name.clone(), found.ok_or_else(missing)?.clone());
        }
        let tls = self.tls.get(&site.tls).ok_or_else(|| RecipeError::Tls(site.tls.clone()))?;
        for (name, text) in tls {
            let text = fill(text, &words)?;
            words.insert(name.clone(), text);
        }
        let all = |argv: &[String]| argv.iter().map(|word| fill(word, &words)).collect();
        let table = |table: &BTreeMap<String, String>| {
            let filled = |(name, text): (&String, &String)| Ok((name.clone(), fill(text, &words)?));
            table.iter().map(filled).collect::<Result<_, RecipeError>>()
        };
        Ok(Plan {
            version: all(&self.version)?,
            prepare: self.prepare.iter().map(|argv| all(argv)).collect::<Result<_, _>>()?,
            start: all(&self.start)?,
            stop: match &self.stop {
                Stop::Command(argv) => Stop::Command(all(argv)?),
                Stop::Signal(signal) => Stop::Signal(*signal),
            },
            log: self.log.as_deref().map(|log| fill(log, &words)).transpose()?.map(PathBuf::from),
            env: table(&self.env)?,
            files: table(&self.files)?,
        })
    }
}

impl Site {
    /// Where the server keeps its queue.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A certificate for TLS, and its key.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn words(&self) -> BTreeMap<String, String> {
        let path = |path: &Path| path.display().to_string();
        [
            ("folder", path(&self.folder)),
            ("data", path(&self.data())),
            ("certificate", path(&self.certificate())),
            ("key", path(&self.key())),
            ("peers", path(&self.peers)),
            ("ringmail_binary", path(&self.ringmail_binary)),
            ("port", self.port.to_string()),
            ("sink_host", self.sink_host.clone()),
            ("sink_port", self.sink_port.to_string()),
            ("cores", self.cores.to_string()),
            ("hostname", HOSTNAME.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Puts values in the place of `{names}`. Braces around anything but a plain lower-case word, and
/// `${names}`, belong to the server's own language and stay.
fn fill(text: &str, words: &BTreeMap<String, String>) -> Result<String, RecipeError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}').filter(|(name, _)| is_word(name) && !before.ends_with('$')) {
            Some((name, behind)) => {
                let unknown = || RecipeError::Placeholder { name: name.to_owned() };
                filled.push_str(words.get(name).ok_or_else(unknown)?);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(tls: &str) -> Site {
        Site {
            folder: "/round".into(),
            peers: "/peers".into(),
            ringmail_binary: "/bin/ringmail".into(),
            port: 25,
            sink_host: "127.0.0.1".into(),
            sink_port: 26,
            cores: 2,
            tls: tls.into(),
        }
    }

    #[test]
    fn placeholders() {
        let words = site("none").words();
        for (text, filled) in [
            ("", "Ok"),
            ("port {port}.", "Ok port 25."),
            ("{port}{cores}", "Ok 252"),
            ("${port} { port } {} {PORT} { {port} }", "Ok ${port} { port } {} {PORT} { 25 }"),
            ("{unended", "Ok {unended"),
            ("{nonsense}", "there is no such word"),
        ] {
            match fill(text, &words) {
                Ok(got) => assert_eq!(format!("Ok {got}").trim(), filled, "{text}"),
                Err(RecipeError::Placeholder { name }) => assert!(text.contains(&name)),
                Err(error) => panic!("{text}: {error}"),
            }
            assert_eq!(fill(text, &words).is_ok(), filled.starts_with("Ok"), "{text}");
        }
    }

    #[test]
    fn built_in_recipes_can_be_followed_without_and_with_tls() {
        for (name, text) in BUILT_IN {
            let recipe = Recipe::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(recipe.name, *name);
            let answer = match recipe.protocol {
                Protocol::Smtp => "250",
                Protocol::Imap => "OK to an APPEND",
            };
            assert!(recipe.promise.contains(answer), "{name}");
            for tls in recipe.tls.keys() {
                recipe.plan(&site(tls), |_| true).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            assert!(recipe.plan(&site("none"), |_| true).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_first_path_that_is_there_is_taken() {
        let text = r#"
            name = "toy"
            protocol = "smtp"
            promise = "its 250 means nothing"
            version = ["{toy}"]
            start = ["{toy}", "{greeting}"]
            [needs]
            toy = ["/a", "{peers}/b", "/c"]
            [tls.none]
            greeting = "{hostname}"
        "#;
        let recipe = Recipe::parse("toy", text).unwrap();
        let plan = recipe.plan(&site("none"), |path| path != Path::new("/a")).unwrap();
        assert_eq!(plan.start, ["/peers/b", "bench.example"]);
        assert_eq!(plan.stop, Stop::Signal(Signal::Term));
        let error = recipe.plan(&site("none"), |_| false).unwrap_err().to_string();
        assert!(error.contains("/a, /peers/b, /c"), "{error}");
        let error = recipe.plan(&site("starttls"), |_| true).unwrap_err().to_string();
        assert!(error.contains("[tls.starttls]"), "{error}");
    }

    #[test]
    fn what_a_recipe_may_not_say() {
        for (text, word) in [
            ("name = 1", "name"),
            ("name = \"a\"\nfoo = 1", "foo"),
            (
                "name=\"a\"\nprotocol=\"smtp\"\npromise=\"\"\nversion=[]\nstart=[]\n\
                 stop=\"BUS\"\n[tls]",
                "stop",
            ),
        ] {
            let error = Recipe::parse("x", text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(Recipe::find("nobody").unwrap_err().to_string().contains("postfix"));
    }
}
