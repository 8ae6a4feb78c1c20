//! The forms a value may take: each turns one TOML value into its type, or says what it expected.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use bytes::Bytes;
use toml::de::DeValue;

use super::{Protocol, units};
use crate::{
    dns::route::RouteHost,
    limits::CONFIG_SIZE_MAX,
    mail::{Address, Domain, DomainPattern, Network},
    smtp::server::policy::Role,
    time::Duration,
};

/// Why a value is refused.
pub(super) enum Refusal {
    Expected(Cow<'static, str>),
    NotBuilt { what: &'static str, instead: &'static str },
}

pub(super) type Formed<T> = Result<T, Refusal>;

const TIME: &str = "a time like \"500ms\", \"30s\", \"5m\", \"4h\" or \"5d\"";
const SIZE: &str = "a size like \"512KiB\", \"50MiB\" or \"2GiB\"";

pub(super) fn text(value: &DeValue) -> Formed<String> {
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => expected("a text in quotes"),
    }
}

pub(super) fn whole<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&DeValue) -> Formed<T> {
    move |value| {
        integer(value).filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok()).ok_or_else(
            || {
                let (least, most) = (range.start(), range.end());
                Refusal::Expected(format!("a whole number from {least} to {most}").into())
            },
        )
    }
}

pub(super) fn number(range: RangeInclusive<f64>) -> impl Fn(&DeValue) -> Formed<f64> {
    move |value| {
        let found = match value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            _ => None,
        };
        found.filter(|n: &f64| range.contains(n)).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            Refusal::Expected(format!("a number from {least:?} to {most:?}").into())
        })
    }
}

/// Zero is a time, too.
pub(super) fn time(value: &DeValue) -> Formed<Duration> {
    value.as_str().and_then(units::parse_time).ok_or(Refusal::Expected(TIME.into()))
}

pub(super) fn time_above_zero(value: &DeValue) -> Formed<Duration> {
    match time(value)? {
        Duration::ZERO => expected("a time above zero"),
        time => Ok(time),
    }
}

/// Zero is a size, too. Octets may be written as a number.
pub(super) fn size(value: &DeValue) -> Formed<u64> {
    let octets = value.as_str().map_or_else(|| integer(value), units::parse_size);
    octets.filter(|octets| *octets <= CONFIG_SIZE_MAX).ok_or(Refusal::Expected(SIZE.into()))
}

pub(super) fn size_above_zero(value: &DeValue) -> Formed<u64> {
    match size(value)? {
        0 => expected("a size above zero"),
        size => Ok(size),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &'static [(&str, T)]) -> impl Fn(&DeValue) -> Formed<T> {
    move |value| {
        let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Refusal::Expected(words.join(" or ").into())
        })
    }
}

pub(super) fn flag(value: &DeValue) -> Formed<bool> {
    value.as_bool().ok_or(Refusal::Expected("true or false".into()))
}

pub(super) fn protocol(value: &DeValue) -> Formed<Protocol> {
    word(&[
        ("smtp", Protocol::Smtp(Role::Relay)),
        ("submission", Protocol::Smtp(Role::Submission)),
        ("imap", Protocol::Imap),
        ("pop3", Protocol::Pop3),
    ])(value)
}

/// Until TLS is built, only `"none"` means what it says.
pub(super) fn no_tls(value: &DeValue) -> Formed<()> {
    match value.as_str() {
        Some("none") => Ok(()),
        Some("starttls" | "implicit" | "opportunistic" | "required") => {
            not_built("TLS", "write \"none\" and keep such mail on networks you trust")
        }
        _ => expected("\"none\""),
    }
}

/// Until AUTH is built, there is nothing to send in plain text.
pub(super) fn no_auth(value: &DeValue) -> Formed<()> {
    match value.as_bool() {
        Some(false) => Ok(()),
        Some(true) => not_built("AUTH", "write false"),
        None => expected("false"),
    }
}

pub(super) fn no_proxies(value: &DeValue) -> Formed<()> {
    match value.as_array() {
        Some(networks) if networks.is_empty() => Ok(()),
        Some(_) => not_built("PROXY protocol", "write []"),
        None => expected("[]"),
    }
}

pub(super) fn host_name(value: &DeValue) -> Formed<String> {
    value
        .as_str()
        .and_then(parse_host_name)
        .ok_or(Refusal::Expected("a host name like \"mx.example.org\"".into()))
}

pub(super) fn parse_host_name(text: &str) -> Option<String> {
    Domain::parse(text).ok()?.name().map(str::to_owned)
}

pub(super) fn domain(value: &DeValue) -> Formed<Domain> {
    value
        .as_str()
        .and_then(|text| Domain::parse(text).ok())
        .ok_or(Refusal::Expected("a domain like \"example.org\"".into()))
}

pub(super) fn pattern(value: &DeValue) -> Formed<DomainPattern> {
    let form = "a domain like \"example.org\", \"*.example.org\" or \"*\"";
    value.as_str().and_then(|text| text.parse().ok()).ok_or(Refusal::Expected(form.into()))
}

pub(super) fn network(value: &DeValue) -> Formed<Network> {
    let form = "a network like \"192.0.2.0/24\" or \"2001:db8::/32\"";
    value.as_str().and_then(|text| text.parse().ok()).ok_or(Refusal::Expected(form.into()))
}

pub(super) fn ip(value: &DeValue) -> Formed<IpAddr> {
    let form = "an address like \"192.0.2.1\" or \"2001:db8::1\"";
    value.as_str().and_then(|text| text.parse().ok()).ok_or(Refusal::Expected(form.into()))
}

pub(super) fn socket(value: &DeValue) -> Formed<SocketAddr> {
    let form = "an address and a port like \"192.0.2.1:25\" or \"[2001:db8::1]:25\"";
    value.as_str().and_then(|text| text.parse().ok()).ok_or(Refusal::Expected(form.into()))
}

pub(super) fn server(value: &DeValue) -> Formed<SocketAddr> {
    match socket(value)? {
        address if address.port() == 0 => expected("a port from 1 to 65535"),
        address => Ok(address),
    }
}

pub(super) fn route_host(value: &DeValue) -> Formed<RouteHost> {
    let form = "a host and a port like \"192.0.2.1:25\", \"[2001:db8::1]:25\" or \
                \"smart.example.org:25\"";
    value.as_str().and_then(parse_route_host).ok_or(Refusal::Expected(form.into()))
}

/// Empty: nobody.
pub(super) fn mailbox(value: &DeValue) -> Formed<Option<Address>> {
    match value.as_str() {
        Some("") => Ok(None),
        Some(text) => Address::parse(Bytes::copy_from_slice(text.as_bytes()))
            .map(Some)
            .map_err(|error| Refusal::Expected(format!("\"\" or a mailbox: {error}").into())),
        None => expected("\"\" or a mailbox like \"admin@example.org\""),
    }
}

fn parse_route_host(text: &str) -> Option<RouteHost> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(RouteHost::Address(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    match Domain::parse(host).ok()? {
        // 192.0.2.256 has the letters of a name, and no top-level domain is a number.
        Domain::Name(name) if last_label_is_number(&name) => None,
        Domain::Name(name) => Some(RouteHost::Name(Domain::Name(name), port)),
        Domain::Literal(_) => None,
    }
}

fn last_label_is_number(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

fn integer(value: &DeValue) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn expected<T>(form: &'static str) -> Formed<T> {
    Err(Refusal::Expected(form.into()))
}

fn not_built<T>(what: &'static str, instead: &'static str) -> Formed<T> {
    Err(Refusal::NotBuilt { what, instead })
}
