//! A run that is killed leaves the backup before it good.
//!
//! `RINGMAIL_PROOF_BACKUP_KILLS=200` makes the proof as long as a release wants it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use ringmail::{random::Random, shell::backup as library};

use super::{
    backup, done, failed, home_with_account, settings,
    support::{
        binary::Home,
        eventually, proof_size,
        sink::{Script, Sink},
        source::Load,
    },
    text,
};

/// Whether LMDB's table of readers has this process: each has 64 octets, the process at the ninth.
fn is_reader(home: &Home, process: u32) -> bool {
    let table = fs::read(home.data().join("queue/lock.mdb")).unwrap();
    table.chunks_exact(64).any(|reader| reader[8..12] == process.to_le_bytes())
}

#[test]
fn a_killed_run_does_not_hold_the_pages_of_its_snapshot() {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    let server = home.start();
    Load::new("held", 300).run(server.smtp, 4, 20_000);
    let killed = eventually("a run that dies with a snapshot open", || {
        let dir = home.beside("backup");
        let _ = fs::remove_dir_all(&dir);
        let mut child = start(&home, &dir);
        while !is_reader(&home, child.id()) && child.try_wait().unwrap().is_none() {}
        child.kill().unwrap();
        child.wait().unwrap();
        is_reader(&home, child.id()).then_some(child.id())
    });
    // With nobody's help but the server's.
    eventually("the server forgets it", || (!is_reader(&home, killed)).then_some(()));
    server.stop();
}

pub(super) fn start(home: &Home, dir: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ringmail"))
        .args(["backup", text(dir), "--config"])
        .arg(home.config())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_run_leaves_the_last_backup_good() {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    let dir = home.beside("backup");
    let server = home.start();
    let (load, address) = (Load::new("kill", usize::MAX), server.smtp);
    thread::scope(|scope| {
        scope.spawn(|| load.run(address, 2, 20_000));
        load.wait_for(50);
        backup(&home, &dir);
        let mut random = Random::from_seed([3; 32]);
        let mut cut = 0;
        // Some take longer than a run and some do not, however quick the machine is.
        let mut longest = 60_000;
        for round in 0..proof_size("RINGMAIL_PROOF_BACKUP_KILLS", 16) {
            let patience = Duration::from_micros(random.below(longest).into());
            let mut child = start(&home, &dir);
            // The blow falls wherever it is then.
            thread::sleep(patience);
            child.kill().unwrap();
            let is_cut = !child.wait().unwrap().success();
            cut += usize::from(is_cut);
            longest = if is_cut { longest.saturating_mul(2) } else { (longest / 2).max(100) };
            let verified =
                library::verify(&dir, &mut |told| panic!("{round} {patience:?}: {told}"));
            assert_eq!(verified.unwrap().faults, 0, "{round} {patience:?}");
        }
        assert!(cut > 0, "no run was cut off");
        backup(&home, &dir);
        server.kill();
    });
    assert_eq!(library::verify(&dir, &mut |told| panic!("{told}")).unwrap().faults, 0);
}

/// A restore that was cut off leaves nothing that could be served as an empty store.
#[test]
fn half_a_restore_is_not_served() {
    let settings = settings(&Sink::down(Script::default()));
    let home = home_with_account(&settings);
    let dir = home.beside("backup");
    backup(&home, &dir);
    let again = Home::new(&settings);
    fs::create_dir_all(again.data().join("queue/new")).unwrap();
    fs::write(again.data().join("restoring"), "").unwrap();
    let said = failed(again.command(&["account", "list"], ""));
    assert!(said.contains("did not come to its end; run `ringmail restore` again"), "{said}");
    let (status, said) = again.start_in_vain();
    assert!(!status.success() && said.contains("`ringmail restore` again"), "{said}");
    done(again.command(&["restore", text(&dir)], ""));
    assert!(done(again.command(&["account", "list"], "")).contains("bob@rcpt.example"));
}
