//! What a seed decides before anything happens: the configuration, the world around the relay,
//! and which kinds of trouble there will be.

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    config::{Config, Machine},
    homes::Homes,
    random::Random,
    relay::Options,
    time::Duration,
};

/// How long the trouble lasts, and how much mail there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Some hours, some dozen messages.
    Short,
    /// Days, and hundreds.
    Long,
}

/// What the DNS says of a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Mx,
    /// No MX: its own address.
    Implicit,
    /// An alias of the first domain.
    Alias,
    /// RFC 7505.
    NullMx,
    /// NXDOMAIN.
    Missing,
    /// Its best MX is the relay itself.
    Ourselves,
    /// Its servers never answer, as long as the trouble lasts.
    Dead,
    /// Behind a `[[route]]`.
    Routed,
}

#[derive(Clone, Debug)]
pub struct Domain {
    pub name: String,
    pub kind: Kind,
    /// Preference and number of each host.
    pub hosts: Vec<(u16, usize)>,
    /// Where its MX records lead after they have changed.
    pub moved: Vec<(u16, usize)>,
}

#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub ip: IpAddr,
}

/// Which kinds of trouble this seed knows: with all of them at once, few would be met alone.
#[derive(Clone, Debug)]
pub struct Troubles {
    pub crashes: bool,
    pub power_cuts: bool,
    pub drains: bool,
    pub changes: bool,
    pub clock_jumps: bool,
    pub full_disk: bool,
    pub slow_disk: bool,
    pub broken_disk: bool,
    pub failed_loads: bool,
    pub dns_outages: bool,
    pub dns_faults: bool,
    pub descriptors: bool,
    pub clients: bool,
    pub peers: bool,
    pub hosts: bool,
    pub lost_assignments: bool,
    /// Of a step of a peer, that it goes wrong, from 0 to 1.
    pub rate: f64,
}

pub struct Plan {
    pub cores: u16,
    /// Until then there is trouble; after it everything works and all must come to its end.
    pub span: Duration,
    pub messages: u32,
    pub domains: Vec<Domain>,
    pub hosts: Vec<Host>,
    pub homes: Homes,
    /// Clients that read mail: by IMAP, and by POP3.
    pub devices: u32,
    pub collectors: u32,
    pub troubles: Troubles,
    pub config: Config,
    /// The same with other routes and limits, for a restart that changes them.
    pub changed: Config,
    pub connections_max: usize,
    pub outbound_max: usize,
    pub inbound_max: usize,
}

pub const HOSTNAME: &str = "mx.sim.example";
const OWN_ADDRESS: &str = "192.0.2.1";

impl Plan {
    pub fn of(scale: Scale, random: &mut Random) -> Plan {
        let mut hosts = Vec::new();
        let domains = domains(&mut hosts, random);
        let connections_max = 1 + random.below(5) as usize;
        let text = configuration(scale, connections_max, &hosts, random);
        let changed = match random.below(2) {
            0 => text.0.clone() + &text.1,
            _ => text.0.clone(),
        };
        let text = text.0 + if random.below(3) > 0 { &text.1 } else { "" };
        let hours = match scale {
            Scale::Short => 1 + u64::from(random.below(5)),
            Scale::Long => 24 + u64::from(random.below(6 * 24)),
        };
        let messages = match scale {
            Scale::Short => 5 + random.below(60),
            Scale::Long => 100 + random.below(500),
        };
        let homes = Homes::of(random);
        Plan {
            cores: 1 + random.below(3) as u16,
            span: Duration::from_secs(3600 * hours),
            messages,
            domains,
            hosts,
            devices: match homes.accounts.len() as u32 {
                0 => 0,
                accounts => accounts + 1 + random.below(2),
            },
            collectors: if homes.accounts.is_empty() { 0 } else { random.below(4) },
            homes,
            troubles: troubles(random),
            config: parsed(&text),
            changed: parsed(&changed),
            connections_max,
            outbound_max: 2 + random.below(8) as usize,
            inbound_max: 3 + random.below(10) as usize,
        }
    }

    pub fn options(&self, changed: bool) -> Options {
        Options::of(if changed { &self.changed } else { &self.config })
    }

    pub fn host_at(&self, ip: IpAddr) -> Option<usize> {
        self.hosts.iter().position(|host| host.ip == ip)
    }

    /// Whether `domain` leads to this host, now or after its records have changed.
    pub fn leads_to(&self, domain: &Domain, host: usize) -> bool {
        domain.hosts.iter().chain(&domain.moved).any(|(_, at)| *at == host)
    }
}

fn parsed(text: &str) -> Config {
    let machine = Machine { hostname: String::new(), resolv_conf: String::new() };
    match Config::parse(text, "plan", &machine) {
        Ok(config) => config,
        Err(error) => panic!("the plan's own configuration is wrong: {error}\n{text}"),
    }
}

