//! The power goes: what was acknowledged is on the disk, whatever the disk had not written yet.
//!
//! `RINGMAIL_PROOF_POWER_CUTS=1000` makes the proof as long as a release wants it.

use std::os::unix::process::ExitStatusExt;

use super::{
    disk::{Chance, Deed, Disk, KINDS, Kind, Taken},
    support::{
        PATIENCE,
        binary::{Ended, Home, Settings},
        eventually,
        ledger::Ledger,
        proof_size,
        sink::{Script, Sink},
        source::{Client, Load, RECIPIENT, SENDER, deliver, numbered},
    },
};

/// More messages than any round needs: a cut that does not come ends a test all the same.
const LOAD_MAX: usize = 3000;

/// When the power goes, and what it takes.
#[derive(Debug)]
struct Plan {
    kind: Kind,
    after: u64,
    deed: Deed,
    taken: Taken,
}

impl Plan {
    fn draw(chance: &mut Chance) -> Self {
        let kind = KINDS[chance.below(3) as usize];
        let deed = [Deed::CutBefore, Deed::CutAfter][chance.below(2) as usize];
        // A commit is many writes, and one of the others.
        let span = if kind == Kind::Write { 400 } else { 60 };
        let taken = match chance.below(6) {
            0 => Taken::All,
            1 => Taken::Nothing,
            2 => Taken::Writes(50),
            3 => Taken::Sectors(50),
            4 => Taken::Sectors(3),
            _ => Taken::Sectors(97),
        };
        Self { kind, after: 1 + chance.below(span), deed, taken }
    }
}

/// Mostly small mail, and some that is spooled ahead of its commit.
fn size(number: usize) -> usize {
    if number % 50 == 49 { 700_000 } else { 300 + 1100 * (number % 7) }
}

