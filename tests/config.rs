//! The configuration from outside: the shipped files, every fault and its sentence, exit codes.

use std::{fs, path::Path, process::Command};

use ringmail::{
    config::{Config, Level, Machine, Protocol},
    smtp::server::policy::Role,
};

const SHIPPED: &str = include_str!("../config/ringmail.toml");

fn parse(text: &str) -> Result<Config, String> {
    let machine = Machine { hostname: "mx.test".into(), resolv_conf: String::new() };
    Config::parse(text, "f", &machine).map_err(|error| error.to_string())
}

#[test]
fn every_fault_has_its_sentence() {
    let table: toml::Table = include_str!("config/faults.toml").parse().expect("the table");
    for case in table["case"].as_array().expect("cases") {
        let (text, expected) = (&case["toml"], &case["error"]);
        let text = text.as_str().expect("toml").trim_end();
        let error = parse(text).expect_err(text);
        let expected: Vec<&str> = expected.as_str().expect("error").trim().lines().collect();
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{text}\n---\n{error}");
        for (line, expected) in lines.iter().zip(expected) {
            // What the TOML parser says about a slip is its own affair.
            let whole = !expected.contains("this is not TOML");
            assert!(line.starts_with(expected), "{text}\n---\n{line}\n{expected}");
            assert!(!whole || line.len() == expected.len(), "{text}\n---\n{line}\n{expected}");
        }
    }
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(parse(SHIPPED), parse(""));
}

/// The examples of the shipped file, `#key = …`, as if the operator had taken them in.
#[test]
fn the_shipped_examples_are_right() {
    let uncomment = |line: &'static str| match line.strip_prefix('#') {
        Some(code) if !code.is_empty() && !code.starts_with(' ') => code,
        _ => line,
    };
    let lines: Vec<&str> = SHIPPED.lines().map(uncomment).collect();
    let config = parse(&lines.join("\n")).expect("right");
    let default = parse("").expect("the defaults");
    assert_eq!(config.hostname, "mx.example.org");
    assert_eq!(config.routes.len(), 1);
    let site = &config.sites[0];
    assert_eq!((site.mx.len(), site.domain.len()), (2, 1));
    assert_eq!(site.shape, ringmail::queue::shaping::Shape::default());
    assert_eq!(config.dns, default.dns);
}

/// An unknown key is answered with the known ones: each of them stands in the shipped file.
#[test]
fn the_shipped_file_shows_every_key() {
    for section in [
        "",
        "[[listener]]",
        "[smtp]",
        "[relay]",
        "[local]",
        "[imap]",
        "[dns]",
        "[[route]]",
        "[delivery]",
        "[retry]",
        "[[site]]",
        "[store]",
        "[drain]",
        "[log]",
    ] {
        let error = parse(&format!("{section}\nzzzzzzzzzzzzzzzzzzzzzz = 1\n")).expect_err(section);
        let known = error.split_once("expected one of ").expect(&error).1.lines().next();
        for key in known.expect("keys").split(", ") {
            let shown = SHIPPED.lines().any(|line| {
                let line = line.trim_start_matches('#');
                line.starts_with(&format!("{key} = "))
                    || line == format!("[{key}]")
                    || line == format!("[[{key}]]")
            });
            assert!(shown, "{section} {key} is not in config/ringmail.toml");
        }
    }
}

#[test]
fn the_minimal_file_is_right() {
    let config = parse(include_str!("../config/minimal.toml")).expect("right");
    assert_eq!(config.hostname, "relay.example.org");
    assert_eq!(config.smtp.hostname, "relay.example.org");
    assert_eq!(config.listeners.len(), 1);
}

