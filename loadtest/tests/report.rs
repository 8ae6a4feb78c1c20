//! The report of a comparison: what it says, that it stays one page, and that no file breaks it.

use std::{
    fs,
    process::{Command, Output},
};

use ringload::{
    outcome::{Comparison, ImapCommand, Latency, Point, Progress, Round, Trouble},
    report,
};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/synthetic-comparison.json");
/// What a hostile name would look like.
const NASTY: &str = "</title></style></pre><script>alert(1)</script>\"'&|`\u{1b}[31m\u{0}";
const HEADLINE: &str = "ringmail relayed 7,120 messages a second: 14.2 times as many as postfix, \
                        20 times opensmtpd and 33.3 times exim.";

fn fixture() -> Comparison {
    serde_json::from_slice(&fs::read(FIXTURE).unwrap()).unwrap()
}

fn ringload(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload")).args(words).output().unwrap()
}

/// Everything that a report can be, each with its name.
fn renderings(comparison: &Comparison) -> Vec<(String, String)> {
    let mut all = report::svgs(comparison);
    all.push(("html".into(), report::html(comparison)));
    all.push(("markdown".into(), report::markdown(comparison, "plots")));
    all.push(("table".into(), report::table(comparison)));
    all
}

/// The tags that are not closed in their order; void elements of HTML need no end.
fn unbalanced(text: &str) -> Option<String> {
    const VOID: [&str; 3] = ["meta", "input", "!doctype"];
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag without its end");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "a bare < near {tag}");
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap_or("");
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> closes nothing"));
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            if name == "script" || name == "style" {
                rest = &rest[rest.find("</").unwrap()..];
            }
        }
    }
    open.pop().map(|name| format!("<{name}> is not closed"))
}

#[test]
fn the_headline_is_what_the_figures_say() {
    let comparison = fixture();
    for (name, text) in renderings(&comparison) {
        if !name.ends_with(".svg") {
            assert!(text.contains(HEADLINE), "{name}: {}", &text[..400]);
            assert!(text.contains("ringmail reaches 60 % of this half"), "{name}");
            assert!(text.contains("opensmtpd lost 3 messages that it had acknowledged"), "{name}");
            assert!(text.contains("haraka gave no figures: no greeting"), "{name}");
        }
    }
}

#[test]
fn a_server_that_failed_later_keeps_its_figures_and_its_promise() {
    let mut comparison = fixture();
    comparison.servers[1].failed = Some("the server ended by itself".into());
    for (name, text) in renderings(&comparison) {
        if !name.ends_with(".svg") {
            let told = "postfix failed before its last round: the server ended by itself.";
            assert!(text.contains(told) && text.contains(HEADLINE), "{name}");
            assert!(text.contains(&comparison.servers[1].promise), "{name}");
        }
    }
}

#[test]
fn headlines_are_honest() {
    let rated = |rates: &[f64]| {
        let mut comparison = fixture();
        comparison.servers.truncate(rates.len());
        for (server, rate) in comparison.servers.iter_mut().zip(rates) {
            let round = Round { relayed_rate: *rate, ..Round::default() };
            server.closed = if *rate > 0.0 { vec![round] } else { vec![] };
            server.imap.clear();
        }
        report::table(&comparison).lines().next().unwrap().to_owned()
    };
    let cases: &[(&[f64], &str)] = &[
        (&[], "No server gave figures."),
        (&[0.0, 0.0], "No server gave figures."),
        (&[500.0], "ringmail relayed 500 messages a second."),
        (
            &[500.0, 1_000.0],
            "postfix was the fastest, with 1,000 messages a second. ringmail relayed 500 messages \
             a second: 0.50 times as many as postfix.",
        ),
        (&[505.0, 500.0], "ringmail relayed 505 messages a second: as many as postfix."),
        (&[0.0, 500.0, 250.0], "postfix relayed 500 messages a second: 2 times as many as exim."),
    ];
    for (rates, headline) in cases {
        assert_eq!(rated(rates), *headline, "{rates:?}");
    }
}

