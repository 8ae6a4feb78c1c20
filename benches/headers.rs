//! How long the look at a header section takes, and our own field with its date.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringmail::{
    mail::{
        QueueId,
        date::Date,
        header::HeaderScan,
        trace::{Protocol, Received},
    },
    time::Wall,
};

fn headers(c: &mut Criterion) {
    let mut text = String::new();
    for hop in 0..4 {
        text += &format!(
            "Received: from host{hop}.example.org (host{hop}.example.org [192.0.2.{hop}])\r\n\
             \tby mx{hop}.example.net with ESMTPS id 4bXyZ{hop} for <bob@example.net>;\r\n\
             \tMon, 23 Nov 2026 09:05:0{hop} +0000\r\n"
        );
    }
    text += "Message-ID: <20261123090500.12345@mail.example.org>\r\n";
    for field in ["From: Alice <alice@example.org>", "To: bob@example.net", "Subject: a bench"] {
        text += &format!("{field}\r\n");
    }
    text += &format!("DKIM-Signature: v=1; b={}\r\n\r\n", "q".repeat(340));
    let mut group = c.benchmark_group("headers");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("scan", |b| {
        b.iter(|| {
            let mut scan = HeaderScan::default();
            scan.feed(black_box(text.as_bytes()));
            (scan.received(), scan.into_message_id())
        });
    });
    group.finish();
    let field = Received {
        hello: b"client.example",
        client: "192.0.2.7".parse().unwrap(),
        by: "mx.example.org",
        with: Protocol::Esmtp,
        id: QueueId::from_u64(1 << 60),
        recipient: None,
        at: Wall::from_millis(1_795_424_700_000),
    };
    c.bench_function("headers/received field", |b| b.iter(|| black_box(field).to_bytes()));
    let wall = Wall::from_millis(1_795_424_700_000);
    c.bench_function("headers/date", |b| b.iter(|| Date::of(black_box(wall))));
}

criterion_group!(benches, headers);
criterion_main!(benches);
