//! Bad input on the wire of IMAP: each ends in a clear word or goes on, memory stays bounded, and
//! the server serves others.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use socket2::{Domain, Socket, Type};

use super::{
    home_of, id_of,
    support::{
        PATIENCE,
        binary::{Home, Ringmail},
        eventually, fresh_address,
        imap::{Imap, Said, Untagged},
        source::numbered,
    },
};

const ANN: &str = "ann@x.example";
const MIB: usize = 1024 * 1024;

/// What all bad clients of one test together may cost.
const MEMORY_MAX: u64 = 48 * MIB as u64;

/// A server, its port for IMAP, and its memory before anything bad has come.
fn server() -> (Home, Ringmail, SocketAddr, u64) {
    let home = home_of(&[ANN]);
    let ringmail = home.start();
    let imap = ringmail.port_of("imap");
    let reply = Imap::login(imap, ANN).append("INBOX", "", &numbered("before", 3000)).unwrap();
    assert_eq!(reply.status, "OK", "{}", reply.text);
    let memory = ringmail.memory();
    (home, ringmail, imap, memory)
}

/// The server lives, what was there is there, and memory is bounded.
fn lives(mut ringmail: Ringmail, imap: SocketAddr, memory: u64) {
    assert!(ringmail.is_running());
    let mut client = Imap::login(imap, ANN);
    client.must("SELECT INBOX");
    let reply = client.must("FETCH 1 BODY.PEEK[]");
    assert_eq!(id_of(reply.fetched().next().unwrap().text()), "before");
    let grown = ringmail.memory().saturating_sub(memory);
    println!("memory has grown by {} KiB", grown / 1024);
    assert!(grown < MEMORY_MAX, "{grown} octets more");
    drop(client);
    ringmail.stop();
}

/// Writes all, says that this was all, and hears everything.
fn converse(client: &mut Imap, octets: &[Vec<u8>]) -> Vec<u8> {
    let mut reader = client.stream().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            octets.iter().for_each(|piece| client.write(piece).unwrap());
            client.close_writing();
        });
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).unwrap();
        heard
    })
}

/// Writes until all is written or the server has closed, reading what it says meanwhile.
fn flood(client: &mut Imap, octets: impl Iterator<Item = Vec<u8>> + Send) -> Vec<u8> {
    let mut writer = client.stream().try_clone().unwrap();
    let mut reader = client.stream().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for piece in octets {
                if writer.write_all(&piece).is_err() {
                    return;
                }
            }
        });
        let mut heard = Vec::new();
        let _ = reader.read_to_end(&mut heard);
        heard
    })
}

#[test]
fn what_is_endless_ends_with_a_word() {
    let (_home, ringmail, imap, memory) = server();
    let piece = |octet: u8| vec![octet; MIB];
    for (what, first, pieces, logged_in) in [
        ("a stranger's line", "", 16, false),
        ("a stranger's literal", "a LOGIN {4000000000+}\r\n", 16, false),
        ("a line", "", 128, true),
        ("a literal", "a SELECT {4000000000+}\r\n", 128, true),
        ("a literal of more than 64 bits", "a SELECT {99999999999999999999+}\r\n", 128, true),
        ("a message", "a APPEND INBOX {4000000000+}\r\n", 128, true),
        ("an ID", "a ID (\"a\" {4000000000+}\r\n", 128, true),
    ] {
        let mut client = if logged_in { Imap::login(imap, ANN) } else { Imap::connect(imap) };
        let flood_of =
            [first.as_bytes().to_vec()].into_iter().chain((0..pieces).map(|_| piece(b'a')));
        let began = Instant::now();
        let said = String::from_utf8_lossy(&flood(&mut client, flood_of)).into_owned();
        let word = ["BAD ", "NO ", "BYE "].iter().any(|word| said.contains(word));
        // The word is lost where the kernel resets a connection with octets unread.
        println!("{what}: {said:?} after {:?}", began.elapsed());
        assert!(word || said.is_empty(), "{what}: {said}");
    }
    lives(ringmail, imap, memory);
}

