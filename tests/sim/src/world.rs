//! The world: one heap of events in virtual time, and everything that happens to a relay.

mod bounds;
mod devices;
mod disk;
mod operator;
mod outside;
mod relay;
mod told;
mod weather;
mod wire;

use std::{
    any::Any,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    panic::{AssertUnwindSafe, catch_unwind},
};

pub use self::operator::Operation;
use crate::{
    collector::Collector,
    coverage::Coverage,
    device::Device,
    disk::Disk,
    letters::Shape,
    network::Link,
    oracle::{Broken, Checked, Oracle},
    peer::{Mood, Offers},
    plan::{Plan, Scale},
    process::Process,
    random::Random,
    relay::{Input, Ticket},
    store::Load,
    time::{Duration, Instant, Now, Wall},
    trace::Trace,
    zone::Zone,
};

/// Everything that can come to pass.
pub enum Event {
    /// An input for a core, if this life of the relay still goes on.
    Input {
        life: u32,
        core: u16,
        input: Input,
    },
    Wake {
        life: u32,
        core: u16,
    },
    /// A connection to a next hop is made, or not.
    Connect {
        life: u32,
        core: u16,
        ticket: Ticket,
        remote: std::net::SocketAddr,
    },
    /// Something may have changed at the relay's end of a link.
    Attend {
        link: u64,
    },
    Arrive {
        link: u64,
        inward: bool,
    },
    Greet {
        link: u64,
    },
    Load {
        life: u32,
        core: u16,
        ticket: Ticket,
        load: Load,
    },
    CommitBegins {
        life: u32,
    },
    CommitEnds {
        life: u32,
    },
    /// A client comes with these messages.
    Visit {
        visit: Box<Visit>,
    },
    /// A device comes, which has been here before, perhaps.
    Device {
        device: Box<Device>,
    },
    Collector {
        collector: Box<Collector>,
    },
    Operation(Operation),
    Check,
}

/// A client's session to come.
pub struct Visit {
    pub stranger: bool,
    pub letters: Vec<(Shape, u32)>,
}

struct Entry {
    at: Instant,
    order: u64,
    event: Box<Event>,
}

/// A host of the outside.
pub struct HostState {
    pub mood: Mood,
    pub offers: Offers,
    /// No record names it any more.
    pub retired: bool,
    /// Domains that have it.
    pub domains: Vec<String>,
}

pub struct World {
    pub plan: Plan,
    random: Random,
    now: Instant,
    /// The time of day at the start of the monotonic clock, in milliseconds.
    wall_base: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
    life: u32,
    starts: u32,
    process: Option<Process>,
    changed: bool,
    disk: Disk,
    zone: Zone,
    hosts: Vec<HostState>,
    links: BTreeMap<u64, Link>,
    last_link: u64,
    last_token: u32,
    /// Visits that have not come yet.
    to_come: usize,
    healed: bool,
    finishing: Option<Instant>,
    over: bool,
    pub oracle: Oracle,
    pub trace: Trace,
    pub coverage: Coverage,
}

/// What a run came to.
pub struct Outcome {
    pub trace: Trace,
    pub coverage: Coverage,
    /// Virtual time.
    pub lasted: Duration,
    pub messages: usize,
    pub lives: u32,
    pub broken: Option<String>,
}

