//! The disk says no: an operation that fails ends the process before anything false is said, and
//! a full disk is told to clients and survived.
//!
//! `RINGMAIL_PROOF_DISK_ERRORS=300` makes the proof as long as a release wants it.

use std::os::unix::process::ExitStatusExt;

use super::{
    disk::{Chance, Deed, Disk, KINDS, Kind, Taken},
    support::{
        PATIENCE,
        binary::{Ended, Home, Ringmail, Settings},
        eventually,
        ledger::Ledger,
        proof_size,
        sink::{Script, Sink},
        source::{Client, Load, RECIPIENT, SENDER, deliver, numbered},
    },
};

const BROKEN: Deed = Deed::Fail(libc::EIO);

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
        let ringmail = disk.start(&home, &what);
        let load = Load::new(&format!("error{round}"), usize::MAX);
        disk.arm(kind, number, 1, BROKEN);
        load.run(ringmail.smtp, 6, 3000);
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

