//! Who may send what to whom: relaying, local domains, limits.

use std::{collections::HashSet, net::IpAddr};

use crate::{
    mail::{Address, Domain, DomainPattern, Network, Recipient},
    smtp::reply::{self, Reply},
    time::Duration,
};

/// The configuration of the server's sessions.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    pub hostname: String,
    /// Octets of one message.
    pub message_size_max: u64,
    pub recipients_max: usize,
    pub command_timeout: Duration,
    pub data_timeout: Duration,
    pub connections_per_client_max: usize,
    pub errors_max: u32,
    pub received_headers_max: u32,
    pub relay_networks: Vec<Network>,
    pub relay_domains: Vec<DomainPattern>,
    pub local_domains: HashSet<Domain>,
    /// Where mail for `postmaster` goes.
    pub postmaster: Option<Address>,
}

/// What a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Port 25: mail from anyone for our domains, and relaying for our networks.
    Relay,
    /// RFC 6409, port 587: mail from our own users only.
    Submission,
}

impl Options {
    /// Whether this client may begin a transaction here.
    pub fn admit_client(&self, role: Role, client: IpAddr) -> Result<(), Reply> {
        match role {
            // RFC 6409 §4.3: submission is for those we know.
            Role::Submission if !self.may_relay(client) => Err(reply::AUTHENTICATION_REQUIRED),
            Role::Submission | Role::Relay => Ok(()),
        }
    }

    /// The recipient as it goes on from here, or why not. (`admit_client` let nobody but our own
    /// users come this far on a submission listener.)
    ///
    /// Only the domain behind the last `@` decides where mail goes. A local part with `%`, `!` or
    /// a quoted `@` leads nowhere else here, and strangers may not hand one on.
    pub fn admit_recipient(
        &self,
        client: IpAddr,
        recipient: Recipient,
    ) -> Result<Recipient, Reply> {
        let Some(domain) = recipient.address.domain() else {
            return self.local_recipient(recipient, &self.hostname);
        };
        if self.local_domains.contains(&domain) {
            return self.local_recipient(recipient, &domain.to_string());
        }
        let relayed = || self.relay_domains.iter().any(|pattern| pattern.matches(&domain));
        if self.may_relay(client) {
            Ok(recipient)
        } else if !relayed() {
            Err(reply::RELAYING_DENIED)
        } else if recipient.address.local_part().contains(['@', '%', '!']) {
            // The server behind us trusts us, and may take such a local part for a route.
            Err(reply::NO_ROUTING)
        } else {
            Ok(recipient)
        }
    }

    fn may_relay(&self, client: IpAddr) -> bool {
        self.relay_networks.iter().any(|network| network.contains(client))
    }

    /// RFC 5321 §4.5.1: there is a postmaster, however it is spelt; there is nobody else yet.
    fn local_recipient(&self, recipient: Recipient, domain: &str) -> Result<Recipient, Reply> {
        let local = recipient.address.local_part().trim_matches('"');
        let postmaster = self
            .postmaster
            .as_ref()
            .filter(|_| local.eq_ignore_ascii_case("postmaster"))
            .ok_or(reply::NO_SUCH_MAILBOX)?;
        // RFC 3461 §5.2.7.2: who the mail was for is said where the sender did not say it. Neither
        // part holds a character that xtext escapes.
        let original = || format!("rfc822;{local}@{domain}").into();
        let orcpt = recipient.orcpt.unwrap_or_else(original);
        Ok(Recipient { address: postmaster.clone(), notify: recipient.notify, orcpt: Some(orcpt) })
    }
}