#[test]
fn a_message_that_is_too_big_is_declined_and_the_session_goes_on() {
    let (_home, ringmail, imap, memory) = server();
    let mut client = Imap::login(imap, ANN);
    let tag = client.begin("APPEND INBOX {900000000}").unwrap();
    let reply = client.finish(&tag).unwrap();
    assert!(reply.status == "NO" && reply.text.starts_with("[TOOBIG] "), "{reply:?}");
    let reply = client.append("INBOX", "", &vec![b'a'; 52 * MIB]).unwrap();
    assert!(reply.status == "NO" && reply.text.starts_with("[TOOBIG] "), "{reply:?}");
    let reply = client.append("Nowhere", "", &numbered("nowhere", 5 * MIB)).unwrap();
    assert!(reply.status == "NO" && reply.text.starts_with("[TRYCREATE] "), "{reply:?}");
    let reply = client.append("INBOX", "", &numbered("fits", 5 * MIB)).unwrap();
    assert_eq!(reply.status, "OK", "{reply:?}");
    // One that goes away within its message has appended nothing.
    let mut gone = Imap::login(imap, ANN);
    gone.begin("APPEND INBOX {9000000+}").unwrap();
    gone.write(&vec![b'a'; 4 * MIB]).unwrap();
    drop(gone);
    let status = client.must("STATUS INBOX (MESSAGES)");
    assert!(status.untagged.contains(&Untagged::Other("STATUS INBOX (MESSAGES 2)".into())));
    lives(ringmail, imap, memory);
}

#[test]
fn messages_without_reason_can_be_listed_searched_and_read() {
    let (_home, ringmail, imap, memory) = server();
    let mut client = Imap::login(imap, ANN);
    let messages = unreasonable();
    for (what, message) in &messages {
        let reply = client.append("INBOX", "", message).unwrap();
        assert_eq!(reply.status, "OK", "{what}: {}", reply.text);
    }
    client.must("SELECT INBOX");
    for (number, (what, message)) in (2..).zip(&messages) {
        let began = Instant::now();
        client.must(&format!("FETCH {number} (ENVELOPE BODYSTRUCTURE RFC822.SIZE)"));
        let deep = vec!["1"; 60].join(".");
        for section in ["HEADER", "TEXT", "1", "1.1.1", "1.MIME", "2.2", &deep] {
            client.must(&format!("FETCH {number} BODY.PEEK[{section}]"));
        }
        let reply = client.must(&format!("FETCH {number} BODY.PEEK[]"));
        // RFC 9051 §9: a literal holds no NUL.
        let shown = message.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet });
        assert!(shown.eq(reply.fetched().next().unwrap().text().iter().copied()), "{what}");
        for key in ["TEXT nowhere", "BODY nowhere", "SUBJECT nowhere", "HEADER X-Y z"] {
            let reply = client.must(&format!("SEARCH {number} {key}"));
            assert_eq!(reply.untagged, [Untagged::Search(Vec::new())], "{what}");
        }
        let took = began.elapsed();
        println!("{what}: {} octets, {took:?}", message.len());
        assert!(took < PATIENCE, "{what}: {took:?}");
    }
    lives(ringmail, imap, memory);
}

/// Messages that no program should have made.
fn unreasonable() -> Vec<(&'static str, Vec<u8>)> {
    let multipart = |boundary: &str| {
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n")
    };
    let deep = (0..3000).map(|level| multipart(&format!("b{level}"))).collect::<String>();
    let cyclic = multipart("same").repeat(3000);
    let within = "Content-Type: message/rfc822\r\n\r\n".repeat(10_000);
    let parts = multipart("p") + &"\r\n--p\r\n".repeat(100_000);
    let fields = (0..40_000).map(|n| format!("X-{n}: a field\r\n")).collect::<String>();
    let addresses = format!("To: {}z@z.example\r\n\r\nx", "a <b@c.example>, ".repeat(60_000));
    let parameters = format!("Content-Type: text/plain{}\r\n\r\nx", "; a=\"b\"".repeat(100_000));
    let words = format!("Subject: {}\r\n\r\nx", "=?utf-8?q?=C3?= ".repeat(60_000));
    vec![
        ("deep", deep.into()),
        ("cyclic", cyclic.into()),
        ("messages within", within.into()),
        ("many parts", parts.into()),
        ("many fields", fields.into()),
        ("many addresses", addresses.into()),
        ("many parameters", parameters.into()),
        ("encoded words", words.into()),
        ("a field that never ends", [b"Subject: ".to_vec(), vec![b'a'; 2 * MIB]].concat()),
        ("NULs and newlines alone", [&b"\0\n\r\r\n\0:"[..]; 40_000].concat()),
        ("base64 that is none", {
            let head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n";
            [&head[..], &[b'='; 200_000]].concat()
        }),
    ]
}

