//! File systems of our own, mounted where only one process sees them: a small one that another
//! process fills, and one on a loop device whose power is cut.
//!
//! `RINGMAIL_PROOF_LOOP_CUTS=50` makes the proof as long as a release wants it. Both need root and
//! a kernel that lets them mount; else they say so and prove nothing.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Signal, kill_process};

use super::{
    disk::Disk,
    support::{
        PATIENCE,
        binary::{Home, Ringmail, Settings, Under},
        eventually,
        ledger::Ledger,
        proof_size,
        sink::{Script, Sink},
        source::{Client, Load, RECIPIENT, SENDER, numbered},
    },
};

const MIB: usize = 1024 * 1024;

/// Mounts `what` on the data folder, where nobody else sees it: it goes with the process, however
/// that ends.
fn mounted(home: &Home, what: &[&str]) -> Under {
    fs::create_dir_all(home.data()).unwrap();
    // The mount's last argument is `$0`, the data folder; then follows what is to be started.
    let script = format!("mount {} \"$0\" && exec \"$@\"", what.join(" "));
    let program = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script]
        .into_iter()
        .map(Into::into)
        .chain([home.data().into()]);
    Under { program: program.collect(), ..Under::default() }
}

/// Whether `mount` does this here, into a folder that is gone afterwards.
fn may_mount(what: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("mount {} \"$0\"", what.join(" "));
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(folder.path())
        .output();
    let may = tried.is_ok_and(|tried| tried.status.success());
    if !may {
        println!("`mount {}` is not allowed here: this test proves nothing", what.join(" "));
    }
    may
}

#[test]
fn a_small_disk_that_another_process_fills_loses_nothing() {
    let tmpfs = ["-t", "tmpfs", "-o", "size=48m", "none"];
    if !may_mount(&tmpfs) {
        return;
    }
    let mut sink = Sink::down(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let mut ringmail = home.start_under(&mounted(&home, &tmpfs));
    let mut ledger = Ledger::default();
    let before = Load::new("before", 100);
    before.run(ringmail.smtp, 4, 3000);
    ledger.enter(&before);
    // As the process sees it.
    let filler = PathBuf::from(format!("/proc/{}/root", ringmail.pid().as_raw_nonzero()))
        .join(home.data().strip_prefix("/").unwrap())
        .join("filler");
    fill(&filler);
    // What is free inside of the store's file still serves for a while.
    let during = Load::new("during", usize::MAX);
    during.run(ringmail.smtp, 4, 20_000);
    ledger.enter(&during);
    let refused = send(&ringmail, "refused");
    assert!(refused.starts_with("452 4.3.1 "), "{refused}");
    ringmail.wait_for_log("has no room", 1);
    fs::remove_file(&filler).unwrap();
    eventually("mail is taken again", || {
        let after = Load::new("after", 1);
        after.run(ringmail.smtp, 1, 20_000);
        ledger.enter(&after);
        (!after.acknowledged().is_empty()).then_some(())
    });
    ringmail.wait_for_log("has room again", 1);
    sink.come_up();
    ledger.settle(&sink, 2 * PATIENCE);
    assert!(ringmail.is_running());
    ringmail.stop();
    println!("a full disk of 48 MiB, {ledger}");
}

fn send(ringmail: &Ringmail, id: &str) -> String {
    let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
    let body = numbered(id, 20_000);
    Client::connect(ringmail.smtp).send(&mail, &[&rcpt], &body).unwrap()
}

/// Writes until the disk has no room for an octet more.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [MIB, 4096, 1] {
        while file.write(&vec![0; size]).is_ok() {}
    }
}

/// An ext4 in a file. Pulling its plug is taking away what the file system has not written to the
/// device yet, that is to the file.
struct Image {
    path: PathBuf,
}

impl Image {
    /// `None` where this machine does not do that.
    fn new(home: &Home) -> Option<Self> {
        let path = home.beside("image");
        File::create(&path).unwrap().set_len(96 * MIB as u64).unwrap();
        let made = Command::new("mkfs.ext4").arg("-q").arg(&path).env("PATH", sbin()).output();
        if !made.is_ok_and(|made| made.status.success()) {
            println!("mkfs.ext4 is not installed: this test proves nothing here");
            return None;
        }
        let image = Self { path };
        if !may_mount(&image.mount()) {
            return None;
        }
        image.wait_until_unmounted();
        Some(image)
    }

