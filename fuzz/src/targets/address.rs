//! Addresses, domains and the operator's patterns: what is taken prints as it parses.

use bytes::Bytes;
use ringmail::{
    limits::{DOMAIN_MAX, LOCAL_PART_MAX},
    mail::{Address, Domain, DomainPattern, Network},
};

pub fn run(input: &[u8]) {
    for line in input.split(|b| *b == b'\n') {
        address(line);
        if let Ok(text) = std::str::from_utf8(line) {
            domain(text);
            pattern(text);
            network(text);
        }
    }
}

fn address(line: &[u8]) {
    let text = Bytes::copy_from_slice(line);
    if let Some(postmaster) = Address::postmaster(text.clone()) {
        assert_eq!((postmaster.as_bytes(), postmaster.domain()), (&text, None));
    }
    let Ok(address) = Address::parse(text.clone()) else { return };
    assert_eq!(address.as_bytes(), &text, "kept as received");
    assert_eq!(address.to_string().as_bytes(), &text[..], "printed as received");
    assert_eq!(Address::parse(address.to_string().into()), Ok(address.clone()));
    assert_eq!(format!("{}@{}", address.local_part(), address.domain_text()), address.as_str());
    assert!((1..=LOCAL_PART_MAX).contains(&address.local_part().len()));
    // It is written into a command and into header fields.
    assert!(!text.iter().any(|b| *b < b' ' || *b == 127), "a control character");
    assert!(address.local_part().starts_with('"') || !address.as_str().contains([' ', '<', '>']));
    assert_eq!(address.needs_smtputf8(), !text.is_ascii());
    assert_eq!(address.domain(), Domain::parse(address.domain_text()).ok());
    assert!(address.domain().is_some(), "an address leads somewhere");
}

fn domain(text: &str) {
    let Ok(domain) = Domain::parse(text) else { return };
    let printed = domain.to_string();
    assert_eq!(Domain::parse(&printed), Ok(domain.clone()), "{printed}");
    assert_eq!(Domain::parse(&text.to_ascii_uppercase()), Ok(domain.clone()), "case counts");
    if let Some(name) = domain.name() {
        assert!(name.is_ascii() && (1..=DOMAIN_MAX).contains(&name.len()));
        assert!(!name.bytes().any(|b| b.is_ascii_uppercase()));
    }
    let exact: DomainPattern = printed.parse().expect("a domain is a pattern");
    assert!(exact.matches(&domain) && DomainPattern::Any.matches(&domain));
}

fn pattern(text: &str) {
    let Ok(pattern) = text.parse::<DomainPattern>() else { return };
    let printed = pattern.to_string();
    assert_eq!(printed.parse(), Ok(pattern.clone()), "{printed}");
    if let DomainPattern::Below(suffix) = &pattern {
        let below = |front: &str| Domain::parse(&format!("{front}{suffix}"));
        assert!(!below("").is_ok_and(|name| pattern.matches(&name)), "the name itself");
        assert!(!below("x").is_ok_and(|name| pattern.matches(&name)), "half a label");
        assert!(below("x.").map_or(true, |name| pattern.matches(&name)));
    }
}

fn network(text: &str) {
    let Ok(network) = text.parse::<Network>() else { return };
    let (first, prefix) = text.split_once('/').unwrap_or((text, "128"));
    let first = first.parse().expect("it begins with an address");
    assert!(network.contains(first) || first.to_canonical() != first, "its own first address");
    let everything = prefix.parse() == Ok(0);
    let others = ["0.0.0.0", "255.255.255.255", "::", "ffff::1"].map(|ip| ip.parse().unwrap());
    let family = others.iter().filter(|ip: &&std::net::IpAddr| ip.is_ipv4() == first.is_ipv4());
    let held = family.filter(|ip| network.contains(**ip)).count();
    assert!(if everything { held == 2 } else { held < 2 }, "both ends of a family");
}
