//! Sessions that change one mailbox at once. Each keeps a mirror from untagged data alone, and in
//! the end all mirrors are the mailbox, and the mailbox is what was acknowledged.
//!
//! `RINGMAIL_PROOF_MIRRORS=500` runs so many seeds from `RINGMAIL_PROOF_SEED` on.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use super::{
    disk::Chance,
    home_of, id_of,
    model::Model,
    support::{
        imap::{Fetched, Imap, Mirror, Reply, Untagged, set},
        proof_size,
        source::numbered,
    },
};

const STEPS: usize = 60;

/// What a client has enabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Plain,
    Condstore,
    Qresync,
}

/// One client on its way through the steps.
struct Walker<'a> {
    server: SocketAddr,
    user: &'a str,
    client: Imap,
    kind: Kind,
    number: usize,
    mirror: Mirror,
    /// What SELECT must be told to be told the rest: UIDVALIDITY and MODSEQ.
    validity: String,
    modseq: u64,
    chance: Chance,
    appended: usize,
    model: &'a Mutex<Model>,
    /// The last commands and what came of them, for a failure.
    trace: Vec<String>,
}

#[test]
fn every_mirror_is_the_mailbox_in_the_end() {
    let first = proof_size("RINGMAIL_PROOF_SEED", 1);
    let seeds = first..first + proof_size("RINGMAIL_PROOF_MIRRORS", 4);
    let names: Vec<String> = seeds.clone().map(|seed| format!("m{seed}@x.example")).collect();
    let home = home_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let ringmail = home.start();
    let server = ringmail.port_of("imap");
    for (seed, user) in seeds.zip(&names) {
        run(server, seed as u64, user);
    }
    ringmail.stop();
}

/// The store clears away what nobody looks at any more; a session that has not been told still
/// looks, on whichever core it is.
#[test]
fn what_is_expunged_is_read_until_it_is_told() {
    let home = home_of(&["ann@x.example"]);
    let ringmail = home.start();
    let login = || Imap::login(ringmail.port_of("imap"), "ann@x.example");
    let mut other = login();
    for number in 0..10 {
        let body = numbered(&format!("ghost-{number}"), 100_000);
        other.append("INBOX", "\\Deleted", &body).unwrap();
    }
    let mut lookers: Vec<Imap> = (0..4).map(|_| login()).collect();
    lookers.iter_mut().for_each(|looker| drop(looker.must("SELECT INBOX")));
    other.must("SELECT INBOX");
    other.must("EXPUNGE");
    other.must("CREATE Other");
    // Clearing is due twice a second, and rides along with commits.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        other.append("Other", "\\Deleted", &numbered("passing", 300)).unwrap();
        other.must("SELECT Other");
        other.must("EXPUNGE");
    }
    for looker in &mut lookers {
        let reply = looker.must("FETCH 1:10 (BODY.PEEK[])");
        let ids: Vec<String> = reply.fetched().map(|fetched| id_of(fetched.text())).collect();
        assert_eq!(ids, (0..10).map(|number| format!("ghost-{number}")).collect::<Vec<_>>());
        let told = looker.must("NOOP").untagged;
        assert_eq!(told, vec![Untagged::Expunge(1); 10]);
        assert_eq!(looker.ask("FETCH 1 (UID)").status, "BAD");
    }
    ringmail.stop();
}

fn run(server: SocketAddr, seed: u64, user: &str) {
    let model = Mutex::new(Model::default());
    let mut setup = Imap::login(server, user);
    setup.must("CREATE Other");
    for number in 0..20 {
        let id = format!("{seed}-first-{number}");
        let reply = setup.append("INBOX", "", &numbered(&id, 300)).unwrap();
        model.lock().unwrap().ids.insert(reply.uids("APPENDUID", 1)[0], id);
    }
    let walkers = 4 + (seed % 5) as usize;
    let mut ended: Vec<Walker<'_>> = thread::scope(|scope| {
        let walk = |number| {
            let chance = Chance(seed.wrapping_mul(1000) + number as u64);
            let mut walker = Walker::new((server, user), number, chance, &model);
            (0..STEPS).for_each(|_| walker.step());
            walker
        };
        let started: Vec<_> =
            (0..walkers).map(|number| scope.spawn(move || walk(number))).collect();
        let ends = started.into_iter().map(|walker| walker.join());
        ends.map(|end| end.unwrap_or_else(|_| panic!("seed {seed}"))).collect()
    });
    let (fresh, ids) = fresh(server, user, "INBOX");
    for walker in &mut ended {
        walker.command("NOOP", true);
        walker.compare(&fresh, &format!("seed {seed}"));
    }
    let (other, other_ids) = self::fresh(server, user, "Other");
    let model = model.lock().unwrap();
    model.check(&fresh, &ids, &format!("seed {seed}, INBOX"));
    model.check_moved(&other_ids, &format!("seed {seed}, Other"));
    // One that comes back is told all it has missed, in one way or another.
    for mut walker in ended {
        walker.come_back();
        walker.command("NOOP", true);
        walker.compare(&fresh, &format!("seed {seed}, back"));
    }
    println!(
        "seed {seed}: {walkers} sessions, {} messages, {} in Other",
        fresh.messages.len(),
        other.messages.len()
    );
}

