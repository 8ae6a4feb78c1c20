//! Mail programs of others, once each, and Postfix's load generator.
//!
//! `RINGMAIL_PROOF_MESSAGES=100000` makes the proof by smtp-source as long as a release wants.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{relay_to, start, support};
use support::{
    SINK_PORT,
    binary::Settings,
    eventually, eventually_within, fresh_address, program, proof_size,
    sink::{Script, Sink},
};

#[test]
fn smtp_source_to_smtp_sink_loses_nothing() {
    let (Some(source), Some(sink)) = (program("smtp-source"), program("smtp-sink")) else {
        return;
    };
    let messages = proof_size("RINGMAIL_PROOF_MESSAGES", 2000);
    let address = std::net::SocketAddr::new(fresh_address(), SINK_PORT);
    let sink = Counted::start(
        Command::new(sink).args(user()).arg("-c").args([address.to_string().as_str(), "1000"]),
    );
    eventually("smtp-sink listens", || std::net::TcpStream::connect(address).ok());
    let (_home, ringmail) = start(&Settings::route(&[address]));
    let status = Command::new(source)
        .args(["-s", "20", "-l", "4096", "-m", &messages.to_string()])
        .args(["-f", "alice@sender.example", "-t", "bob@rcpt.example"])
        .arg(ringmail.smtp.to_string())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let patience = Duration::from_secs(8 + messages as u64 / 500);
    eventually_within(patience, &format!("{messages} messages at smtp-sink"), || {
        (sink.count() >= messages).then_some(())
    });
    ringmail.stop();
    assert_eq!(sink.count(), messages);
}

/// smtp-sink wants to be somebody else than root.
fn user() -> &'static [&'static str] {
    if rustix::process::getuid().is_root() { &["-u", "nobody"] } else { &[] }
}

/// smtp-sink with its `mesg=` counter.
struct Counted {
    child: Child,
    count: Arc<AtomicUsize>,
}

impl Counted {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&count);
        thread::spawn(move || {
            let (mut buffer, mut text) = ([0; 4096], String::new());
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                // Counters are overwritten in place, each ended by a carriage return.
                let Some(end) = text.rfind(['\r', '\n']) else { continue };
                let last = text[..end].rsplit("mesg=").next().unwrap_or_default();
                let digits: String = last.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(count) = digits.parse() {
                    told.store(count, Ordering::SeqCst);
                }
                text.drain(..end);
            }
        });
        Self { child, count }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn swaks_sends() {
    let Some(swaks) = program("swaks") else { return };
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let output = Command::new(swaks)
        .args(["--server", &ringmail.smtp.to_string(), "--helo", "client.example"])
        .args(["--from", "alice@sender.example", "--to", "bob@rcpt.example,eve@rcpt.example"])
        .args(["--header", "X-Test-Id: swaks", "--body", "two lines\n.and a dot", "--pipeline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mail = &sink.wait_for(1)[0];
    assert_eq!(mail.field("X-Test-Id").as_deref(), Some("swaks"));
    assert!(mail.text().contains("\r\n.and a dot\r\n"), "{}", mail.text());
    assert_eq!(mail.recipients.len(), 2);
}

#[test]
fn smtplib_sends() {
    let Some(python) = program("python3") else { return };
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let script = format!(
        "import smtplib\n\
         with smtplib.SMTP('{}', {}) as smtp:\n    \
             smtp.ehlo('client.example')\n    \
             smtp.sendmail('j\\u00f6rg@sender.example', ['bob@rcpt.example'],\n        \
                 'X-Test-Id: smtplib\\r\\n\\r\\nGr\\u00fc\\u00dfe\\r\\n.\\r\\n'.encode(),\n        \
                 ['SMTPUTF8', 'BODY=8BITMIME'])\n",
        ringmail.smtp.ip(),
        ringmail.smtp.port()
    );
    let output = Command::new(python).args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mail = &sink.wait_for(1)[0];
    assert_eq!(mail.field("X-Test-Id").as_deref(), Some("smtplib"));
    assert!(mail.from.starts_with("<jörg@sender.example>"), "{}", mail.from);
    assert!(mail.from.contains(" SMTPUTF8"), "{}", mail.from);
    assert!(mail.text().ends_with("\r\n\r\nGrüße\r\n.\r\n"), "{}", mail.text());
}
