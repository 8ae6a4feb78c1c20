//! What next hops may do to an attempt, and that mail arrives once all the same.

use std::{collections::VecDeque, time::Duration};

use super::{refusing, relay_to, start, support};
use support::{
    binary::Settings,
    sink::{Script, Sink, Turn},
    source::{Client, SENDER, deliver, numbered},
};

#[test]
fn a_next_hop_comes_back() {
    let mut sink = Sink::down(Script::default());
    let (_home, ringmail) = relay_to(&sink);
    deliver(ringmail.smtp, &numbered("1", 300));
    ringmail.wait_for_log("status=deferred", 1);
    sink.come_up();
    sink.wait_for(1);
    ringmail.wait_for_log("status=sent", 1);
    // And goes again, with a connection open, and comes back.
    sink.go_down();
    deliver(ringmail.smtp, &numbered("2", 300));
    ringmail.wait_for_log("status=deferred", 2);
    sink.come_up();
    let mails = sink.wait_for(2);
    ringmail.wait_for_log(": removed", 2);
    assert!(Sink::ids(&mails).values().all(|&times| times == 1));
}

#[test]
fn a_refusal_for_now_is_tried_again() {
    let later = [Turn::Reply("451 4.3.0 later"), Turn::Reply("450 4.2.0 later")];
    let sink = Sink::start(Script::default().recipient("bob@rcpt.example", &later));
    let (_home, ringmail) = relay_to(&sink);
    deliver(ringmail.smtp, &numbered("1", 300));
    sink.wait_for(1);
    ringmail.wait_for_log(": removed", 1);
    assert_eq!(ringmail.log().matches("status=deferred").count(), 2);
    assert!(ringmail.log().contains("451 4.3.0 later"), "{}", ringmail.log());
    assert_eq!(sink.mails().len(), 1);
}

#[test]
fn recipients_part_ways() {
    let sink = Sink::start(
        refusing("gone@rcpt.example", "550 5.1.1 no such user")
            .recipient("slow@rcpt.example", &[Turn::Reply("452 4.2.2 full")]),
    );
    let (_home, ringmail) = relay_to(&sink);
    let rcpts = ["<good@rcpt.example>", "<gone@rcpt.example>", "<slow@rcpt.example>"];
    let mut client = Client::connect(ringmail.smtp);
    let reply = client.send(&format!("<{SENDER}>"), &rcpts, &numbered("1", 300)).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    let mails = sink.wait_for(3);
    ringmail.wait_for_log(": removed", 2);
    let mut got: Vec<&str> = mails
        .iter()
        .flat_map(|mail| &mail.recipients)
        .map(|r| &r[..r.find('>').unwrap()])
        .collect();
    got.sort_unstable();
    assert_eq!(got, ["<alice@sender.example", "<good@rcpt.example", "<slow@rcpt.example"]);
}

/// Each trouble costs one attempt; the message arrives once.
#[test]
fn trouble_in_the_middle_is_tried_again() {
    for (name, script) in [
        ("greeting 421", greeting(Turn::Reply("421 4.3.2 not now"))),
        ("greeting 421 of another kind", greeting(Turn::Reply("421 4.7.0 too many"))),
        ("greeting closed", greeting(Turn::Close)),
        ("greeting reset", greeting(Turn::Reset)),
        ("closed at RCPT", Script::default().recipient("bob@rcpt.example", &[Turn::Close])),
        ("reset at RCPT", Script::default().recipient("bob@rcpt.example", &[Turn::Reset])),
        ("closed amid the body", middle(Turn::Close)),
        ("reset amid the body", middle(Turn::Reset)),
        ("refused at the end", end(Turn::Reply("451 4.3.0 disk full"))),
        ("closed at the end", end(Turn::Close)),
        ("reset at the end", end(Turn::Reset)),
    ] {
        let sink = Sink::start(script);
        let (_home, ringmail) = relay_to(&sink);
        deliver(ringmail.smtp, &numbered("1", 100_000));
        let mails = sink.wait_for(1);
        ringmail.wait_for_log(": removed", 1);
        assert_eq!(ringmail.log().matches("status=deferred").count(), 1, "{name}");
        assert_eq!(mails.len(), 1, "{name}");
        assert_eq!(mails[0].split_trace().1, numbered("1", 100_000), "{name}");
    }
}

#[test]
fn silence_ends_in_a_timeout() {
    for (name, script) in [
        ("in the greeting", greeting(Turn::Stall)),
        ("at RCPT", Script::default().recipient("bob@rcpt.example", &[Turn::Stall])),
        ("at the end", end(Turn::Stall)),
    ] {
        let sink = Sink::start(script);
        let mut settings = Settings::route(&[sink.address]);
        settings.delivery = "greeting_timeout = \"500ms\"\ncommand_timeout = \"500ms\"\n\
                             data_timeout = \"500ms\"\n"
            .into();
        let (_home, ringmail) = start(&settings);
        deliver(ringmail.smtp, &numbered("1", 300));
        sink.wait_for(1);
        ringmail.wait_for_log("status=deferred", 1);
        ringmail.wait_for_log(": removed", 1);
        assert_eq!(sink.mails().len(), 1, "{name}");
    }
}

#[test]
fn a_slow_next_hop_holds_up_nobody() {
    let slow = Turn::Slow(Duration::from_secs(4), "250 2.1.5 Ok");
    let slow = Sink::start(Script::default().recipient("bob@slow.example", &[slow]));
    let fast = Sink::start(Script::default());
    let more = format!(
        "[[route]]\ndomain = \"slow.example\"\nhosts = [\"{}\"]\n\
         [[route]]\ndomain = \"*\"\nhosts = [\"{}\"]\n",
        slow.address, fast.address
    );
    let settings = Settings { more, ..Settings::default() };
    let (_home, ringmail) = start(&settings);
    let mut client = Client::connect(ringmail.smtp);
    let mail = format!("<{SENDER}>");
    client.send(&mail, &["<bob@slow.example>"], &numbered("slow", 300)).unwrap();
    client.send(&mail, &["<bob@fast.example>"], &numbered("fast", 300)).unwrap();
    fast.wait_until(Duration::from_secs(3), "the fast one", |mails| mails.len() == 1);
}

fn greeting(turn: Turn) -> Script {
    Script { greeting: VecDeque::from([turn]), ..Script::default() }
}

fn middle(turn: Turn) -> Script {
    Script { mid_data: VecDeque::from([(50_000, turn)]), ..Script::default() }
}

fn end(turn: Turn) -> Script {
    Script { end: VecDeque::from([turn]), ..Script::default() }
}