#[test]
fn imap_servers_are_told_by_what_all_of_them_answered() {
    let rated = |name: &str, rates: &[(&str, f64)]| {
        let mut comparison = fixture();
        let mut server =
            comparison.servers.drain(..).find(|server| server.protocol == "imap").unwrap();
        server.name = name.into();
        let command = |(name, rate): &(&str, f64)| ImapCommand {
            name: (*name).into(),
            rate: *rate,
            ..ImapCommand::default()
        };
        server.imap = rates.iter().map(command).collect();
        server
    };
    let one = rated("one", &[("login", 10.0), ("list", 4_000.0), ("idle", 0.0)]);
    let two = rated("two", &[("login", 40.0), ("list", 1_000.0), ("idle", 20.0)]);
    let three = rated("three", &[("login", 3.0), ("list", 2_000.0)]);
    let mut comparison = fixture();
    comparison.servers = vec![one, two, three];
    let headline = "one answered 200 IMAP commands a second in the geometric mean over their \
                    kinds: as many as two and 2.58 times as many as three.";
    for (name, text) in renderings(&comparison) {
        if name.ends_with(".svg") {
            continue;
        }
        let start = text.find("one answered").unwrap();
        assert!(text.contains(headline), "{name}: {}", &text[start..start + 200]);
        assert!(text.contains("list") && text.contains("4,000"), "{name}");
        assert!(text.contains("Synced with fdatasync before OK to APPEND."), "{name}");
        for smtp in ["sink", "Messages a round", "relayed"] {
            let told = text.split("To repeat it").next().unwrap();
            assert!(!told.contains(smtp), "{name} speaks of {smtp}");
        }
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let page = report::html(&fixture());
    for outside in ["http://", "https://", " src=", " href=", "url(", "@import", "//fonts"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    for server in ["ringmail", "postfix", "exim", "opensmtpd", "haraka", "direct", "dovecot"] {
        assert!(page.contains(&format!("<summary>{server} ")), "{server}");
    }
    for said in [
        "Committed to LMDB and synced with fdatasync",
        "Failed: no greeting on 127.0.0.1:2525",
        "haraka-plugin-redis",
        "relayhost = [127.0.0.1]:2526",
        "exim4 -bdf -C /var/tmp/ringload/exim.conf",
        "ringload compare --sessions 100 --out figures.json",
        "p50 780 µs, p99 1.30 ms",
        "36 times: 451 4.3.2 try again later",
        "half of it: a relay&#39;s limit: 11,900",
        "70 % of this half: 8,330",
        "kumomta was left out",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn every_plot_has_every_server_that_has_figures() {
    let svgs = report::svgs(&fixture());
    let names: Vec<&str> = svgs.iter().map(|(name, _)| name.as_str()).collect();
    let all = ["throughput", "over-time", "latency", "cost", "rounds", "cores", "backlog", "calls"];
    for name in all {
        assert!(names.contains(&format!("{name}.svg").as_str()), "{name} of {names:?}");
    }
    for (name, svg) in &svgs {
        let servers: &[&str] = match name.as_str() {
            "backlog.svg" => &["ringmail", "postfix"],
            "imap.svg" => &["dovecot", "fetch-headers"],
            "throughput.svg" => &["ringmail", "postfix", "exim", "haraka", "direct"],
            _ => &["ringmail", "postfix", "exim", "opensmtpd"],
        };
        for server in servers {
            assert!(svg.contains(&format!(">{server}</text>")), "{server} in {name}");
        }
        assert!(svg.starts_with("<svg xmlns="), "{name}");
        assert!(svg.contains("class=\"paper\""), "{name}");
    }
}

#[test]
fn names_from_files_stay_text() {
    let mut comparison = fixture();
    comparison.notes.push(NASTY.into());
    comparison.command.push(NASTY.into());
    comparison.size = NASTY.into();
    comparison.machine.cpu = NASTY.into();
    for server in &mut comparison.servers {
        server.name.push_str(NASTY);
        server.version = NASTY.into();
        server.promise = NASTY.into();
        server.files.push((NASTY.into(), NASTY.into()));
        server.commands.push(vec![NASTY.into()]);
        server.syscalls.push((NASTY.into(), 900.0));
        server.failed = Some(NASTY.into());
        for round in &mut server.closed {
            round.errors.push(Trouble { text: NASTY.into(), count: u64::MAX });
        }
        for command in &mut server.imap {
            command.name = NASTY.into();
        }
    }
    for (name, text) in renderings(&comparison) {
        assert!(!text.contains('\u{1b}') && !text.contains('\0'), "{name} has control characters");
        let scripts = match name.as_str() {
            "table" => 0,
            // What is between fences is text.
            "markdown" => text.split("\n```").next().unwrap().matches("<script").count(),
            "html" => text.matches("<script").count() - 1,
            _ => text.matches("<script").count(),
        };
        assert_eq!(scripts, 0, "{name}");
        if name.ends_with(".svg") || name == "html" {
            assert_eq!(unbalanced(&text), None, "{name}");
        }
    }
}

#[test]
fn markup_is_balanced() {
    for (name, text) in renderings(&fixture()) {
        if name.ends_with(".svg") || name == "html" {
            assert_eq!(unbalanced(&text), None, "{name}");
        }
    }
    assert!(unbalanced("<g><text></g></text>").is_some());
    assert!(unbalanced("<g>").is_some());
}

#[test]
fn no_figures_break_no_report() {
    let odd = [0.0, f64::NAN, f64::INFINITY, -1.0, 1e308, f64::MIN_POSITIVE];
    for value in odd {
        let mut comparison = fixture();
        comparison.machine.sync.p50_us = value;
        comparison.seconds = value;
        for server in &mut comparison.servers {
            server.syscalls = vec![("fsync".into(), value), ("read".into(), value)];
            let progress = Progress { seconds: value, rate: value, ..Progress::default() };
            let curve = vec![(value, value), (99.0, value), (value, 10.0)];
            let round = Round {
                accepted_rate: value,
                relayed_rate: value,
                cpu_us_per_message: value,
                octets_written_per_message: value,
                memory_own_peak: u64::MAX,
                lost: u64::MAX,
                duplicates: u64::MAX,
                acknowledgement: Latency {
                    count: 1,
                    p50_us: value,
                    p99_us: value,
                    curve,
                    ..Latency::default()
                },
                accepted: vec![progress.clone(); 3],
                relayed: vec![progress; 500],
                ..Round::default()
            };
            server.by_cores = vec![Point { at: value, round: round.clone() }; 3];
            server.by_backlog = server.by_cores.clone();
            server.closed = vec![round.clone(); 2];
            server.open = vec![round];
        }
        for (name, text) in renderings(&comparison) {
            for shown in ["\"NaN", "\"inf", "\"-inf", "LNaN", "MNaN", " NaN", "Linf"] {
                assert!(!text.contains(shown), "{name} of {value} has {shown}");
            }
            assert!(text.len() < 1_000_000, "{name} of {value} has {} octets", text.len());
        }
    }
    let mut empty = fixture();
    empty.servers.clear();
    assert!(report::svgs(&empty).is_empty());
    for (name, text) in renderings(&empty) {
        assert!(text.contains("No server gave figures."), "{name}");
    }
}

#[test]
fn the_command_writes_what_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let printed = ringload(&["report", FIXTURE]);
    assert!(printed.status.success());
    let table = String::from_utf8(printed.stdout).unwrap();
    assert!(table.starts_with(HEADLINE), "{table}");
    assert!(table.contains("1/14.2"), "{table}");

    let (html, plots, text) = (path("r.html"), path("new/plots"), path("r.md"));
    let words = ["report", FIXTURE, "--html", &html, "--svg", &plots, "--markdown", &text];
    let output = ringload(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&html).unwrap(), report::html(&fixture()));
    let text = fs::read_to_string(&text).unwrap();
    let links: Vec<&str> =
        text.split("](<").skip(1).filter_map(|rest| rest.split(">)").next()).collect();
    assert!(links.contains(&"new/plots/latency.svg"), "{links:?}");
    for link in links {
        assert!(folder.path().join(link).exists(), "{link}");
    }
}

#[test]
fn nonsense_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, octets: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, octets).unwrap();
        path
    };
    let whole = fs::read(FIXTURE).unwrap();
    let cases = [
        (folder.path().join("absent"), "cannot read"),
        (folder.path().to_path_buf(), "cannot read"),
        (file("empty", b""), "is not what `ringload compare --out` writes"),
        (file("octets", &[0xff, 0xfe, 0]), "is not what `ringload compare --out` writes"),
        (file("other", b"{\"kind\":\"result\"}"), "missing field"),
        (file("torn", &whole[..whole.len() / 2]), "is not what `ringload compare --out` writes"),
        (file("deep", "[".repeat(100_000).as_bytes()), "is not what `ringload compare"),
    ];
    for (path, said) in cases {
        refused(&["report", path.to_str().unwrap()], said);
    }
    let nowhere = folder.path().join("absent/r.html");
    refused(&["report", FIXTURE, "--html", nowhere.to_str().unwrap()], "cannot write");
    let taken = file("taken", b"");
    refused(&["report", FIXTURE, "--svg", taken.to_str().unwrap()], "cannot write");
}

fn refused(words: &[&str], said: &str) {
    let output = ringload(words);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {error}");
    assert!(error.contains(said), "{words:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{words:?}: {error}");
}
