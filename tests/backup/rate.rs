//! What a backup costs a server: `cargo test --test backup rate -- --ignored --nocapture`.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use ringmail::random::Random;

use super::{
    done, home_with_account, settings,
    support::{
        sink::{Script, Sink},
        source::{Client, Load},
    },
    text,
};

const ROUND: Duration = Duration::from_secs(5);
const ROUNDS: usize = 6;

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

#[test]
#[ignore = "it measures"]
fn rate() {
    let home = home_with_account(&settings(&Sink::down(Script::default())));
    let server = home.start();
    fill(server.smtp);
    let (load, address) = (Load::new("rate", usize::MAX), server.smtp);
    let map = || fs::metadata(home.data().join("queue/data.mdb")).unwrap().len();
    let runs = |until: Instant| {
        let mut count = 0;
        while Instant::now() < until {
            let dir = home.beside(&format!("backup-{count}"));
            done(home.command(&["backup", text(&dir)], ""));
            count += 1;
        }
        count
    };
    thread::scope(|scope| {
        scope.spawn(|| load.run(address, 8, 4000));
        load.wait_for(100);
        for round in 0..ROUNDS {
            for with in [round % 2 == 0, round % 2 == 1] {
                let (began, before) = (Instant::now(), load.acknowledged().len());
                let count = match with {
                    true => runs(began + ROUND),
                    false => {
                        thread::sleep(ROUND);
                        0
                    }
                };
                let sent = load.acknowledged().len() - before;
                let rate = sent as f64 / began.elapsed().as_secs_f64();
                for run in 0..count {
                    fs::remove_dir_all(home.beside(&format!("backup-{run}"))).unwrap();
                }
                println!("{rate:7.0} a second, {count} whole backups, map {}", map());
            }
        }
        server.kill();
    });
}
