//! Recipients of ours: the store is asked who is behind an address, and the session waits.

use super::{Relay, Turn, connections::Peer, input::ConnectionId, ledger::LoadErrand};
use crate::{
    mail::{
        Address,
        mailbox::{Ask, Found, Resolved},
    },
    smtp::server::LookupError,
    store::{Load, Loaded},
};

impl Relay {
    pub(super) fn look_up(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        address: Address,
        size: u64,
    ) {
        let domains = self.options.server.local_domains.clone();
        let quota = self.options.mailbox_quota;
        let ask = Ask::Recipient { address, size, domains, quota };
        let errand = LoadErrand::Recipient { connection: id };
        self.ledger.load(Load::Mailbox(Box::new(ask)), errand, turn.out);
    }

    pub(super) fn recipient_found(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        loaded: Loaded,
    ) {
        let Peer::Inbound(inbound) = self.connections.take(id) else { return };
        let result = resolved(loaded);
        self.step_inbound(turn, id, inbound, |session, cx, steps| {
            session.looked_up(result, cx, steps)
        });
    }
}

fn resolved(loaded: Loaded) -> Result<Resolved, LookupError> {
    match loaded {
        Loaded::Mailbox(found) => match *found {
            Found::Recipient(resolved) => Ok(resolved),
            _ => Err(LookupError),
        },
        _ => Err(LookupError),
    }
}