#[test]
fn power_cuts_lose_nothing_acknowledged() {
    let cuts = proof_size("RINGMAIL_PROOF_POWER_CUTS", 20);
    let mut chance = Chance(proof_size("RINGMAIL_PROOF_SEED", 1) as u64);
    let mut sink = Sink::start(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let disk = Disk::below(&home);
    let mut ledger = Ledger::default();
    for cut in 0..cuts {
        let plan = Plan::draw(&mut chance);
        // Half of the time nothing can be delivered, so that a cut meets a queue.
        match cut % 4 {
            1 => sink.go_down(),
            3 => sink.come_up(),
            _ => {}
        }
        let mut ringmail = disk.start(&home, &format!("cut {cut}, {plan:?}"));
        disk.arm(plan.kind, plan.after, 1, plan.deed);
        let load = Load::new(&format!("cut{cut}"), LOAD_MAX);
        ringmail.keep_busy(&load, size);
        let Ended { status, said } = ringmail.wait_for_ending();
        assert_eq!(status.signal(), Some(9), "cut {cut}, {plan:?}: {status}\n{said}");
        disk.lose(plan.taken, &mut chance);
        ledger.enter(&load);
        ledger.receive(&sink);
        // Now and then all of it is delivered, so that a loss is found near its cause.
        if cut % 10 == 9 || cut == cuts - 1 {
            sink.come_up();
            let sound = home.start();
            ledger.settle(&sink, 2 * PATIENCE);
            let said = sound.log();
            assert!(!said.contains("damaged") && !said.contains("cannot be read"), "{said}");
            sound.stop();
        }
    }
    println!("{cuts} power cuts, {ledger}");
}

/// A store that is being created: nobody was promised anything, but the next start must find its
/// way.
#[test]
fn a_power_cut_at_the_first_start_leaves_no_store_or_a_sound_one() {
    let mut chance = Chance(2);
    let sink = Sink::start(Script::default());
    let settings = Settings::route(&[sink.address]);
    let mut cuts = 0;
    for kind in KINDS {
        for taken in [Taken::All, Taken::Nothing, Taken::Sectors(50)] {
            for number in 1.. {
                let home = Home::new(&settings);
                let disk = Disk::below(&home);
                disk.arm(kind, number, 1, Deed::CutBefore);
                let what = format!("{kind:?} {number}, {taken:?}");
                match home.try_start(&disk.under()) {
                    // There are not so many operations at a first start.
                    Ok(_) => break,
                    Err(Ended { status, said }) => {
                        assert_eq!(status.signal(), Some(9), "{what}: {status}\n{said}");
                    }
                }
                disk.lose(taken, &mut chance);
                let ringmail = disk.start(&home, &what);
                deliver(ringmail.smtp, &numbered(&what, 100));
                cuts += 1;
            }
        }
    }
    assert!(cuts >= 9, "{cuts} cuts");
}

/// The proof of the proof: on a disk that says "synced" and syncs nothing, mail is lost.
#[test]
fn on_a_lying_disk_a_power_cut_loses_acknowledged_mail() {
    let mut sink = Sink::down(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let disk = Disk::below(&home);
    disk.lie(true, true);
    let load = acknowledge_and_cut(&home, &disk, Taken::All);
    assert_eq!(std::fs::metadata(home.data().join("queue/data.mdb")).unwrap().len(), 0);
    sink.come_up();
    let ringmail = disk.start(&home, "an empty disk");
    deliver(ringmail.smtp, &numbered("probe", 100));
    sink.wait_for(1);
    ringmail.stop();
    assert_eq!(sink.take().len(), 1, "what the disk lost came from somewhere");
    println!("an empty disk: {} acknowledged messages are lost", load.acknowledged().len());
}

/// The same where the disk keeps some of it: mail is missing, if the store can be read at all.
#[test]
fn on_a_lying_disk_a_power_cut_that_takes_a_part_loses_acknowledged_mail() {
    for taken in [Taken::Writes(50), Taken::Sectors(50), Taken::Sectors(10)] {
        let mut sink = Sink::down(Script::default());
        let home = Home::new(&Settings::route(&[sink.address]));
        let disk = Disk::below(&home);
        // What was before the lie stays: LMDB finds its file.
        disk.start(&home, "a new store").stop();
        disk.lie(true, true);
        let load = acknowledge_and_cut(&home, &disk, taken);
        sink.come_up();
        match home.try_start(&disk.under()) {
            Err(Ended { status, said }) => println!("{taken:?}: no start, {status}: {said}"),
            Ok(mut ringmail) => {
                // Sent last, it comes last, or the process does not live to send it on.
                let _ = Client::try_connect(ringmail.smtp).and_then(|mut client| {
                    client.send(
                        &format!("<{SENDER}>"),
                        &[&format!("<{RECIPIENT}>")],
                        b"X-Probe: 1\r\n",
                    )
                });
                eventually("the probe, or the end of the process", || {
                    let here = sink.mails().iter().any(|mail| mail.field("X-Probe").is_some());
                    (here || !ringmail.is_running()).then_some(())
                });
                println!("{}", ringmail.log());
            }
        }
        let here = Sink::ids(&sink.mails());
        let missing = load.acknowledged().iter().filter(|id| !here.contains_key(*id)).count();
        println!("{taken:?}: {missing} of 200 acknowledged messages are lost");
        assert!(missing > 0, "{taken:?}: nothing is lost");
    }
}

/// The finest lie: pages are synced, and only the meta page is not. One transaction is lost.
#[test]
fn on_a_disk_that_keeps_no_meta_page_the_last_commit_is_lost() {
    let mut sink = Sink::down(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let disk = Disk::below(&home);
    let ringmail = disk.start(&home, "a new store");
    let load = Load::new("meta", 5);
    load.run(ringmail.smtp, 1, 500);
    disk.lie(false, true);
    deliver(ringmail.smtp, &numbered("last", 500));
    ringmail.kill();
    disk.lose(Taken::All, &mut Chance(3));
    sink.come_up();
    let ringmail = disk.start(&home, "one transaction less");
    deliver(ringmail.smtp, &numbered("probe", 500));
    let mut ids = Vec::new();
    eventually("the others and the probe", || {
        ids.extend(sink.take().iter().filter_map(|mail| mail.field("X-Test-Id")));
        (ids.len() >= 6).then_some(())
    });
    ringmail.stop();
    assert!(!ids.contains(&"last".to_owned()), "{ids:?}");
}

/// Mail is acknowledged while the next hop is down, and then the power goes.
fn acknowledge_and_cut(home: &Home, disk: &Disk, taken: Taken) -> Load {
    let ringmail = disk.start(home, "a new store");
    let load = Load::new("lied", 200);
    load.run(ringmail.smtp, 4, 2000);
    ringmail.kill();
    disk.lose(taken, &mut Chance(4));
    assert_eq!(load.acknowledged().len(), 200);
    load
}
