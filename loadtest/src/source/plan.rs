//! The options of the command line, checked and made into what a run needs.

use std::{env, fs, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Args, SourceError, Spacing,
    clients::Route,
    schedule::{Arrivals, End},
    work::{Manner, Security},
};
use crate::{
    mail::{self, Brief, Composer, base64, recipients::Recipients, wire::Carriage},
    target, tls,
};

/// Messages when neither a count nor a duration is given.
const MESSAGES: u64 = 10_000;
/// The environment holds the password under this name.
const PASSWORD: &str = "RINGLOAD_PASSWORD";
/// A name that no one has (RFC 2606 §2), for EHLO.
const OWN_NAME: &str = "ringload.invalid";
/// A run's name leaves room in a Message-ID.
const RUN_NAME_MAX: usize = 40;
/// RFC 5321 §4.5.3.1.3.
const ADDRESS_MAX: usize = 254;

/// A run, ready to go.
pub struct Plan {
    /// As the user wrote it.
    pub target: String,
    pub run: String,
    pub route: Arc<Route>,
    pub manner: Arc<Manner>,
    pub composer: Arc<Composer>,
    pub arrivals: Arrivals,
    pub end: End,
    pub seed: u64,
    pub cores: u64,
    pub deadline: Duration,
}

impl Plan {
    pub fn new(args: Args) -> Result<Plan, SourceError> {
        if args.sessions < args.cores {
            return Err(SourceError::FewSessions(args.sessions));
        }
        let now = Timestamp::now();
        let run = args.run.clone().unwrap_or_else(|| mail::run_name(now));
        let composer = Composer::new(brief(&args, run.clone(), now))?;
        Ok(Plan {
            route: Arc::new(route(&args)?),
            manner: Arc::new(manner(&args)?),
            composer: Arc::new(composer),
            arrivals: match (args.rate, args.arrivals) {
                (None, _) => Arrivals::Closed,
                (Some(rate), Spacing::Even) => Arrivals::Even(rate),
                (Some(rate), Spacing::Poisson) => Arrivals::Poisson(rate),
            },
            end: match args.duration {
                Some(duration) => End::After(duration),
                None => End::Count(args.messages.unwrap_or(MESSAGES)),
            },
            seed: args.seed,
            cores: args.cores,
            deadline: args.deadline,
            target: args.target,
            run,
        })
    }
}

fn brief(args: &Args, run: String, now: Timestamp) -> Brief {
    let recipients = match (&args.recipient, args.domains) {
        (Some(address), _) => Recipients::address(address.clone()),
        (None, Some(domains)) => Recipients::zipf(args.recipients, domains as usize, args.zipf),
        (None, None) => Recipients::domain(args.recipients, args.to.clone()),
    };
    Brief {
        sizes: args.size.clone(),
        carriage: if args.bdat { Carriage::Chunk } else { Carriage::Data },
        run,
        seed: args.seed,
        sender: args.from.clone(),
        recipients,
        date: now,
    }
}

fn route(args: &Args) -> Result<Route, SourceError> {
    let is_secure = args.tls != Security::None;
    let tls = is_secure.then(|| {
        let config = tls::client_config(args.ca.as_deref())?;
        Ok::<_, SourceError>((config, tls::server_name(&args.target)?))
    });
    Ok(Route {
        target: target::resolve(&args.target, args.i_own_this_target)?,
        sources: args.source_address.clone(),
        tls: tls.transpose()?,
        answer_timeout: args.answer_timeout,
        ramp: args.ramp,
        sessions: args.sessions,
    })
}

fn manner(args: &Args) -> Result<Manner, SourceError> {
    let plain = args.auth.as_ref().map(|user| {
        let response = format!("\0{user}\0{}", password(args)?);
        Ok::<_, SourceError>(base64::encoded(response.as_bytes()))
    });
    Ok(Manner {
        pipelining: args.pipelining,
        bdat: args.bdat,
        security: args.tls,
        plain: plain.transpose()?,
        messages_per_session: args.messages_per_session.unwrap_or(u64::MAX),
        name: OWN_NAME.into(),
    })
}

fn password(args: &Args) -> Result<String, SourceError> {
    let Some(path) = &args.password_file else {
        return env::var(PASSWORD).map_err(|_| SourceError::NoPassword);
    };
    let text = fs::read_to_string(path)
        .map_err(|error| SourceError::PasswordFile { path: path.clone(), error })?;
    text.lines().next().map(str::to_owned).ok_or(SourceError::NoPassword)
}

pub fn exponent(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
    exponent.ok_or_else(|| "no exponent from 0 to 10, such as 1.0".into())
}

pub fn run_name(text: &str) -> Result<String, String> {
    let is_fit = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if text.is_empty() || text.len() > RUN_NAME_MAX || !text.bytes().all(is_fit) {
        return Err(format!("not 1 to {RUN_NAME_MAX} letters, digits, hyphens and underscores"));
    }
    Ok(text.into())
}

pub fn domain(text: &str) -> Result<String, String> {
    let is_fit = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.[]:".contains(&octet);
    if text.is_empty() || text.len() > ADDRESS_MAX || !text.bytes().all(is_fit) {
        return Err("no domain, such as dst.example".into());
    }
    Ok(text.into())
}

pub fn address(text: &str) -> Result<String, String> {
    let fault = || "no address, such as user@dst.example".to_string();
    let (local, at) = text.rsplit_once('@').ok_or_else(fault)?;
    domain(at).map_err(|_| fault())?;
    let is_fit = |octet: u8| octet.is_ascii_graphic() && !b"<>@\"\\,;:()[]".contains(&octet);
    if local.is_empty() || text.len() > ADDRESS_MAX || !local.bytes().all(is_fit) {
        return Err(fault());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_command_or_a_header_is_refused() {
        for good in ["a@b", "a.b+c@d.example", "a@[127.0.0.1]", "o'neil=x@y.test"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b>", "a>\r\nRSET@b", "a@b c", "<a@b>", "a@b@c"]
        {
            assert!(address(bad).is_err(), "{bad}");
        }
        for bad in ["", "a.b", "a@b", "a\n", &"x".repeat(41)] {
            assert!(run_name(bad).is_err(), "{bad}");
        }
        assert!(run_name("run-1_a").is_ok());
        assert!(exponent("nan").is_err() && exponent("-1").is_err() && exponent("0").is_ok());
    }
}
