//! Mail programs of others, once each, and Postfix's load generator.
//!
//! `RINGMAIL_PROOF_MESSAGES=100000` makes the proof by smtp-source as long as a release wants.

use std::{process::Command, time::Duration};

use super::{relay_to, start, support};
use support::{
    binary::Settings,
    eventually_within, program, proof_size,
    sink::{Script, Sink},
    smtp_sink::SmtpSink,
};

#[test]
fn smtp_source_to_smtp_sink_loses_nothing() {
    let (Some(source), Some(sink)) = (program("smtp-source"), SmtpSink::start()) else {
        return;
    };
    let messages = proof_size("RINGMAIL_PROOF_MESSAGES", 2000);
    let (_home, ringmail) = start(&Settings::route(&[sink.address]));
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
