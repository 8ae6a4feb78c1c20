//! A whole session of one message, and a message on an open session.

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use ringmail::{
    mail::{QueueId, message::QueueIds},
    smtp::server::{
        Context, Pressure, Session, Steps,
        policy::{Options, Role},
    },
    time::{Duration, Now, Wall},
};

fn options() -> Options {
    Options {
        hostname: "mx.example.org".to_owned(),
        message_size_max: 50 << 20,
        recipients_max: 1000,
        command_timeout: Duration::from_secs(300),
        data_timeout: Duration::from_secs(600),
        connections_per_client_max: 100,
        errors_max: 20,
        received_headers_max: 50,
        relay_networks: vec!["127.0.0.0/8".parse().unwrap()],
        relay_domains: Vec::new(),
        local_domains: Default::default(),
        postmaster: None,
    }
}

fn transaction() -> Vec<Bytes> {
    let mut body = String::from("Message-ID: <1@example.org>\r\nSubject: bench\r\n\r\n");
    while body.len() < 4096 {
        body += "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod\r\n";
    }
    body += ".\r\n";
    ["MAIL FROM:<alice@example.org>\r\n", "RCPT TO:<bob@example.net>\r\n", "DATA\r\n", &body]
        .map(|text| Bytes::copy_from_slice(text.as_bytes()))
        .to_vec()
}

fn session(c: &mut Criterion) {
    let options = options();
    let mut ids = QueueIds::new(0, QueueId::MIN);
    let mut cx = Context {
        options: &options,
        now: Now { wall: Wall::from_millis(1_795_424_700_000), ..Now::default() },
        ids: &mut ids,
        pressure: Pressure { free: u64::MAX, memory_short: false, draining: false },
    };
    let client = "127.0.0.1:4711".parse().unwrap();
    let transaction = transaction();
    let hello = Bytes::from_static(b"EHLO client.example\r\n");
    let quit = Bytes::from_static(b"QUIT\r\n");
    let step = |session: Session, bytes: &Bytes, cx: &mut Context| {
        let mut steps = Steps::default();
        let session = session.receive(bytes.clone(), cx, &mut steps);
        (session, steps)
    };
    c.bench_function("session/one message of 4 KiB", |b| {
        b.iter(|| {
            let mut session = Session::new(client, Role::Relay, &mut cx, &mut Steps::default());
            session = step(session, &hello, &mut cx).0;
            for bytes in &transaction {
                session = step(session, bytes, &mut cx).0;
            }
            session = session.stored(Ok(()), &mut cx, &mut Steps::default());
            let (session, steps) = step(session, &quit, &mut cx);
            assert!(session.room().is_none());
            steps
        });
    });
    let mut open = Some(Session::new(client, Role::Relay, &mut cx, &mut Steps::default()));
    open = open.map(|session| step(session, &hello, &mut cx).0);
    c.bench_function("session/one more message of 4 KiB", |b| {
        b.iter(|| {
            let mut session = open.take().unwrap();
            for bytes in &transaction {
                session = step(session, bytes, &mut cx).0;
            }
            open = Some(session.stored(Ok(()), &mut cx, &mut Steps::default()));
        });
    });
}

criterion_group!(benches, session);
criterion_main!(benches);
