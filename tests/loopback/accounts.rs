//! Accounts and aliases at the operator's hand: the commands with a server and without one.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::FileTypeExt, fs::PermissionsExt, net::UnixStream},
};

use super::support::binary::{Home, Settings};

/// A home whose domain is `x.example`.
fn home() -> Home {
    let more =
        "[local]\ndomains = [\"x.example\"]\npostmaster = \"admin@example.net\"\n".to_owned();
    Home::new(&Settings { more, ..Settings::default() })
}

/// What a command is to end with.
struct Case {
    words: &'static [&'static str],
    input: &'static str,
    code: i32,
    out: &'static str,
    err: &'static str,
}

const fn case(words: &'static [&'static str], input: &'static str) -> Case {
    Case { words, input, code: 0, out: "", err: "" }
}

const fn shows(words: &'static [&'static str], out: &'static str) -> Case {
    Case { words, input: "", code: 0, out, err: "" }
}

const fn fails(words: &'static [&'static str], err: &'static str) -> Case {
    Case { words, input: "secret\n", code: 1, out: "", err }
}

/// Runs them in order. `err` is the start of what is said.
fn check(home: &Home, cases: &[Case]) {
    for Case { words, input, code, out, err } in cases {
        let output = home.command(words, input);
        let told =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(*code), "{words:?} {told:?}");
        assert_eq!(told.0, *out, "{words:?} {told:?}");
        assert!(
            told.1.starts_with(err) && err.is_empty() == told.1.is_empty(),
            "{words:?} {told:?}"
        );
    }
}

const ADD_ANN: &[&str] = &["account", "add", "Ann@X.example", "--password-stdin"];

/// The same from an empty store on, whether a server has it or not.
const DAY: &[Case] = &[
    shows(&["account", "list"], ""),
    shows(&["alias", "list", "--json"], ""),
    case(ADD_ANN, "secret\n"),
    fails(ADD_ANN, "ringmail: Ann@X.example is taken by an account or an alias; "),
    case(&["account", "add", "bob@x.example", "--password-stdin", "--quota", "5MiB"], "secret"),
    fails(
        &["account", "add", "eve@y.example", "--password-stdin"],
        "ringmail: eve@y.example is not local; write \"y.example\" into local.domains and restart ",
    ),
    case(&["account", "passwd", "ann@x.example", "--password-stdin"], "other\r\n"),
    fails(
        &["account", "passwd", "eve@x.example", "--password-stdin"],
        "ringmail: there is no account eve@x.example; ",
    ),
    shows(
        &["account", "list", "--json"],
        "{\"address\":\"ann@x.example\",\"messages\":0,\"octets\":0,\"quota\":null}\n\
         {\"address\":\"bob@x.example\",\"messages\":0,\"octets\":0,\"quota\":5242880}\n",
    ),
    case(&["account", "quota", "ann@x.example", "none"], ""),
    case(&["account", "quota", "bob@x.example", "default"], ""),
    shows(
        &["account", "list"],
        "ann@x.example                                    0 messages        0B of none\n\
         bob@x.example                                    0 messages        0B of default\n",
    ),
    case(&["alias", "add", "info@x.example", "ann@x.example", "you@y.example"], ""),
    case(&["alias", "add", "@x.example", "bob@x.example"], ""),
    fails(&["alias", "add", "@y.example", "ann@x.example"], "ringmail: @y.example is not local; "),
    fails(&["alias", "add", "bob@x.example", "ann@x.example"], "ringmail: bob@x.example is taken "),
    fails(&["alias", "remove", "bob@x.example"], "ringmail: there is no alias bob@x.example; "),
    shows(
        &["alias", "list", "--json"],
        "{\"address\":\"@x.example\",\"targets\":[\"bob@x.example\"]}\n\
         {\"address\":\"info@x.example\",\"targets\":[\"ann@x.example\",\"you@y.example\"]}\n",
    ),
    case(&["alias", "remove", "@x.example"], ""),
    shows(
        &["alias", "list"],
        "info@x.example                           ann@x.example you@y.example\n",
    ),
    case(&["account", "remove", "bob@x.example"], ""),
    fails(&["account", "remove", "bob@x.example"], "ringmail: there is no account bob@x.example; "),
    shows(
        &["account", "list"],
        "ann@x.example                                    0 messages        0B of none\n",
    ),
];

#[test]
fn a_day_of_an_operator_without_a_server() {
    check(&home(), DAY);
}

#[test]
fn a_day_of_an_operator_beside_a_server() {
    let home = home();
    let ringmail = home.start();
    check(&home, DAY);
    ringmail.stop();
    check(&home, &DAY[DAY.len() - 1..]);
}

#[test]
fn what_was_made_before_the_start_is_there_after_it() {
    let home = home();
    check(&home, &[case(ADD_ANN, "secret\n")]);
    let ringmail = home.start();
    let listed =
        "ann@x.example                                    0 messages        0B of default\n";
    check(&home, &[shows(&["account", "list"], listed)]);
    ringmail.kill();
    // The socket of a server that was killed is in nobody's way.
    assert!(home.data().join("control").exists());
    check(&home, &[shows(&["account", "list"], listed)]);
    let ringmail = home.start();
    check(&home, &[shows(&["account", "list"], listed)]);
    ringmail.stop();
    assert!(!home.data().join("control").exists());
}

#[test]
fn passwords_that_cannot_be_are_refused() {
    let long = "x".repeat(1025);
    for (input, err) in [
        ("", "ringmail: the password is empty; "),
        ("\n", "ringmail: the password is empty; "),
        (&long, "ringmail: the password has more than 1024 octets; "),
        ("a\0b\n", "ringmail: the password holds a NUL, "),
    ] {
        let output = home().command(ADD_ANN, input);
        assert_eq!(output.status.code(), Some(1), "{input}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.starts_with(err), "{input} {told}");
    }
    let unasked = &["account", "add", "ann@x.example"];
    check(&home(), &[fails(unasked, "ringmail: standard input is no terminal ")]);
}

#[test]
fn the_socket_is_its_owners_and_outlives_nonsense() {
    let home = home();
    let ringmail = home.start();
    let path = home.data().join("control");
    let metadata = fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let long = "x".repeat(1 << 20);
    for nonsense in ["\n", "hello\n", "{\"do\":\"dance\"}\n", &long] {
        let mut stream = UnixStream::connect(&path).unwrap();
        // It may be cut off in the middle of what is too long.
        let _ = stream.write_all(nonsense.as_bytes());
        let mut answer = String::new();
        let heard = BufReader::new(stream).read_line(&mut answer);
        let refused = answer.starts_with("{\"error\":\"the request on the control socket is not ");
        assert!(refused || nonsense == long && heard.is_err(), "{answer}");
    }
    drop(UnixStream::connect(&path).unwrap());
    check(&home, &[shows(&["account", "list"], "")]);
    ringmail.stop();
}