/// Runs one seed to its end.
pub fn run(seed: u64, scale: Scale, aloud: bool) -> Outcome {
    let mut world = World::new(seed, scale);
    world.trace.aloud = aloud;
    // A panic of the relay is a failure like any other, and its trace tells as much.
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let broken = match lived {
        Ok(lived) => lived.err().map(|Broken(what)| what),
        Err(panic) => Some(format!("a panic: {}", words_of(&*panic))),
    };
    Outcome {
        lasted: world.now.since(Instant::from_micros(0)),
        messages: world.oracle.letters.len(),
        lives: world.starts,
        trace: world.trace,
        coverage: world.coverage,
        broken,
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}

/// A run of more lines goes round in circles.
const LINES_MAX: u64 = 20_000_000;

/// How often the world looks whether all is well.
const CHECK: Duration = Duration::from_secs(60);

impl World {
    fn new(seed: u64, scale: Scale) -> World {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = Random::from_seed(bytes);
        let plan = Plan::of(scale, &mut random);
        let hosts = (0..plan.hosts.len())
            .map(|number| HostState {
                mood: Mood::Good,
                offers: Offers::of(&mut random),
                retired: false,
                domains: plan
                    .domains
                    .iter()
                    .filter(|domain| plan.leads_to(domain, number))
                    .map(|domain| domain.name.clone())
                    .collect(),
            })
            .collect();
        let mut world = World {
            oracle: Oracle::new(&plan),
            plan,
            random,
            now: Instant::from_micros(1),
            wall_base: 1_800_000_000_000,
            heap: BinaryHeap::new(),
            order: 0,
            life: 0,
            starts: 0,
            process: None,
            changed: false,
            disk: Disk::default(),
            zone: Zone::default(),
            hosts,
            links: BTreeMap::new(),
            last_link: 0,
            last_token: 0,
            to_come: 0,
            healed: false,
            finishing: None,
            over: false,
            trace: Trace::default(),
            coverage: Coverage::default(),
        };
        world.zone.faulty = world.plan.troubles.dns_faults;
        world.schedule_visits();
        world.schedule_operations();
        world.push(CHECK, Event::Check);
        world
    }

    fn live(&mut self) -> Checked {
        self.found()?;
        while !self.over {
            let Some(Reverse(Entry { at, event, .. })) = self.heap.pop() else {
                return Err(Broken("nothing is left to happen".into()));
            };
            self.now = self.now.max(at);
            self.oracle.tick(self.now());
            self.take(*event)?;
            if self.trace.lines() > LINES_MAX {
                return Err(Broken("it goes on and on".into()));
            }
        }
        Ok(())
    }

    fn take(&mut self, event: Event) -> Checked {
        match event {
            Event::Input { life, core, input } if life == self.life => self.feed(core, input),
            Event::Wake { life, core } if life == self.life => self.wake(core),
            Event::Connect { life, core, ticket, remote } if life == self.life => {
                self.connect(core, ticket, remote)
            }
            Event::Load { life, core, ticket, load } if life == self.life => {
                self.load(core, ticket, &load);
                Ok(())
            }
            Event::CommitBegins { life } if life == self.life => {
                self.commit_begins();
                Ok(())
            }
            Event::CommitEnds { life } if life == self.life => self.commit_ends(),
            Event::Attend { link } => self.attend(link),
            Event::Arrive { link, inward } => self.arrive(link, inward),
            Event::Greet { link } => self.greet(link),
            Event::Visit { visit } => self.visit(*visit),
            Event::Device { device } => self.device_comes(device),
            Event::Collector { collector } => self.collector_comes(collector),
            Event::Operation(operation) => self.operate(operation),
            Event::Check => self.check(),
            // Of a life that is over.
            _ => Ok(()),
        }
    }

    fn now(&self) -> Now {
        let wall = Wall::from_millis(self.wall_base + self.now.as_micros() / 1000);
        Now { instant: self.now, wall }
    }

    fn push(&mut self, after: Duration, event: Event) {
        self.push_at(self.now + after, event);
    }

    fn push_at(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry {
            at: at.max(self.now),
            order: self.order,
            event: Box::new(event),
        }));
    }

    /// A time from nothing up to `most`, mostly short.
    fn while_of(&mut self, most: Duration) -> Duration {
        let fraction = self.random.fraction();
        most.mul_f64(fraction * fraction)
    }

    fn dice(&mut self, sides: u32) -> bool {
        self.random.below(sides) == 0
    }

    fn say(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, what);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
