//! How long a command line takes: found, cut out and parsed.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use ringmail::smtp::{command, line::Lines};

fn lines(c: &mut Criterion) {
    for (name, line) in [
        (
            "MAIL with five parameters",
            "MAIL FROM:<alice@example.org> SIZE=4096 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=Q3\r\n",
        ),
        ("MAIL", "MAIL FROM:<alice@example.org> SIZE=4096\r\n"),
        ("RCPT", "RCPT TO:<bob@example.net>\r\n"),
        (
            "RCPT with DSN",
            "RCPT TO:<b@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@c.example\r\n",
        ),
        ("NOOP", "NOOP\r\n"),
    ] {
        let (text, mut lines) = (Bytes::from(line), Lines::default());
        c.bench_function(&format!("command/{name}"), |b| {
            b.iter(|| lines.next(&mut text.clone(), command::parse));
        });
    }
}

criterion_group!(benches, lines);
criterion_main!(benches);
