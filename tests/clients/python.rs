//! Python's imaplib and poplib, by a script each.

use std::net::SocketAddr;

use super::{letter::letter, program::Program, site::Site};

fn run(site: &Site, script: &str, server: SocketAddr) {
    let python = Program::find("python3", "python3", site.folder());
    let script = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    // Without a folder of compiled files in the source.
    let run = python.must(&["-B", &script, &host, &port, site.user, site.password]);
    run.assert_says("all done");
}

#[test]
fn imaplib_has_every_command_done() {
    let site = Site::start();
    site.deliver(&letter("first", &["one line"]));
    run(&site, "imaplib_client.py", site.imap);
}

#[test]
fn poplib_has_every_command_done() {
    let site = Site::start();
    for id in ["1", "2", "3"] {
        site.deliver(&letter(id, &["one line", ".a dot", "."]));
    }
    run(&site, "poplib_client.py", site.pop3);
}