#[test]
fn pipelined_commands_are_answered_in_their_order() {
    const COMMANDS: usize = 5000;
    let (_home, ringmail, imap, memory) = server();
    let mut client = Imap::login(imap, ANN);
    client.write(b"a SELECT INBOX\r\nb IDLE\r\nDONE\r\nc IDLE\r\nDONE\r\nd NOOP\r\n").unwrap();
    for tag in ["a", "b", "c", "d"] {
        assert_eq!(client.finish(tag).unwrap().status, "OK", "{tag}");
    }
    let commands = (0..COMMANDS).map(|number| match number % 4 {
        0 => format!("p{number} NOOP\r\n"),
        1 => format!("p{number} FETCH 1 (UID FLAGS)\r\n"),
        2 => format!("p{number} STORE 1 {}FLAGS (k)\r\n", if number % 8 == 2 { "+" } else { "-" }),
        _ => format!("p{number} UID SEARCH ALL\r\n"),
    });
    let commands = commands.collect::<String>();
    let mut writer = client.stream().try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(commands.as_bytes()).unwrap());
        for number in 0..COMMANDS {
            assert_eq!(client.finish(&format!("p{number}")).unwrap().status, "OK");
        }
    });
    // Too many that are none end the session.
    client.write("nonsense\r\n".repeat(1000).as_bytes()).unwrap();
    assert!(client.is_closed());
    lives(ringmail, imap, memory);
}

#[test]
fn a_client_that_stops_reading_costs_little_and_may_go_on() {
    const MESSAGES: usize = 30;
    const CLIENTS: usize = 20;
    let (_home, ringmail, imap, _) = server();
    let mut client = Imap::login(imap, ANN);
    for number in 0..MESSAGES {
        let body = numbered(&format!("big-{number}"), 2 * MIB);
        assert_eq!(client.append("INBOX", "", &body).unwrap().status, "OK");
    }
    let memory = ringmail.memory();
    let mut lazy: Vec<(Imap, String)> = (0..CLIENTS)
        .map(|_| {
            let mut client = Imap::login(imap, ANN);
            client.must("SELECT INBOX");
            let tag = client.begin("FETCH 1:* (UID BODY.PEEK[])").unwrap();
            (client, tag)
        })
        .collect();
    // Others are served, and by then all that are lazy have what they are going to get.
    for _ in 0..20 {
        client.must("SELECT INBOX");
        let reply = client.must("FETCH 2 BODY.PEEK[]");
        assert_eq!(id_of(reply.fetched().next().unwrap().text()), "big-0");
    }
    let grown = ringmail.memory().saturating_sub(memory);
    println!("{CLIENTS} clients that do not read: {} KiB each", grown / 1024 / CLIENTS as u64);
    assert!(grown < MEMORY_MAX, "{grown} octets more");
    let (mut first, tag) = lazy.pop().unwrap();
    let reply = first.finish(&tag).unwrap();
    let ids: Vec<String> = reply.fetched().map(|fetched| id_of(fetched.text())).collect();
    assert_eq!((ids.len(), &*ids[MESSAGES]), (MESSAGES + 1, "big-29"));
    drop(lazy);
    eventually("the others are let go", || (ringmail.open_descriptors() < 60).then_some(()));
    lives(ringmail, imap, memory);
}

#[test]
fn a_client_that_has_said_its_last_word_is_let_go() {
    let (_home, ringmail, imap, memory) = server();
    for said in
        ["", "a NOOP\r\n", "a SELECT INBOX\r\nb FETCH 1 BODY.PEEK[]\r\n", "a IDLE\r\n", "a FE"]
    {
        let mut client = Imap::login(imap, ANN);
        client.write(said.as_bytes()).unwrap();
        client.close_writing();
        let mut heard = Vec::new();
        let ended = client.stream().read_to_end(&mut heard);
        println!("{said:?}: {ended:?}, {}", String::from_utf8_lossy(&heard).lines().count());
        assert!(ended.is_ok(), "{said:?}: {ended:?}");
    }
    eventually("none is left", || (ringmail.open_descriptors() < 60).then_some(()));
    lives(ringmail, imap, memory);
}

#[test]
fn a_wrong_password_takes_as_long_for_a_name_that_nobody_has() {
    const EACH: usize = 12;
    let (_home, ringmail, imap, memory) = server();
    let attempt = |user: &str| {
        let mut client = connect_from_elsewhere(imap).unwrap();
        let began = Instant::now();
        let reply = ask(&mut client, &format!("a LOGIN {user} wrong\r\n"), "a ").unwrap();
        assert!(reply.contains("a NO [AUTHENTICATIONFAILED] "), "{reply}");
        began.elapsed()
    };
    let sorted = |mut times: Vec<Duration>| {
        times.sort_unstable();
        (times[0], times[times.len() / 2])
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..EACH {
        known.push(attempt(ANN));
        unknown.push(attempt(&format!("u{number}@x.example")));
    }
    let (known, unknown) = (sorted(known), sorted(unknown));
    println!("shortest and median, one after the other: known {known:?}, unknown {unknown:?}");
    // The shortest ones, and no closer, as others use the machine too: a hash that is not made
    // would take a hundredth.
    let ratio = known.0.as_secs_f64() / unknown.0.as_secs_f64();
    assert!((0.25..4.0).contains(&ratio), "{known:?} and {unknown:?}");
    let names = (0..2 * EACH).map(|number| match number % 2 {
        0 => ANN.to_owned(),
        _ => format!("p{number}@x.example"),
    });
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let attempt = &attempt;
    thread::scope(|scope| {
        let running: Vec<_> =
            names.map(|name| (name == ANN, scope.spawn(move || attempt(&name)))).collect();
        for (is_known, time) in running {
            if is_known { &mut known } else { &mut unknown }.push(time.join().unwrap());
        }
    });
    let (known, unknown) = (sorted(known).1, sorted(unknown).1);
    println!("medians, {} at once: known {known:?}, unknown {unknown:?}", 2 * EACH);
    lives(ringmail, imap, memory);
}

/// From an address of its own, so that no other client's failures count.
fn connect_from_elsewhere(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(fresh_address(), 0).into())?;
    socket.connect(&server.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(2 * PATIENCE))?;
    ask(&mut stream, "", "* OK")?;
    Ok(stream)
}