    fn mount(&self) -> [&str; 3] {
        ["-o", "loop", self.path.to_str().unwrap()]
    }

    /// Cuts the power of a process that lives on it.
    fn cut(&self, ringmail: Ringmail) {
        kill_process(ringmail.pid(), Signal::STOP).unwrap();
        let (first, second) = (self.path.with_extension("1"), self.path.with_extension("2"));
        // The kernel may write at any moment: only what is the same after the copy as before it
        // was on the device at one moment.
        eventually("the device is still while it is copied", || {
            fs::copy(&self.path, &first).unwrap();
            fs::copy(&self.path, &second).unwrap();
            are_equal(&first, &second).then_some(())
        });
        ringmail.kill();
        // Unmounting writes what a power cut would have lost.
        self.wait_until_unmounted();
        fs::rename(&first, &self.path).unwrap();
    }

    fn wait_until_unmounted(&self) {
        eventually("the loop device is free", || {
            let mut users = Command::new("losetup");
            let users = users.arg("-j").arg(&self.path).env("PATH", sbin()).output().unwrap();
            (users.status.success() && users.stdout.is_empty()).then_some(())
        });
    }
}

fn sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn are_equal(left: &Path, right: &Path) -> bool {
    let compare = || -> io::Result<bool> {
        let (mut left, mut right) = (File::open(left)?, File::open(right)?);
        let (mut one, mut other) = (vec![0; MIB], vec![0; MIB]);
        while let Ok(()) = left.read_exact(&mut one) {
            right.read_exact(&mut other)?;
            if one != other {
                return Ok(false);
            }
        }
        Ok(true)
    };
    compare().unwrap()
}

#[test]
fn power_cuts_of_a_file_system_lose_nothing_acknowledged() {
    let mut sink = Sink::start(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let Some(image) = Image::new(&home) else { return };
    let under = mounted(&home, &image.mount());
    let mut ledger = Ledger::default();
    let cuts = proof_size("RINGMAIL_PROOF_LOOP_CUTS", 2);
    for cut in 0..cuts {
        if cut % 2 == 0 {
            sink.go_down()
        } else {
            sink.come_up()
        }
        let ringmail = home.start_under(&under);
        let load = Load::new(&format!("plug{cut}"), usize::MAX);
        let server = ringmail.smtp;
        std::thread::scope(|scope| {
            scope.spawn(|| load.run(server, 6, 1000 + 2000 * (cut % 4)));
            load.wait_for(30 + 41 * (cut % 5));
            image.cut(ringmail);
        });
        ledger.enter(&load);
        ledger.receive(&sink);
    }
    sink.come_up();
    let last = home.start_under(&under);
    ledger.settle(&sink, 4 * PATIENCE);
    last.stop();
    image.wait_until_unmounted();
    println!("{cuts} power cuts of an ext4, {ledger}");
}

/// The proof of the proof: where syncs do nothing, the same cut loses mail.
#[test]
fn without_syncs_a_power_cut_of_a_file_system_loses_acknowledged_mail() {
    let mut sink = Sink::down(Script::default());
    let home = Home::new(&Settings::route(&[sink.address]));
    let Some(image) = Image::new(&home) else { return };
    let disk = Disk::below(&home);
    let mount = mounted(&home, &image.mount());
    home.start_under(&mount).stop();
    image.wait_until_unmounted();
    disk.lie(true, true);
    let ringmail = home.start_under(&Under { program: mount.program.clone(), ..disk.under() });
    let load = Load::new("lied", 200);
    load.run(ringmail.smtp, 4, 2000);
    image.cut(ringmail);
    sink.come_up();
    let ringmail = home.start_under(&mount);
    let reply = send(&ringmail, "probe");
    assert!(reply.starts_with("250"), "{reply}");
    sink.wait_until(PATIENCE, "the probe", |mails| Sink::ids(mails).contains_key("probe"));
    ringmail.stop();
    image.wait_until_unmounted();
    let here = Sink::ids(&sink.take());
    let acknowledged = load.acknowledged();
    let missing = acknowledged.iter().filter(|id| !here.contains_key(*id)).count();
    println!("without syncs {missing} of {} acknowledged are lost", acknowledged.len());
    assert!(missing > 0, "nothing is lost");
}
