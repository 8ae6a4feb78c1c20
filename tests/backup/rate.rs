//! What a backup costs a server: `cargo test --test backup rate -- --ignored --nocapture`.
//!
//! Intervals with and without backups follow each other, so that what else the machine does falls
//! on both alike; the median of many is told, and the quarter of them on each side of it.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use ringmail::random::Random;

use super::{
    done, home_with_account,
    kills::start,
    settings,
    support::{
        sink::{Script, Sink},
        source::{Client, Load},
    },
};

const ROUND: Duration = Duration::from_secs(3);
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);

/// How often it is looked whether a backup is whole.
const LOOK: Duration = Duration::from_millis(20);

const ROUNDS: usize = 16;

/// Messages of 200 KB.
const FILL: usize = 400;

/// Mail that does not get shorter by compression.
fn fill(server: SocketAddr) {
    let mut random = Random::from_seed([1; 32]);
    let mut client = Client::connect(server);
    for _ in 0..FILL {
        let mut body = b"Subject: noise\r\n\r\n".to_vec();
        for _ in 0..2500 {
            let line: String = (0..10).map(|_| format!("{:08x}", random.below(u32::MAX))).collect();
            body.extend_from_slice(line.as_bytes());
            body.extend_from_slice(b"\r\n");
        }
        let reply = client.send("<a@b.example>", &["<bob@rcpt.example>"], &body).unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
}

/// The value below which a quarter lies, the median, and the value above which a quarter lies.
fn quarters(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[(sorted.len() * quarter / 4).min(sorted.len() - 1)])
}

#[test]
#[ignore = "it measures"]
fn rate() {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    done(home.command(&["account", "quota", "bob@rcpt.example", "none"], ""));
    let server = home.start();
    fill(server.smtp);
    let (load, address) = (Load::new("rate", usize::MAX), server.smtp);
    let map = || fs::metadata(home.data().join("queue/data.mdb")).unwrap().len();
    // Whole backups one after the other, the last one cut off; how many there were.
    let runs = |until: Instant| {
        let dir = |number: u32| home.beside(&format!("backup-{number}"));
        let mut whole = 0;
        let mut child = start(&home, &dir(whole));
        while Instant::now() < until {
            thread::sleep(LOOK);
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                whole += 1;
                child = start(&home, &dir(whole));
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        whole
    };
    thread::scope(|scope| {
        scope.spawn(|| load.run(address, 8, 4000));
        load.wait_for(100);
        let (mut rates, mut growths) = ([vec![], vec![]], [vec![], vec![]]);
        let mut backups = 0;
        for round in 0..ROUNDS {
            for with in [round % 2 == 0, round % 2 == 1] {
                let (began, before) = (Instant::now(), load.count());
                let size = map();
                let count = match with {
                    true => runs(began + ROUND),
                    false => {
                        thread::sleep(ROUND);
                        0
                    }
                };
                let sent = load.count() - before;
                rates[usize::from(with)].push(sent as f64 / began.elapsed().as_secs_f64());
                growths[usize::from(with)].push((map() - size) as f64 / sent.max(1) as f64);
                backups += count;
                // What this costs is nobody's: it is not measured.
                for number in 0..=count {
                    let _ = fs::remove_dir_all(home.beside(&format!("backup-{number}")));
                }
                thread::sleep(PAUSE);
            }
        }
        for (with, (rates, growths)) in ["without", "with"].iter().zip(rates.iter().zip(&growths)) {
            let [low, middle, high] = quarters(rates);
            let growth = quarters(growths)[1];
            println!(
                "{with} a backup: {middle:.0} messages a second ({low:.0} to {high:.0}), \
                 {growth:.0} octets of file a message"
            );
        }
        let [with, without] = [&rates[1], &rates[0]].map(|rates| quarters(rates)[1]);
        println!("{backups} whole backups, {:.1} % of the rate", 100.0 * (1.0 - with / without));
        server.kill();
    });
}
