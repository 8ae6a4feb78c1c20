//! Too few descriptors: what needs one waits, says so, and goes on when there are some.

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

use super::support::{
    binary::{Ended, Home, Ringmail, Settings, Under},
    dns::{Data, Dns, Zone},
    sink::{Script, Sink},
    source::{Client, RECIPIENT, SENDER, numbered},
};

/// The process may open descriptors with numbers below this.
fn allow(ringmail: &Ringmail, descriptors: u64) {
    // Its own bound stays as it was, which is ours: only root could raise it again.
    let limit = Rlimit { current: Some(descriptors), ..getrlimit(Resource::Nofile) };
    prlimit(Some(ringmail.pid()), Resource::Nofile, limit).unwrap();
}

/// Nothing is left for a look-up or a connection to the next hop; what is needed to store is open.
#[test]
fn without_descriptors_mail_is_taken_and_waits() {
    let sink = Sink::start(Script::default());
    let by_dns = Dns::start(Zone::new(&[("rcpt.example", Data::Address(sink.address.ip()))]));
    for settings in
        [Settings::route(&[sink.address]), Settings::dns(by_dns.address, sink.address.port())]
    {
        let home = Home::new(&settings);
        let ringmail = home.start();
        let mut client = Client::connect(ringmail.smtp);
        allow(&ringmail, 1);
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<{RECIPIENT}>"));
        for number in 0..20 {
            let body = numbered(&format!("short-{number}"), 3000);
            let reply = client.send(&mail, &[&rcpt], &body).unwrap();
            assert!(reply.starts_with("250 2.0.0 "), "{reply}");
        }
        ringmail.wait_for_log("connecting rests: too many open files", 1);
        assert_eq!(sink.mails().len(), 0);
        assert_eq!(ringmail.log().matches("status=deferred").count(), 0, "it is no host's fault");
        allow(&ringmail, 1000);
        sink.wait_for(20);
        ringmail.wait_for_log(": removed", 20);
        assert_eq!(sink.take().len(), 20, "each once");
        assert_eq!(ringmail.log().matches("connecting rests").count(), 1, "said once");
    }
}

#[test]
fn a_start_with_too_few_descriptors_says_so() {
    let home = Home::new(&Settings::route(&[([127, 0, 0, 1], 1).into()]));
    let mut seen = 0;
    for limit in 4..60 {
        let program = ["prlimit", &format!("--nofile={limit}:{limit}")].map(Into::into);
        match home.try_start(&Under { program: program.into(), ..Under::default() }) {
            Ok(ringmail) => {
                ringmail.stop();
                break;
            }
            Err(Ended { status, said }) => {
                seen += 1;
                // Below a handful not even the C library can be loaded.
                let loaded = !said.contains("error while loading shared libraries");
                assert!(!loaded || status.code() == Some(1), "{limit}: {status}\n{said}");
                assert!(!loaded || said.contains("open files"), "{limit}: {said}");
            }
        }
    }
    assert!(seen > 3, "{seen} limits were too low");
    home.start().stop();
}
