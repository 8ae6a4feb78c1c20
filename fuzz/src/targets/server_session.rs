//! The server's session from each of its states: how octets are cut does not matter, and 250 for
//! a message says that it is stored.

use std::sync::LazyLock;

use ringmail::smtp::server::{CommitError, policy::Role};

use super::{
    octets::{cut, seed_of},
    script::{self, Step},
    world::World,
};

const HELLO: &str = "EHLO c.example\r\n";
const MAIL: &str = "MAIL FROM:<a@b.example>\r\n";
const RCPT: &str = "RCPT TO:<c@d.example>\r\n";

/// The way to each state, in the order of `Session`; the first octet of an input chooses.
static STATES: LazyLock<[String; 12]> = LazyLock::new(|| {
    let transaction = [HELLO, MAIL, RCPT].concat();
    let say = |lines: &[&str]| transaction.clone() + &lines.concat();
    [
        String::new(),
        HELLO.into(),
        "HELO c.example\r\n".into(),
        [HELLO, MAIL].concat(),
        say(&[]),
        say(&["DATA\r\n"]),
        // Rows of it are on disk.
        say(&["DATA\r\nSubject: long\r\n", &"0123456789abcdef\r\n".repeat(250)]),
        say(&["BDAT 100\r\n", "some octets\r\n"]),
        say(&["BDAT 5\r\n", "Text."]),
        // Skipping: nobody is to have it.
        [HELLO, MAIL, "BDAT 100 LAST\r\n"].concat(),
        // Committing, of DATA and of BDAT.
        say(&["DATA\r\nSubject: x\r\n\r\nText.\r\n.\r\n"]),
        say(&["BDAT 5 LAST\r\nText."]),
    ]
});

/// Who connects, to what, by the second octet.
const CLIENTS: [(&str, Role); 4] = [
    ("127.0.0.1:9", Role::Relay),
    ("192.0.2.7:9", Role::Relay),
    ("127.0.0.1:9", Role::Submission),
    ("192.0.2.7:9", Role::Submission),
];

/// A longer dialogue is not cut at every octet: that takes long and shows little more.
const EVERY_MAX: usize = 600;

pub fn run(input: &[u8]) {
    let [state, client, dialogue @ ..] = input else { return };
    let steps = script::read(dialogue);
    let play = |cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| play(*state, *client, &steps, cut);
    let whole = play(&|octets| vec![octets.to_vec()]);
    let seed = seed_of(input);
    let some = play(&|octets| cut(octets, seed).into_iter().map(<[u8]>::to_vec).collect());
    assert_eq!(whole.outcome(), some.outcome(), "cuts matter");
    if script::octets(&steps) <= EVERY_MAX {
        let every = play(&|octets| octets.chunks(1).map(<[u8]>::to_vec).collect());
        assert_eq!(whole.outcome(), every.outcome(), "cuts matter");
    }
}

fn play(state: u8, client: u8, steps: &[Step], cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> World {
    let mut world = World::new("mx.example.org");
    let (client, role) = CLIENTS[usize::from(client) % CLIENTS.len()];
    // What only our own users may do others are refused: that is the path to the state then.
    world.greet(client, role);
    world.pressure.memory_short = true;
    world.hear(STATES[usize::from(state) % STATES.len()].as_bytes());
    world.pressure.memory_short = false;
    for step in steps {
        match step {
            Step::Octets(octets) => cut(octets).iter().for_each(|piece| world.hear(piece)),
            Step::Event(event) => happen(&mut world, *event),
        }
        promises_are_kept(&world);
    }
    world.hang_up();
    world
}

/// What comes from elsewhere than the client.
fn happen(world: &mut World, event: u8) {
    match event {
        b'o' => world.stored(Ok(())),
        b'f' => world.stored(Err(CommitError::Full)),
        b'x' => world.stored(Err(CommitError::Failed)),
        b's' => world.spool_failed(),
        b't' => world.timed_out(),
        b'd' => world.drain(),
        b'm' => world.pressure.memory_short ^= true,
        b'z' => world.pressure.free = if world.pressure.free == 0 { 5_000 } else { 0 },
        _ => {}
    }
}

/// As many promises as messages that the store was asked to keep, at most.
fn promises_are_kept(world: &World) {
    assert!(world.promised + usize::from(world.committing.is_some()) <= world.messages.len());
    for (submission, body) in &world.messages {
        assert!(body.starts_with(b"Received: from "), "{:?}", submission.id);
    }
}
