//! Who hears of a failure, a delay or a success, and who does not.

use super::{refusing, relay_to, start, support};
use support::{
    binary::{Ringmail, Settings},
    sink::{Mail, Script, Sink},
    source::{Client, SENDER, numbered},
};

fn send(ringmail: &Ringmail, mail: &str, rcpt: &str) {
    let body = numbered("original", 300);
    let reply = Client::connect(ringmail.smtp).send(mail, &[rcpt], &body).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
}

/// The report: from nobody, to the sender, in three parts.
fn assert_report(mail: &Mail, fields: &[&str]) {
    assert!(mail.from.starts_with("<>"), "{}", mail.from);
    assert!(mail.recipients[0].starts_with(&format!("<{SENDER}>")), "{:?}", mail.recipients);
    let text = mail.text();
    for field in fields.iter().chain(&[
        "From: Mail Delivery System <MAILER-DAEMON@relay.test.example>\r\n",
        "Content-Type: multipart/report; report-type=delivery-status;",
        "Reporting-MTA: dns; relay.test.example\r\n",
        "X-Test-Id: original\r\n",
    ]) {
        assert!(text.contains(field), "no {field:?} in:\n{text}");
    }
}

#[test]
fn a_failure_is_reported() {
    let sink = Sink::start(refusing("bob@rcpt.example", "550 5.1.1 no such user"));
    let (_home, ringmail) = relay_to(&sink);
    let mail = format!("<{SENDER}> RET=HDRS ENVID=QQ314+2B1");
    send(&ringmail, &mail, "<bob@rcpt.example> ORCPT=rfc822;robert@old.example");
    let fields = [
        "Original-Envelope-Id: QQ314+1\r\n",
        "Original-Recipient: rfc822; robert@old.example\r\n",
        "Final-Recipient: rfc822; bob@rcpt.example\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "text/rfc822-headers",
    ];
    assert_report(&sink.wait_for(1)[0], &fields);
    ringmail.wait_for_log("status=bounced", 1);
    ringmail.wait_for_log(": removed", 2);
    assert_eq!(sink.mails().len(), 1, "one report");
}

#[test]
fn a_failure_returns_the_message_where_asked() {
    let sink = Sink::start(refusing("bob@rcpt.example", "550 5.7.1 no"));
    let (_home, ringmail) = relay_to(&sink);
    send(&ringmail, &format!("<{SENDER}> RET=FULL"), "<bob@rcpt.example>");
    let fields = ["Content-Type: message/rfc822\r\n", "Line 0 of original"];
    assert_report(&sink.wait_for(1)[0], &fields);
}

#[test]
fn nobody_is_told_where_nobody_may_be() {
    for (mail, rcpt) in [
        ("<>".to_owned(), "<bob@rcpt.example>"),
        ("<> RET=FULL".to_owned(), "<bob@rcpt.example> NOTIFY=SUCCESS,FAILURE,DELAY"),
        (format!("<{SENDER}>"), "<bob@rcpt.example> NOTIFY=NEVER"),
        (format!("<{SENDER}>"), "<bob@rcpt.example> NOTIFY=SUCCESS"),
    ] {
        let sink = Sink::start(refusing("bob@rcpt.example", "550 5.1.1 no such user"));
        let (_home, ringmail) = relay_to(&sink);
        send(&ringmail, &mail, rcpt);
        ringmail.wait_for_log("status=bounced", 1);
        ringmail.wait_for_log(": removed", 1);
        ringmail.stop();
        assert!(sink.mails().is_empty(), "{mail} {rcpt}: {:?}", sink.mails());
    }
}

#[test]
fn a_report_that_fails_is_dropped() {
    let script = refusing("bob@rcpt.example", "550 5.1.1 no such user")
        .always("alice@sender.example", support::sink::Turn::Reply("550 5.1.1 nor her"));
    let sink = Sink::start(script);
    let (_home, ringmail) = relay_to(&sink);
    send(&ringmail, &format!("<{SENDER}>"), "<bob@rcpt.example>");
    ringmail.wait_for_log("status=bounced", 2);
    ringmail.wait_for_log(": removed", 2);
    ringmail.stop();
    assert!(sink.mails().is_empty());
}

#[test]
fn a_message_expires() {
    let sink = Sink::start(refusing("bob@rcpt.example", "451 4.3.0 not today"));
    let mut settings = Settings::route(&[sink.address]);
    settings.retry = ["200ms", "400ms", "0s", "1500ms"];
    let (_home, ringmail) = start(&settings);
    send(&ringmail, &format!("<{SENDER}>"), "<bob@rcpt.example>");
    let fields = ["Action: failed\r\n", "451 4.3.0 not today"];
    assert_report(&sink.wait_for(1)[0], &fields);
    ringmail.wait_for_log("status=expired", 1);
    ringmail.wait_for_log(": removed", 2);
    assert_eq!(sink.mails().len(), 1, "one report");
}

#[test]
fn a_delay_is_told_once() {
    let sink = Sink::start(refusing("bob@rcpt.example", "451 4.3.0 not today"));
    let mut settings = Settings::route(&[sink.address]);
    settings.retry = ["200ms", "300ms", "500ms", "1h"];
    let (_home, ringmail) = start(&settings);
    send(&ringmail, &format!("<{SENDER}>"), "<bob@rcpt.example>");
    let fields = ["Action: delayed\r\n", "Will-Retry-Until: ", "451 4.3.0 not today"];
    assert_report(&sink.wait_for(1)[0], &fields);
    let attempts = ringmail.log().matches("status=deferred").count();
    ringmail.wait_for_log("status=deferred", attempts + 3);
    assert_eq!(sink.mails().len(), 1, "one notice");
    sink.set(Script::default());
    assert!(sink.wait_for(2)[1].from.starts_with(&format!("<{SENDER}>")));
}

#[test]
fn a_success_is_reported_where_the_next_hop_will_not() {
    let sink = Sink::start(Script::with_keywords(&["PIPELINING"]));
    let (_home, ringmail) = relay_to(&sink);
    send(&ringmail, &format!("<{SENDER}>"), "<bob@rcpt.example> NOTIFY=SUCCESS,FAILURE");
    let mails = sink.wait_for(2);
    let report = mails.iter().find(|mail| mail.from.starts_with("<>")).unwrap();
    assert_report(report, &["Action: relayed\r\n", "Status: 2."]);
}

#[test]
fn a_next_hop_with_dsn_is_asked_to_report() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let mail = format!("<{SENDER}> RET=HDRS ENVID=abc");
    send(&ringmail, &mail, "<bob@rcpt.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@x.example");
    let mail = &sink.wait_for(1)[0];
    assert!(mail.from.contains(" RET=HDRS") && mail.from.contains(" ENVID=abc"), "{}", mail.from);
    let rcpt = &mail.recipients[0];
    assert!(rcpt.contains(" NOTIFY=SUCCESS,FAILURE"), "{rcpt}");
    assert!(rcpt.contains(" ORCPT=rfc822;b@x.example"), "{rcpt}");
    ringmail.wait_for_log(": removed", 1);
    ringmail.stop();
    assert_eq!(sink.mails().len(), 1, "no report of ours");
}
