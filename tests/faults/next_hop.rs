//! A next hop that stops reading: it holds up nobody else, costs little memory and no mail.

use std::{collections::VecDeque, net::SocketAddr};

use rustix::process::{Signal, kill_process};

use super::support::{
    binary::{Home, Ringmail, Settings},
    eventually,
    sink::{Script, Sink, Turn},
    smtp_sink::SmtpSink,
    source::{Client, SENDER, is_whole, numbered},
};

const MIB: usize = 1024 * 1024;

/// Mail for slow.example goes to one next hop, all other mail to another.
fn relay_to(slow: SocketAddr, other: SocketAddr) -> (Home, Ringmail) {
    let more = format!(
        "[[route]]\ndomain = \"slow.example\"\nhosts = [\"{slow}\"]\n\
         [[route]]\ndomain = \"*\"\nhosts = [\"{other}\"]\n"
    );
    let delivery = "greeting_timeout = \"2s\"\ncommand_timeout = \"2s\"\ndata_timeout = \"2s\"\n";
    let settings = Settings { more, delivery: delivery.into(), ..Settings::default() };
    let home = Home::new(&settings);
    let ringmail = home.start();
    (home, ringmail)
}

fn send(ringmail: &Ringmail, domain: &str, messages: usize, octets: usize) {
    let mut client = Client::connect(ringmail.smtp);
    for number in 0..messages {
        let body = numbered(&format!("{domain}-{number}"), octets);
        let (mail, rcpt) = (format!("<{SENDER}>"), format!("<bob@{domain}>"));
        let reply = client.send(&mail, &[&rcpt], &body).unwrap();
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    }
}

#[test]
fn a_next_hop_that_stops_reading_holds_up_nobody_and_costs_little_memory() {
    // More than the buffers of the kernel take in a body, more than the memory for bodies in all.
    let (messages, octets) = (10, 8 * MIB);
    let mid_data = VecDeque::from(vec![(MIB, Turn::Deaf); 1000]);
    let slow = Sink::start(Script { mid_data, ..Script::default() });
    let other = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(slow.address, other.address);
    send(&ringmail, "slow.example", messages, octets);
    eventually("it is stalled", || (slow.deaf() > 0).then_some(()));
    send(&ringmail, "other.example", 100, 3000);
    other.wait_for(100);
    assert_eq!(slow.mails().len(), 0);
    let mut memory = ringmail.memory();
    // Each of them meets its deadline, and is tried again.
    let told = "conversation timed out while sending message body";
    ringmail.wait_for_log(told, messages);
    memory = memory.max(ringmail.memory());
    assert!(memory < 100 * MIB as u64, "{} MiB of memory", memory / MIB as u64);
    slow.set(Script::default());
    let mails = slow.wait_for(messages);
    assert!(mails.iter().all(|mail| is_whole(mail.split_trace().1)));
    ringmail.wait_for_log(": removed", messages + 100);
    assert_eq!(Sink::ids(&slow.mails()).len(), messages);
    println!("{messages} of {octets} octets stalled: {} MiB of memory", memory / MIB as u64);
}

/// What a next hop has in its kernel's buffers when it stops is not lost with it either.
#[test]
fn a_next_hop_that_is_stopped_gets_its_mail_when_it_goes_on() {
    let Some(slow) = SmtpSink::start() else { return };
    let other = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(slow.address, other.address);
    send(&ringmail, "slow.example", 1, 3000);
    eventually("the first message", || (slow.count() == 1).then_some(()));
    kill_process(slow.pid(), Signal::STOP).unwrap();
    send(&ringmail, "slow.example", 5, 3000);
    send(&ringmail, "other.example", 100, 3000);
    other.wait_for(100);
    // The kernel still takes connections in its place.
    ringmail.wait_for_log("conversation timed out while", 5);
    assert_eq!(slow.count(), 1);
    kill_process(slow.pid(), Signal::CONT).unwrap();
    eventually("the other five", || (slow.count() >= 6).then_some(()));
    ringmail.wait_for_log(": removed", 106);
    ringmail.stop();
}

#[test]
fn a_short_message_to_a_next_hop_that_stops_reading_ends_at_its_deadline() {
    let slow = Sink::start(Script { end: VecDeque::from([Turn::Deaf]), ..Script::default() });
    let other = Sink::start(Script::default());
    let (_home, ringmail) = relay_to(slow.address, other.address);
    send(&ringmail, "slow.example", 1, 3000);
    send(&ringmail, "other.example", 1, 3000);
    other.wait_for(1);
    ringmail.wait_for_log("conversation timed out while sending end of data", 1);
    slow.wait_for(1);
    ringmail.wait_for_log(": removed", 2);
    assert!(ringmail.log().contains("may be sent more than once"));
}
