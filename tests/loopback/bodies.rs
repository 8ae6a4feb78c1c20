//! A body leaves octet for octet as it came, below exactly one new `Received:` field.

use super::{relay_to, support};
use support::{
    sink::{Mail, Script, Sink},
    source::{Client, RECIPIENT, SENDER, deliver, numbered},
};

const CHUNKING: &[&str] = &["PIPELINING", "8BITMIME", "CHUNKING"];

fn assert_relayed(mail: &Mail, body: &[u8]) {
    let (trace, rest) = mail.split_trace();
    assert!(trace.starts_with("Received: from client.example"), "{trace}");
    assert!(trace.contains("by relay.test.example"), "{trace}");
    assert!(rest == body, "{} octets came out, {} went in", rest.len(), body.len());
}

#[test]
fn data_leaves_as_it_came() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let long_line = [b"Long: ".as_slice(), &[b'x'; 990], b"\r\n"].concat();
    let bodies: &[&[u8]] = &[
        b"Subject: usual\r\n\r\nText.\r\n",
        b"",
        b"\r\n",
        b"no header at all\r\n",
        b".\r\n..\r\n.one dot\r\n\r\n...three\r\n.\r\n",
        b"Received: from elsewhere\r\n\tby there\r\nSubject: x\r\n\r\nReceived: no\r\n",
        b"Subject: octets\r\n\r\n\x00\x01\x7f\x80\xff \t trailing \t\r\n",
        b"Subject: =?utf-8?q?x?=\r\nBcc: stays@example.org\r\n\r\n\xc3\xa4\r\n",
        &long_line,
    ];
    for (index, body) in bodies.iter().enumerate() {
        deliver(ringmail.smtp, body);
        let mails = sink.wait_for(index + 1);
        assert_relayed(&mails[index], body);
        assert!(mails[index].from.starts_with(&format!("<{SENDER}>")), "{}", mails[index].from);
        assert_eq!(mails[index].recipients.len(), 1);
        assert!(mails[index].recipients[0].starts_with(&format!("<{RECIPIENT}>")));
    }
    assert_eq!(sink.mails().len(), bodies.len(), "no second copies");
}

#[test]
fn one_transaction_carries_many_recipients() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let rcpts: Vec<String> = (0..80).map(|n| format!("<user{n}@rcpt.example>")).collect();
    let rcpts: Vec<&str> = rcpts.iter().map(String::as_str).collect();
    let body = numbered("many", 500);
    let mut client = Client::connect(ringmail.smtp);
    let reply = client.send(&format!("<{SENDER}>"), &rcpts, &body).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    let mails = sink.wait_for(1);
    assert_relayed(&mails[0], &body);
    let got: Vec<&str> =
        mails[0].recipients.iter().filter_map(|rcpt| rcpt.split(' ').next()).collect();
    assert_eq!(got, rcpts);
}

#[test]
fn commands_may_be_pipelined() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let mut client = Client::connect(ringmail.smtp);
    let twice = "MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\nRSET\r\nNOOP\r\n\
                 MAIL FROM:<c@sender.example>\r\nRCPT TO:<d@rcpt.example>\r\nDATA\r\n";
    client.write(twice.as_bytes()).unwrap();
    for code in ["250", "250", "250", "250", "250", "250", "354"] {
        let reply = client.reply().unwrap();
        assert!(reply.starts_with(code), "{reply}");
    }
    // The next transaction waits in the pipeline behind this one's commit.
    let next = "MAIL FROM:<e@sender.example>\r\nRCPT TO:<f@rcpt.example>\r\nDATA\r\n";
    client.write(format!("X: 1\r\n\r\nfirst\r\n.\r\n{next}").as_bytes()).unwrap();
    for code in ["250 2.0.0", "250", "250", "354"] {
        let reply = client.reply().unwrap();
        assert!(reply.starts_with(code), "{reply}");
    }
    client.write(b"X: 2\r\n\r\nsecond\r\n.\r\nQUIT\r\n").unwrap();
    assert!(client.reply().unwrap().starts_with("250 2.0.0"));
    assert!(client.reply().unwrap().starts_with("221"));
    assert!(client.is_closed());
    let mails = sink.wait_for(2);
    for (from, body) in
        [("<c@sender", "X: 1\r\n\r\nfirst\r\n"), ("<e@sender", "X: 2\r\n\r\nsecond\r\n")]
    {
        let mail = mails.iter().find(|mail| mail.from.starts_with(from)).unwrap();
        assert_relayed(mail, body.as_bytes());
    }
}

#[test]
fn chunks_leave_as_chunks_or_as_data() {
    let chunking = Sink::start(Script::with_keywords(CHUNKING));
    let plain = Sink::start(Script::with_keywords(&["PIPELINING", "8BITMIME"]));
    let bodies: &[(&[u8], usize)] = &[
        (b"Subject: chunks\r\n\r\n.\r\n..two\r\nend\r\n", 7),
        (b"Subject: no last line end\r\n\r\n.\r\nend", 1000),
        (b"x", 1),
        (b".", 1),
        (b"", 1),
    ];
    for sink in [&chunking, &plain] {
        let (_home, ringmail) = relay_to(sink);
        for (index, (body, chunk)) in bodies.iter().enumerate() {
            let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
            let mut client = Client::connect(ringmail.smtp);
            assert!(client.hello.contains("CHUNKING"), "{}", client.hello);
            let reply = client.send_chunks(&mail, &rcpt, body, *chunk).unwrap();
            assert!(reply.starts_with("250 2.0.0"), "{reply}");
            let mails = sink.wait_for(index + 1);
            assert_eq!(mails[index].by_bdat, std::ptr::eq(sink, &chunking));
            // DATA has no way to carry a last line without its CRLF (RFC 3030 §3).
            let mut want = body.to_vec();
            if !mails[index].by_bdat && !want.is_empty() && !want.ends_with(b"\r\n") {
                want.extend_from_slice(b"\r\n");
            }
            assert_relayed(&mails[index], &want);
        }
    }
}

#[test]
fn data_stays_data_where_the_next_hop_offers_chunking() {
    let sink = Sink::start(Script::with_keywords(CHUNKING));
    let (_home, ringmail) = relay_to(&sink);
    let body = b"Subject: dots\r\n\r\n.\r\n.x\r\n";
    deliver(ringmail.smtp, body);
    assert_relayed(&sink.wait_for(1)[0], body);
}

#[test]
fn twenty_mebibytes() {
    let sink = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    let mut body = b"Subject: long\r\n\r\n".to_vec();
    for line in 0u64.. {
        // No two lines are alike, and many start with a dot.
        let mixed = line.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let dot = if mixed >> 60 == 0 { "." } else { "" };
        body.extend_from_slice(format!("{dot}{line} {mixed:x} and more text\r\n").as_bytes());
        if body.len() > 20 << 20 {
            break;
        }
    }
    deliver(ringmail.smtp, &body);
    assert_relayed(&sink.wait_for(1)[0], &body);
}
