//! The harness proves itself: source against sink, and the toy DNS server, without the binary.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};

use super::support;
use support::{
    dns::{Data, Dns, Transport, Zone},
    fresh_address,
    sink::{Script, Sink, Turn},
    source::{Client, Load, numbered},
};

#[test]
fn the_sink_keeps_what_the_source_sends() {
    let sink = Sink::start(Script::default());
    let mut client = Client::connect(sink.address);
    assert!(client.hello.contains("PIPELINING"), "{}", client.hello);
    let bodies: &[&[u8]] = &[b"", b".\r\n..\r\nx\r\n.y\r\n", b"\r\n", b"a\r\n\xff\r\n"];
    for body in bodies {
        let reply = client.send("<a@x> SIZE=9", &["<b@y>", "<c@z>"], body).unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
    for (index, body) in bodies.iter().enumerate() {
        let reply = client.send_chunks("<a@x>", "<b@y>", body, 2).unwrap();
        assert!(reply.starts_with("250"), "{index}: {reply}");
    }
    let mails = sink.mails();
    for (mail, body) in mails.iter().zip(bodies.iter().chain(bodies)) {
        assert_eq!(mail.body, *body);
    }
    assert_eq!(mails[0].from, "<a@x> SIZE=9");
    assert_eq!(mails[0].recipients, ["<b@y>", "<c@z>"]);
    assert!(!mails[3].by_bdat && mails[4].by_bdat);
}

#[test]
fn the_sink_does_what_its_script_says() {
    let turns = [Turn::Reply("450 4.2.0 later"), Turn::Reset, Turn::Close];
    let script = Script::default().recipient("b@y", &turns).always("c@y", Turn::Reply("550 no"));
    let mut sink = Sink::start(script);
    let body = numbered("7", 300);
    let mut client = Client::connect(sink.address);
    assert_eq!(client.send("<a@x>", &["<b@y>"], &body).unwrap(), "450 4.2.0 later");
    assert_eq!(client.send("<a@x>", &["<c@y>"], &body).unwrap(), "550 no");
    for _ in 0..2 {
        let mut client = Client::connect(sink.address);
        assert!(client.send("<a@x>", &["<b@y>"], &body).is_err());
    }
    let mid_data = [(100, Turn::Reset)].into();
    sink.set(Script { mid_data, ..Script::default() });
    assert!(Client::connect(sink.address).send("<a@x>", &["<b@y>"], &body).is_err());
    assert!(sink.mails().is_empty());
    sink.go_down();
    assert!(Client::try_connect(sink.address).is_err());
    sink.come_up();
    let load = Load::new("load", 50);
    load.run(sink.address, 4, 500);
    assert_eq!(load.acknowledged().len(), 50);
    assert!(Sink::ids(&sink.wait_for(50)).values().all(|&times| times == 1));
}

#[test]
fn the_zone_answers() {
    let address = fresh_address();
    let records = [
        ("a.example", Data::Mx(10, "b.example")),
        ("b.example", Data::Address(address)),
        ("c.example", Data::Alias("b.example")),
        ("d.example", Data::Nothing),
        ("e.example", Data::Mx(0, ".")),
    ];
    let (truncated, broken) = (vec!["a.example"], vec!["f.example"]);
    let dns = Dns::start(Zone { truncated, broken, ..Zone::new(&records) });
    for (name, kind, code, answers) in [
        ("A.example.", RecordType::MX, ResponseCode::NoError, 1),
        ("b.example.", RecordType::A, ResponseCode::NoError, 1),
        ("b.example.", RecordType::AAAA, ResponseCode::NoError, 0),
        ("c.example.", RecordType::A, ResponseCode::NoError, 2),
        ("d.example.", RecordType::MX, ResponseCode::NoError, 0),
        ("e.example.", RecordType::MX, ResponseCode::NoError, 1),
        ("f.example.", RecordType::MX, ResponseCode::ServFail, 0),
        ("g.example.", RecordType::MX, ResponseCode::NXDomain, 0),
    ] {
        let mut question = Message::new(7, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let question = question.to_vec().unwrap();
        let mut answer = by_datagram(&dns, &question);
        if answer.metadata.truncation {
            assert_eq!(name, "A.example.");
            answer = by_stream(&dns, &question);
        }
        assert_eq!(answer.metadata.id, 7);
        assert_eq!(answer.metadata.response_code, code, "{name}");
        assert_eq!(answer.answers.len(), answers, "{name}");
    }
    assert_eq!(dns.asked("a.example", RecordType::MX, Transport::Stream), 1);
}

fn by_datagram(dns: &Dns, question: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.send_to(question, dns.address).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    Message::from_vec(&answer[..length]).unwrap()
}

fn by_stream(dns: &Dns, question: &[u8]) -> Message {
    let mut stream = TcpStream::connect(dns.address).unwrap();
    stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(question).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}