/// Hears up to the end of a line that begins with `end`.
fn ask(stream: &mut TcpStream, command: &str, end: &str) -> io::Result<String> {
    stream.write_all(command.as_bytes())?;
    let (mut heard, mut octet) = (String::new(), [0]);
    while !heard.ends_with("\r\n") || !heard.lines().any(|line| line.starts_with(end)) {
        stream.read_exact(&mut octet)?;
        heard.push(char::from(octet[0]));
    }
    Ok(heard)
}

#[test]
fn compressed_octets_that_swell_are_bounded() {
    let (_home, ringmail, imap, memory) = server();
    let line = vec![b'a'; MIB];
    let noops = b"a NOOP\r\n".repeat(MIB / 8);
    let literal = b"a APPEND INBOX {4000000000+}\r\n".to_vec();
    let zeros = vec![0; MIB];
    for (what, first, piece, count, words) in [
        ("a line", vec![], &line, 1000, 1),
        ("commands", vec![], &noops, 2, 2 * MIB / 8),
        ("a message", literal, &zeros, 1000, 1),
    ] {
        let mut client = Imap::login(imap, ANN);
        client.must("COMPRESS DEFLATE");
        let packed = packed(&first, piece, count);
        let size = packed.len();
        let began = Instant::now();
        let pieces = packed.chunks(64 * 1024).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let heard = match what {
            "commands" => converse(&mut client, &pieces),
            _ => flood(&mut client, pieces.into_iter()),
        };
        println!("{what}: {size} octets, {} heard, {:?}", heard.len(), began.elapsed());
        let word = if what == "commands" { "a OK " } else { "BYE " };
        let heard = unpacked(&heard);
        assert_eq!(heard.matches(word).count(), words, "{what}: {heard:.200}");
    }
    // What is not deflate at all ends the connection.
    let mut client = Imap::login(imap, ANN);
    client.must("COMPRESS DEFLATE");
    client.write(&[0xff; 1000]).unwrap();
    assert!(client.is_closed());
    lives(ringmail, imap, memory);
}

/// What a raw deflate stream stands for.
fn unpacked(packed: &[u8]) -> String {
    let mut inflate = Decompress::new(false);
    let mut plain = Vec::new();
    loop {
        plain.reserve(64 * 1024);
        let (taken, before) = (inflate.total_in() as usize, plain.len());
        inflate.decompress_vec(&packed[taken..], &mut plain, FlushDecompress::Sync).unwrap();
        if inflate.total_in() as usize == taken && plain.len() == before {
            return String::from_utf8(plain).unwrap();
        }
    }
}

/// `first` and `count` times `piece` as raw deflate.
fn packed(first: &[u8], piece: &[u8], count: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut packed = Vec::new();
    for part in [first].into_iter().chain((0..count).map(|_| piece)) {
        let mut rest = part;
        while !rest.is_empty() {
            packed.reserve(64 * 1024);
            let before = deflate.total_in();
            deflate.compress_vec(rest, &mut packed, FlushCompress::None).unwrap();
            rest = &rest[(deflate.total_in() - before) as usize..];
        }
    }
    packed.reserve(64 * 1024);
    deflate.compress_vec(&[], &mut packed, FlushCompress::Sync).unwrap();
    packed
}

#[test]
fn a_session_says_bye_to_one_that_drains() {
    let (_home, ringmail, imap, _) = server();
    let mut idle = Imap::login(imap, ANN);
    idle.must("SELECT INBOX");
    idle.idle().unwrap();
    ringmail.send_sigterm();
    match idle.hear().unwrap() {
        Said::Untagged(Untagged::Other(line)) => assert!(line.starts_with("BYE "), "{line}"),
        other => panic!("{other:?}"),
    }
    assert!(idle.is_closed());
    ringmail.wait_for_end();
}
