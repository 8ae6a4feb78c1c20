//! The disk says no: an operation that fails ends the process before anything false is said, and
//! a full disk is told to clients and survived.
//!
//! `RINGMAIL_PROOF_DISK_ERRORS=300` makes the proof as long as a release wants it.

use super::{
    disk::{Chance, Deed, Disk, KINDS, Kind, Taken},
    support::{
        PATIENCE,
        binary::{Ended, Home, Ringmail, Settings},
        eventually,
        ledger::Ledger,
        proof_size,
        sink::{Script, Sink},
        source::{Client, Load, RECIPIENT, SENDER, numbered},
    },
};

const BROKEN: Deed = Deed::Fail(libc::EIO);
const FULL: Deed = Deed::Fail(libc::ENOSPC);

#[test]
fn an_operation_that_fails_ends_the_process_and_loses_nothing_acknowledged() {
    let errors = proof_size("RINGMAIL_PROOF_DISK_ERRORS", 9);
    let mut chance = Chance(proof_size("RINGMAIL_PROOF_SEED", 1) as u64);
    let mut sink = Sink::start(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let disk = Disk::below(&home);
    let mut ledger = Ledger::default();
    for round in 0..errors {
        // After a failed sync the kernel takes for clean what it could not write: all of it
        // counts as gone, now and then a part of it.
        let taken = [Taken::All, Taken::All, Taken::Sectors(50)][round / 3 % 3];
        let (kind, number) = (KINDS[round % 3], 1 + chance.below(40));
        let what = format!("round {round}, {kind:?} {number}, {taken:?}");
        if round % 2 == 0 {
            sink.go_down()
        } else {
            sink.come_up()
        }
        let mut ringmail = disk.start(&home, &what);
        let load = Load::new(&format!("error{round}"), 3000);
        disk.arm(kind, number, 1, BROKEN);
        ringmail.keep_busy(&load, |_| 3000);
        let Ended { status, said } = ringmail.wait_for_ending();
        assert_eq!(status.code(), Some(1), "{what}: {status}\n{said}");
        for sentence in ["cannot be written: Input/output error", "start again"] {
            assert!(said.contains(sentence), "{what}: no {sentence:?} in\n{said}");
        }
        disk.lose(taken, &mut chance);
        ledger.enter(&load);
        ledger.receive(&sink);
    }
    sink.come_up();
    let last = home.start();
    ledger.settle(&sink, 4 * PATIENCE);
    last.stop();
    println!("{errors} disk errors, {ledger}");
}

#[test]
fn an_operation_that_fails_at_the_first_start_ends_it_with_a_sentence() {
    for kind in KINDS {
        let home = Home::new(&Settings::route(&[([127, 0, 0, 1], 1).into()]));
        let disk = Disk::below(&home);
        disk.arm(kind, 1, 1, BROKEN);
        let Err(Ended { status, said }) = home.try_start(&disk.under()) else {
            panic!("{kind:?}: the store was not written");
        };
        assert_eq!(status.code(), Some(1), "{kind:?}: {status}\n{said}");
        assert!(said.contains("cannot be opened: Input/output error"), "{kind:?}: {said}");
        disk.lose(Taken::All, &mut Chance(5));
        disk.start(&home, "an error at the first start").stop();
    }
}

/// A disk that is full for a while: what was taken is kept, the next is refused, and when there is
/// room again nobody has to start anything.
#[test]
fn a_full_disk_refuses_mail_for_a_while() {
    // LMDB makes EIO of a write that the full disk cuts short.
    for deed in [FULL, Deed::Short] {
        let mut sink = Sink::down(Script::default());
        let home = Home::new(&Settings::route(&[sink.address]));
        let disk = Disk::below(&home);
        let mut ringmail = disk.start(&home, "a new store");
        let before = Load::new("before", 20);
        before.run(ringmail.smtp, 2, 3000);
        disk.arm(Kind::Write, 1, u64::MAX, deed);
        let during = Load::new("during", 20);
        during.run(ringmail.smtp, 2, 3000);
        assert_eq!(during.acknowledged(), Vec::<String>::new(), "{deed:?}");
        let reply = send(&ringmail, "refused");
        assert!(reply.starts_with("452 4.3.1 "), "{deed:?}: {reply}");
        ringmail.wait_for_log("has no room", 1);
        sink.come_up();
        disk.disarm();
        eventually("mail is taken again", || {
            send(&ringmail, "after").starts_with("250 ").then_some(())
        });
        ringmail.wait_for_log("has room again", 1);
        sink.wait_until(PATIENCE, "all that was taken", |mails| {
            let ids = Sink::ids(mails);
            ids.contains_key("after") && before.acknowledged().iter().all(|id| ids[id] == 1)
        });
        assert!(ringmail.is_running() && disk.fired() > 0);
        ringmail.wait_for_log("removed", 21);
        ringmail.stop();
    }
}

fn send(ringmail: &Ringmail, id: &str) -> String {
    let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
    let body = numbered(id, 3000);
    Client::connect(ringmail.smtp).send(&mail, &[&rcpt], &body).unwrap()
}