/// The mailbox as a session sees it that has just come, and the ids of its messages.
fn fresh(server: SocketAddr, user: &str, name: &str) -> (Mirror, Vec<(u32, String)>) {
    let mut client = Imap::login(server, user);
    client.must("ENABLE CONDSTORE");
    let mut mirror = Mirror::default();
    let opened = client.must(&format!("EXAMINE {name}"));
    opened.untagged.iter().for_each(|said| mirror.take(said).unwrap());
    if mirror.messages.is_empty() {
        return (mirror, Vec::new());
    }
    let reply = client.must(&format!("FETCH 1:* (UID FLAGS MODSEQ {ID})"));
    reply.untagged.iter().for_each(|said| mirror.take(said).unwrap());
    let ids = reply.fetched().filter_map(|fetched| Some((fetched.uid?, id_in(fetched)?)));
    (mirror, ids.collect())
}

const ID: &str = "BODY.PEEK[HEADER.FIELDS (X-Test-Id)]";

fn id_in(fetched: &Fetched) -> Option<String> {
    let text = String::from_utf8_lossy(fetched.text()).into_owned();
    text.trim().strip_prefix("X-Test-Id: ").map(str::to_owned)
}

impl<'a> Walker<'a> {
    fn new(
        (server, user): (SocketAddr, &'a str),
        number: usize,
        chance: Chance,
        model: &'a Mutex<Model>,
    ) -> Self {
        let kind = [Kind::Plain, Kind::Condstore, Kind::Qresync][number % 3];
        let mut walker = Self {
            server,
            user,
            client: Imap::login(server, user),
            kind,
            number,
            mirror: Mirror::default(),
            validity: String::new(),
            modseq: 0,
            chance,
            appended: 0,
            model,
            trace: Vec::new(),
        };
        walker.enable();
        walker.command("SELECT INBOX", true);
        walker
    }

    fn enable(&mut self) {
        match self.kind {
            Kind::Plain => {}
            Kind::Condstore => drop(self.client.must("ENABLE CONDSTORE")),
            Kind::Qresync => drop(self.client.must("ENABLE QRESYNC")),
        }
    }

    fn fail(&self, what: &str) -> ! {
        let trace = self.trace[self.trace.len().saturating_sub(12)..].join("\n");
        panic!("{what}\n{} walker {} {:?}:\n{trace}", self.user, self.number, self.kind);
    }

    /// Carries out one command; `may_shrink`: messages may go meanwhile.
    fn command(&mut self, command: &str, may_shrink: bool) -> Reply {
        let reply = self.client.try_ask(command);
        let reply = reply.unwrap_or_else(|error| self.fail(&format!("{command}: {error}")));
        self.heard(command, &reply, may_shrink);
        self.learn();
        reply
    }

    fn heard(&mut self, command: &str, reply: &Reply, may_shrink: bool) {
        self.trace.push(format!("C: {command}\nS: {reply:?}"));
        for said in &reply.untagged {
            if let Err(fault) = self.mirror.take(said) {
                self.fail(&fault);
            }
            let shrinks =
                matches!(said, Untagged::Expunge(_) | Untagged::Vanished { earlier: false, .. });
            if shrinks && !may_shrink {
                self.fail(&format!("{said:?} during {command}"));
            }
        }
        if let Some(validity) = reply.code("UIDVALIDITY") {
            self.validity = validity;
        }
        if let Some(modseq) = reply.code("HIGHESTMODSEQ") {
            self.modseq = modseq.parse().unwrap();
        }
        if !matches!(reply.status.as_str(), "OK" | "NO") {
            self.fail(&format!("{command} is {} {}", reply.status, reply.text));
        }
    }

    /// Asks for what has no UID yet.
    fn learn(&mut self) {
        let unknown: Vec<u32> = (1..)
            .zip(&self.mirror.messages)
            .filter(|(_, known)| known.uid.is_none() || known.flags.is_none())
            .map(|(number, _)| number)
            .collect();
        if unknown.is_empty() {
            return;
        }
        let modseq = if self.kind == Kind::Plain { "" } else { " MODSEQ" };
        let command = format!("FETCH {} (UID FLAGS{modseq})", set(&unknown));
        let reply = self.client.ask(&command);
        self.heard(&command, &reply, false);
        let answered: BTreeSet<u32> = reply.fetched().map(|fetched| fetched.number).collect();
        if !unknown.iter().all(|number| answered.contains(number)) {
            self.fail("a message that was not told to be gone cannot be looked at");
        }
        // News may have come with the answer.
        self.learn();
    }

    fn step(&mut self) {
        match self.chance.below(14) {
            0 | 1 => self.append(),
            2..=4 => self.flag(),
            5 => self.delete(),
            6 => self.expunge(),
            7 => self.copy(),
            8 => self.take(),
            9 => self.idle(),
            10 => drop(self.command("NOOP", true)),
            11 | 12 => self.look(),
            _ => self.come_back(),
        }
    }

    /// Some UIDs of the mirror.
    fn some(&mut self, at_most: u64) -> Vec<u32> {
        let uids = self.mirror.uids();
        if uids.is_empty() {
            return Vec::new();
        }
        let count = 1 + self.chance.below(at_most);
        let mut some: Vec<u32> =
            (0..count).map(|_| uids[self.chance.below(uids.len() as u64) as usize]).collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    fn append(&mut self) {
        self.appended += 1;
        let id = format!("{}-{}-{}", self.user, self.number, self.appended);
        let octets = 300 + self.chance.below(6000) as usize;
        let reply = self.client.append("INBOX", "", &numbered(&id, octets)).unwrap();
        self.heard("APPEND", &reply, true);
        self.model.lock().unwrap().ids.insert(reply.uids("APPENDUID", 1)[0], id);
        self.learn();
    }

    /// A keyword that only this session touches: its last word on it counts.
    fn flag(&mut self) {
        let uids = self.some(5);
        if uids.is_empty() {
            return;
        }
        let (on, silent) = (self.chance.below(2) == 0, self.chance.below(2) == 0);
        let keyword = format!("k{}", self.number);
        let by_uid = self.chance.below(2) == 0;
        let known = |uid: &u32| self.mirror.messages.iter().position(|k| k.uid == Some(*uid));
        let numbers: Vec<u32> =
            uids.iter().filter_map(known).map(|place| place as u32 + 1).collect();
        let command = format!(
            "{} {} {}FLAGS{} ({keyword})",
            if by_uid { "UID STORE" } else { "STORE" },
            set(if by_uid { &uids } else { &numbers }),
            if on { "+" } else { "-" },
            if silent { ".SILENT" } else { "" },
        );
        let reply = self.client.ask(&command);
        self.heard(&command, &reply, by_uid);
        let ok = reply.status == "OK";
        if ok && silent {
            let changed = self.mirror.messages.iter_mut();
            for known in changed.filter(|known| known.uid.is_some_and(|uid| uids.contains(&uid))) {
                match on {
                    true => known.flags.as_mut().map(|flags| flags.insert(keyword.clone())),
                    false => known.flags.as_mut().map(|flags| flags.remove(&keyword)),
                };
            }
        }
        let mut model = self.model.lock().unwrap();
        for uid in uids {
            model.keywords.insert((uid, self.number), ok.then_some(on));
        }
        drop(model);
        self.learn();
    }

    fn delete(&mut self) {
        let uids = self.some(3);
        if uids.is_empty() {
            return;
        }
        self.model.lock().unwrap().doubtful.extend(&uids);
        let reply = self.command(&format!("UID STORE {} +FLAGS (\\Deleted)", set(&uids)), true);
        if reply.status == "OK" {
            self.model.lock().unwrap().deleted.extend(&uids);
        }
    }

    fn expunge(&mut self) {
        let mut bound = self.model.lock().unwrap().deleted.clone();
        let uids = self.some(8);
        let command = match self.chance.below(2) == 0 || uids.is_empty() {
            true => "EXPUNGE".to_owned(),
            false => {
                bound.retain(|uid| uids.contains(uid));
                format!("UID EXPUNGE {}", set(&uids))
            }
        };
        if self.command(&command, true).status == "OK" {
            self.model.lock().unwrap().gone.extend(&bound);
        }
    }

    fn copy(&mut self) {
        let uids = self.some(4);
        if uids.is_empty() {
            return;
        }
        let here = self.chance.below(2) == 0;
        let to = if here { "INBOX" } else { "Other" };
        let reply = self.command(&format!("UID COPY {} {to}", set(&uids)), true);
        let (from, to) = (reply.uids("COPYUID", 1), reply.uids("COPYUID", 2));
        let mut model = self.model.lock().unwrap();
        model.copied(&uids, &from);
        match here {
            true => model.copies.extend(to.into_iter().zip(from)),
            false => model.moved.extend(to.into_iter().zip(from)),
        }
    }

    fn take(&mut self) {
        let uids = self.some(2);
        if uids.is_empty() {
            return;
        }
        self.model.lock().unwrap().doubtful.extend(&uids);
        let reply = self.command(&format!("UID MOVE {} Other", set(&uids)), true);
        let (from, to) = (reply.uids("COPYUID", 1), reply.uids("COPYUID", 2));
        let mut model = self.model.lock().unwrap();
        model.gone.extend(&from);
        model.moved.extend(to.into_iter().zip(from));
    }

    fn idle(&mut self) {
        let begun = self.client.idle().and_then(|tag| {
            let mut said = Vec::new();
            while said.len() < 3 && self.client.has_something(Duration::from_millis(20)) {
                said.push(self.client.hear()?);
            }
            Ok((tag, said))
        });
        let (tag, said) = begun.unwrap_or_else(|error| self.fail(&format!("IDLE: {error}")));
        let mut reply = self.client.done(&tag).unwrap();
        let before = said.into_iter().map(|said| match said {
            super::support::imap::Said::Untagged(untagged) => untagged,
            other => self.fail(&format!("{other:?} in IDLE")),
        });
        reply.untagged = before.chain(reply.untagged).collect();
        self.heard("IDLE", &reply, true);
        self.learn();
    }

    /// By their numbers all messages can be read that are not told to be gone.
    fn look(&mut self) {
        let count = self.mirror.messages.len() as u64;
        if count == 0 {
            return;
        }
        let (one, other) = (1 + self.chance.below(count), 1 + self.chance.below(count));
        let (first, last) = (one.min(other), one.max(other));
        let seen = if self.chance.below(4) == 0 { ID.replace(".PEEK", "") } else { ID.to_owned() };
        let command = format!("FETCH {first}:{last} (UID FLAGS {seen})");
        let reply = self.client.ask(&command);
        self.heard(&command, &reply, false);
        let mut answered = BTreeSet::new();
        let mut model = self.model.lock().unwrap();
        for fetched in reply.fetched().filter(|fetched| !fetched.texts.is_empty()) {
            answered.insert(u64::from(fetched.number));
            match (fetched.uid, id_in(fetched)) {
                (Some(uid), Some(id)) => model.seen.push((uid, id)),
                _ => self.fail("a message without its id"),
            }
        }
        drop(model);
        if answered != (first..=last).collect() {
            self.fail(&format!("{first}:{last} was asked for and {answered:?} came"));
        }
        self.learn();
    }

    /// Leaves the mailbox and selects it again, as its kind can.
    fn come_back(&mut self) {
        if self.chance.below(2) == 0 {
            self.client = Imap::login(self.server, self.user);
            self.enable();
        } else {
            self.client.must("UNSELECT");
        }
        if self.kind != Kind::Qresync {
            self.mirror = Mirror::default();
            self.command("SELECT INBOX", true);
            return;
        }
        let known = match (self.chance.below(2), self.mirror.uids()) {
            (0, uids) if !uids.is_empty() => format!(" {}", set(&uids)),
            _ => String::new(),
        };
        let command = format!("SELECT INBOX (QRESYNC ({} {}{known}))", self.validity, self.modseq);
        let reply = self.client.ask(&command);
        self.trace.push(format!("C: {command}\nS: {reply:?}"));
        // EXISTS counts what is there now: first goes what has gone, then new ones are known by
        // their UIDs (RFC 7162 §3.2.5).
        self.resume(&reply);
        if let Some(modseq) = reply.code("HIGHESTMODSEQ") {
            self.modseq = modseq.parse().unwrap();
        }
        self.learn();
    }

    fn resume(&mut self, reply: &Reply) {
        for said in &reply.untagged {
            if let Untagged::Vanished { uids, .. } = said {
                self.mirror.messages.retain(|known| !uids.contains(&known.uid.unwrap()));
            }
        }
        for said in &reply.untagged {
            let taken = match said {
                Untagged::Vanished { .. } => Ok(()),
                said => self.mirror.take(said),
            };
            if let Err(fault) = taken {
                self.fail(&fault);
            }
        }
    }

    fn compare(&self, fresh: &Mirror, what: &str) {
        let plain = self.kind == Kind::Plain;
        let view = |mirror: &Mirror| -> Vec<(Option<u32>, BTreeSet<String>, Option<u64>)> {
            let shown = mirror.messages.iter().map(|known| {
                let flags = known.flags.iter().flatten().filter(|flag| *flag != "\\Recent");
                (known.uid, flags.cloned().collect(), known.modseq.filter(|_| !plain))
            });
            shown.collect()
        };
        let (here, there) = (view(&self.mirror), view(fresh));
        if here != there {
            let differs = here.iter().zip(&there).find(|(one, other)| one != other);
            let (mine, all) = (here.len(), there.len());
            self.fail(&format!("{what}: {mine} of {all} messages, first difference {differs:?}"));
        }
    }
}
