//! Who may send what to whom: relaying, local domains, limits.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

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
    pub local_domains: Arc<HashSet<Domain>>,
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

/// Where an admitted recipient's mail goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// To its domain, or to where the configuration sends it.
    Onward(Recipient),
    /// To whoever the store knows behind this address of ours.
    Local(Recipient),
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

    /// Where the recipient goes from here, or why not. (`admit_client` let nobody but our own
    /// users come this far on a submission listener.)
    ///
    /// Only the domain behind the last `@` decides where mail goes. A local part with `%`, `!` or
    /// a quoted `@` leads nowhere else here, and strangers may not hand one on.
    pub fn admit_recipient(
        &self,
        client: IpAddr,
        recipient: Recipient,
    ) -> Result<Admission, Reply> {
        let Some(domain) = recipient.address.domain() else {
            return self.bare_postmaster(recipient);
        };
        if self.local_domains.contains(&domain) {
            return Ok(Admission::Local(recipient));
        }
        let relayed = || self.relay_domains.iter().any(|pattern| pattern.matches(&domain));
        if self.may_relay(client) {
            Ok(Admission::Onward(recipient))
        } else if !relayed() {
            Err(reply::RELAYING_DENIED)
        } else if recipient.address.local_part().contains(['@', '%', '!']) {
            // The server behind us trusts us, and may take such a local part for a route.
            Err(reply::NO_ROUTING)
        } else {
            Ok(Admission::Onward(recipient))
        }
    }

    /// What becomes of a recipient of ours that is no account and no alias: mail for postmaster
    /// goes where the configuration says.
    pub(super) fn unknown_recipient(&self, recipient: Recipient) -> Result<Recipient, Reply> {
        let local = recipient.address.local_part().trim_matches('"');
        // RFC 5321 §4.5.1: however it is spelt.
        let postmaster = self
            .postmaster
            .as_ref()
            .filter(|_| local.eq_ignore_ascii_case("postmaster"))
            .ok_or(reply::NO_SUCH_MAILBOX)?;
        Ok(Recipient { address: postmaster.clone(), ..named(recipient) })
    }

    /// RFC 5321 §4.5.1: `<postmaster>` without a domain is known to every server.
    fn bare_postmaster(&self, recipient: Recipient) -> Result<Admission, Reply> {
        let address = self.postmaster.clone().ok_or(reply::NO_SUCH_MAILBOX)?;
        let is_local = address.domain().is_some_and(|domain| self.local_domains.contains(&domain));
        let orcpt = format!("rfc822;{}@{}", recipient.address.local_part(), self.hostname);
        let orcpt = recipient.orcpt.or_else(|| Some(orcpt.into()));
        let recipient = Recipient { address, notify: recipient.notify, orcpt };
        Ok(if is_local { Admission::Local(recipient) } else { Admission::Onward(recipient) })
    }

    fn may_relay(&self, client: IpAddr) -> bool {
        self.relay_networks.iter().any(|network| network.contains(client))
    }
}

/// RFC 3461 §5.2.7: who the mail was for is said where the sender did not say it.
pub(super) fn named(recipient: Recipient) -> Recipient {
    let address = &recipient.address;
    let said = address.domain().filter(|_| recipient.orcpt.is_none());
    let said = said.map(|domain| format!("rfc822;{}@{domain}", address.local_part()));
    let plain = |octet: u8| octet.is_ascii_graphic() && octet != b'+' && octet != b'=';
    // What xtext would have to escape is left unsaid.
    let said = said.filter(|said| said.bytes().all(plain)).map(String::into);
    Recipient { orcpt: recipient.orcpt.or(said), ..recipient }
}
