//! The transcripts of the pure session, replayed against the real binary: each as it stands, and
//! once more with every octet in a segment of its own.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::TcpStream,
};

use crate::support::{
    PATIENCE,
    binary::Home,
    sink::{Script, Sink},
    transcript::{Step, Transcript, matches, read_all},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");

#[test]
fn as_they_stand() {
    replay(usize::MAX);
}

#[test]
fn octet_by_octet() {
    replay(1);
}

fn replay(segment: usize) {
    let mut played = 0;
    for transcript in read_all(FOLDER) {
        // An octet a segment takes its time: long ones are cut in the pure session's test.
        if !transcript.plays_on_the_wire() || transcript.octets() / segment > 5000 {
            continue;
        }
        play(&transcript, segment);
        played += 1;
    }
    assert!(played >= 8, "{played} transcripts play on the wire");
}

fn play(transcript: &Transcript, segment: usize) {
    let sink = Sink::start(Script::default());
    let home = Home::with_config(|data| configuration(transcript, data, &sink));
    let ringmail = home.start();
    let mut server = TcpStream::connect(ringmail.smtp).unwrap();
    server.set_nodelay(true).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = BufReader::new(server.try_clone().unwrap());
    for (line, step) in &transcript.steps {
        let at = format!("{}:{line}", transcript.name);
        match step {
            Step::Send(octets) => {
                for part in octets.chunks(segment.min(octets.len())) {
                    // The server may have closed on the first part already.
                    if server.write_all(part).is_err() {
                        break;
                    }
                }
            }
            Step::Expect(expected) => {
                let mut found = String::new();
                replies.read_line(&mut found).unwrap_or_else(|e| panic!("{at}: {e}"));
                let found = found.strip_suffix("\r\n").unwrap_or(&found);
                assert!(matches(expected, found), "{at}: {found:?}, not {expected:?}");
            }
            Step::ExpectClosed => {
                let mut found = String::new();
                match replies.read_line(&mut found) {
                    Ok(0) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                    other => panic!("{at}: {other:?} {found:?}, not the end"),
                }
            }
            // Facts about a message are the pure session's to show.
            Step::Message { .. } => {}
            Step::Advance(_) | Step::Event(_) => unreachable!("not on the wire"),
        }
    }
}

/// What `World::new` of the pure session's test holds, as a configuration.
fn configuration(transcript: &Transcript, data: &str, sink: &Sink) -> String {
    let setting = |key: &str, usual: &str| -> String {
        let given = transcript.settings.iter().find(|(k, _)| k == key);
        given.map_or(usual, |(_, value)| value).to_owned()
    };
    let list = |key: &str, usual: &str| -> String {
        let words: Vec<_> =
            setting(key, usual).split_whitespace().map(|word| format!("{word:?}")).collect();
        words.join(", ")
    };
    // Only the port of the first listener is looked for, whatever it is for.
    let protocol = if setting("role", "relay") == "relay" { "smtp" } else { "submission" };
    format!(
        "hostname = \"mx.example.org\"\ndata_dir = {data}\ncores = 1\n\
         [[listener]]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n\
         [smtp]\nmessage_size_max = \"{}\"\nrecipients_max = {}\nerrors_max = {}\n\
         received_headers_max = {}\n\
         [relay]\nnetworks = [{}]\ndomains = [{}]\n\
         [local]\ndomains = [{}]\npostmaster = \"{}\"\n\
         [[route]]\ndomain = \"*\"\nhosts = [\"{}\"]\n",
        setting("message_size_max", "10000000"),
        setting("recipients_max", "100"),
        setting("errors_max", "20"),
        setting("received_headers_max", "50"),
        list("networks", "127.0.0.0/8 ::1/128"),
        list("relay_domains", "relay.example *.relay.example"),
        list("local_domains", "example.org"),
        setting("postmaster", "admin@example.net"),
        sink.address,
    )
}