#[test]
fn the_built_in_defaults_serve_loopback_only() {
    let config = parse("").expect("the defaults");
    let listeners: Vec<_> = config.listeners.iter().map(|l| l.address.to_string()).collect();
    assert_eq!(listeners, ["127.0.0.1:2525", "127.0.0.1:2587", "127.0.0.1:2143"]);
    assert_eq!(config.data_dir, Path::new("./ringmail-data"));
    assert_eq!(config.hostname, "mx.test");
    assert_eq!(config.log.level, Level::Info);
    for (client, may_relay) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false)] {
        let client = client.parse().expect("an address");
        let found = config.smtp.relay_networks.iter().any(|network| network.contains(client));
        assert_eq!(found, may_relay, "{client}");
    }
}

#[test]
fn listeners_speak_what_they_are_told() {
    for (word, protocol) in [
        ("smtp", Protocol::Smtp(Role::Relay)),
        ("submission", Protocol::Smtp(Role::Submission)),
        ("imap", Protocol::Imap),
        ("pop3", Protocol::Pop3),
    ] {
        let text = format!("[[listener]]\nprotocol = \"{word}\"\naddress = \"[::1]:0\"\n");
        let config = parse(&text).expect("right");
        assert_eq!(config.listeners[0].protocol, protocol, "{word}");
    }
}

#[test]
fn mailboxes_have_a_quota_and_passwords_stay_on_the_machine() {
    let config = parse("").expect("the defaults");
    assert_eq!(config.local.mailbox_quota, 2 << 30);
    assert!(!config.imap.allow_plaintext_login);
    let text = "[local]\nmailbox_quota = \"0\"\npostmaster = \"p@example.org\"\n\
                domains = [\"Example.ORG\"]\n[imap]\nallow_plaintext_login = true\n";
    let config = parse(text).expect("right");
    assert_eq!(config.local.mailbox_quota, 0);
    assert!(config.imap.allow_plaintext_login);
    assert_eq!(config.smtp.local_domains.len(), 1);
}

#[test]
fn a_machine_without_a_good_name_needs_hostname() {
    let machine = Machine { hostname: "my machine".into(), resolv_conf: String::new() };
    let error = Config::parse("", "f", &machine).expect_err("no host name").to_string();
    assert_eq!(
        error,
        "f: hostname is the machine's name \"my machine\" by default; \
         expected a host name: write hostname = \"mx.example.org\""
    );
    assert!(Config::parse("hostname = \"mx.example.org\"", "f", &machine).is_ok());
}

#[test]
fn commands_and_exit_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, bad) = (folder.path().join("good.toml"), folder.path().join("bad.toml"));
    fs::write(&good, "hostname = \"mx.example.org\"\n").expect("written");
    fs::write(&bad, "[smtp]\nerrors_max = 0\n").expect("written");
    let (good, bad) = (good.display().to_string(), bad.display().to_string());
    let range = "expected a whole number from 1 to 4294967295";
    let wrong = format!("{bad}:2: smtp.errors_max is 0; {range}\n");
    let absent = "cannot read the configuration /nowhere/ringmail.toml: ";
    for (arguments, code, out, err) in [
        (vec!["check", "--config", &good], 0, format!("{good}: ok\n"), ""),
        (vec!["check", "--config", &bad], 1, String::new(), wrong.as_str()),
        (vec!["serve", "--config", &bad], 1, String::new(), &wrong),
        (vec!["check", "--config", "/nowhere/ringmail.toml"], 1, String::new(), absent),
        (vec!["check"], 0, "built-in defaults: ok\n".to_owned(), ""),
        (vec![], 2, String::new(), "A durable mail relay"),
        (vec!["dance"], 2, String::new(), "error: unrecognized subcommand 'dance'"),
        (vec!["check", "--colour"], 2, String::new(), "error: unexpected argument"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ringmail"))
            .args(&arguments)
            .output()
            .expect("the binary runs");
        let (found_out, found_err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {found_err}");
        assert_eq!(found_out, out, "{arguments:?}");
        assert!(found_err.starts_with(err), "{arguments:?} {found_err}");
    }
}