fn domains(hosts: &mut Vec<Host>, random: &mut Random) -> Vec<Domain> {
    const RARE: [Kind; 6] =
        [Kind::Alias, Kind::NullMx, Kind::Missing, Kind::Ourselves, Kind::Dead, Kind::Implicit];
    let mut kinds = vec![Kind::Mx];
    for _ in 0..1 + random.below(6) {
        kinds.push(if random.below(3) > 0 { Kind::Mx } else { RARE[random.below(6) as usize] });
    }
    // Many destinations make the agenda and the windows run over.
    if random.below(4) == 0 {
        kinds.extend([Kind::Mx; 14]);
    }
    kinds.extend([Kind::Routed; 2]);
    let mut domains: Vec<Domain> = Vec::new();
    let mut routed = Vec::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        let name = match kind {
            Kind::Routed => format!("r{number}.routed.example"),
            _ => format!("d{number}.example"),
        };
        let mut new = |count: u32, random: &mut Random| -> Vec<(u16, usize)> {
            (0..count).map(|_| (10 * random.below(2) as u16, host(hosts, &name))).collect()
        };
        let own = match kind {
            Kind::Mx | Kind::Ourselves => new(1 + random.below(3), random),
            Kind::Implicit => new(1, random),
            Kind::Routed if routed.is_empty() => new(2, random),
            Kind::Routed => routed.clone(),
            Kind::Alias => domains[0].hosts.clone(),
            _ => Vec::new(),
        };
        let moved = match kind {
            Kind::Mx if random.below(2) == 0 => new(1, random),
            Kind::Alias => domains[0].moved.clone(),
            _ => own.clone(),
        };
        if kind == Kind::Routed {
            routed = own.clone();
        }
        domains.push(Domain { name, kind, hosts: own, moved });
    }
    domains
}

fn host(hosts: &mut Vec<Host>, domain: &str) -> usize {
    let number = hosts.len();
    let ip = Ipv4Addr::new(198, 51, 100, number as u8).into();
    hosts.push(Host { name: format!("mx{number}.{domain}"), ip });
    number
}

/// The configuration, and the routes that a change puts there or takes away.
fn configuration(
    scale: Scale,
    connections_max: usize,
    hosts: &[Host],
    random: &mut Random,
) -> (String, String) {
    let expire = match scale {
        Scale::Short => 1 + random.below(4),
        Scale::Long => 24 + random.below(96),
    };
    let first = 30 + random.below(270);
    let max = 10 + random.below(50);
    let factor = 1.0 + f64::from(random.below(20)) / 10.0;
    let jitter = f64::from(random.below(6)) / 10.0;
    let warn = ["0s", "20m", "1h"][random.below(3) as usize];
    let (errors, of_client) = (3 + random.below(20), 2 + random.below(8));
    let (recipients, transactions) = (3 + random.below(20), 1 + random.below(10));
    let (ttl_min, ttl_max) = (random.below(60), 60 + random.below(7200));
    let stale = random.below(4) * 3600;
    let servers =
        ["\"192.0.2.53:53\"", "\"192.0.2.53:53\", \"192.0.2.54:53\""][random.below(2) as usize];
    let text = format!(
        "hostname = \"{HOSTNAME}\"\n\
         [[listener]]\nprotocol = \"smtp\"\naddress = \"{OWN_ADDRESS}:25\"\n\
         [[listener]]\nprotocol = \"submission\"\naddress = \"{OWN_ADDRESS}:587\"\n\
         [[listener]]\nprotocol = \"imap\"\naddress = \"{OWN_ADDRESS}:143\"\n\
         [[listener]]\nprotocol = \"pop3\"\naddress = \"{OWN_ADDRESS}:110\"\n\
         [imap]\nallow_plaintext_login = true\n\
         [smtp]\nmessage_size_max = \"64KiB\"\nrecipients_max = {recipients}\n\
         errors_max = {errors}\nconnections_per_client_max = {of_client}\n\
         received_headers_max = 10\n\
         [relay]\nnetworks = [\"10.0.0.0/8\"]\ndomains = [\"d0.example\"]\n\
         [local]\ndomains = [\"local.example\"]\npostmaster = \"\"\n\
         [dns]\nservers = [{servers}]\ntimeout = \"2s\"\ncache_entries_max = 1\n\
         ttl_min = \"{ttl_min}s\"\nttl_max = \"{ttl_max}s\"\nnegative_ttl_max = \"60s\"\n\
         serve_stale = \"{stale}s\"\n\
         [retry]\nfirst = \"{first}s\"\nfactor = {factor:.1}\nmax = \"{max}m\"\n\
         jitter = {jitter:.1}\nwarn_after = \"{warn}\"\nexpire = \"{expire}h\"\n\
         [[site]]\ndomain = [\"*\"]\nconnections_max = {connections_max}\n\
         messages_per_connection = {transactions}\n"
    );
    let routed: Vec<&Host> = hosts.iter().filter(|h| h.name.ends_with("routed.example")).collect();
    let (first, second) = (routed[0].ip, &routed[1].name);
    let routes = format!(
        "[[route]]\ndomain = \"*.routed.example\"\nhosts = [\"{first}:25\", \"{second}:25\"]\n"
    );
    (text, routes)
}

fn troubles(random: &mut Random) -> Troubles {
    let mut some = || random.below(5) < 2;
    Troubles {
        crashes: some(),
        power_cuts: some(),
        drains: some(),
        changes: some(),
        clock_jumps: some(),
        full_disk: some(),
        slow_disk: some(),
        broken_disk: some(),
        failed_loads: some(),
        dns_outages: some(),
        dns_faults: some(),
        descriptors: some(),
        clients: some(),
        peers: some(),
        hosts: some(),
        lost_assignments: some(),
        rate: [0.02, 0.1, 0.3][random.below(3) as usize],
    }
}
