//! The ledger: what the relay has asked of the store and the network and not yet heard of.

use std::{collections::VecDeque, net::SocketAddr};

use slab::Slab;

use super::{
    input::{ConnectionId, Ticket},
    output::{Outbox, Output},
};
use crate::{
    limits::{LOAD_IN_FLIGHT_MAX, SECRETS_IN_FLIGHT_MAX, STORE_IN_FLIGHT_MAX},
    mail::{Address, Class, DestinationKey, Due, Parcel, ParcelId, QueueId},
    store::{Change, Load},
};

/// What the answer to a change is for.
pub(super) enum StoreErrand {
    /// A client waits for its 250; the parcels are scheduled then.
    Accept {
        connection: ConnectionId,
        accepted: Box<Accepted>,
    },
    /// Room in memory, when it is stored.
    Spool {
        connection: ConnectionId,
        message: QueueId,
        octets: usize,
    },
    Abandon,
    Settle(Box<Settled>),
    /// A reader waits for what it wanted changed.
    Reader {
        connection: ConnectionId,
    },
    /// A part of a message that a reader appends.
    Writing {
        connection: ConnectionId,
    },
    /// A part of a content on its way to our mailboxes.
    LocalSpool(usize),
}

pub(super) struct Accepted {
    pub parcels: Vec<Parcel>,
    pub client: SocketAddr,
    pub from: Option<Address>,
    pub message_id: bytes::Bytes,
    pub size: u64,
    pub recipients: u32,
    /// Parts of its body went to the disk ahead of it.
    pub spooled: bool,
}

pub(super) struct Settled {
    pub parcel: ParcelId,
    pub was: Due,
    pub left: Option<Due>,
    /// The message had no other parcel.
    pub removed: bool,
    /// The report's parcels.
    pub reports: Vec<Parcel>,
    pub report_kind: Option<super::event::ReportKind>,
    /// It was delivered to our mailboxes.
    pub here: Option<super::settle::Here>,
}

/// What the answer to a load is for.
pub(super) enum LoadErrand {
    Agenda,
    /// And the octets of bodies that may come along.
    Page(DestinationKey, Class, usize),
    /// The next part of a body under way on a connection.
    Body {
        connection: ConnectionId,
        message: QueueId,
    },
    /// A question of a reader.
    Reader {
        connection: ConnectionId,
    },
    /// The next part of a body on its way to our mailboxes.
    Local(usize),
    /// Who is behind a recipient of ours.
    Recipient {
        connection: ConnectionId,
    },
    /// The start of a body, for a report.
    Report(Box<super::settle::Reporting>),
}

/// Who gets an answer, by its ticket.
pub(super) enum Asker {
    Dial(usize),
    Resolver(u64),
    Store(StoreErrand),
    Load(LoadErrand),
    /// The connection whose client logs in.
    Secret(ConnectionId),
}

const KIND_SHIFT: u32 = 56;
const VALUE: u64 = (1 << KIND_SHIFT) - 1;

/// Questions have bounds, so that answers always find room; what is over waits here, and is
/// bounded itself: by the connections and by the window.
#[derive(Default)]
pub(super) struct Ledger {
    stores: Slab<StoreErrand>,
    loads: Slab<LoadErrand>,
    stores_asked: usize,
    loads_asked: usize,
    stores_waiting: VecDeque<(Ticket, Change)>,
    loads_waiting: VecDeque<(Ticket, Load)>,
    secrets: Slab<ConnectionId>,
}

impl Ledger {
    pub fn dial_ticket(dial: usize) -> Ticket {
        Ticket(dial as u64)
    }

    pub fn resolver_ticket(key: u64) -> Ticket {
        Ticket(1 << KIND_SHIFT | key & VALUE)
    }

    pub fn store(&mut self, change: Change, errand: StoreErrand, out: &mut Outbox) {
        let ticket = Ticket(2 << KIND_SHIFT | self.stores.insert(errand) as u64);
        if self.stores_asked < STORE_IN_FLIGHT_MAX {
            self.stores_asked += 1;
            out.push(Output::Store { ticket, change });
        } else {
            self.stores_waiting.push_back((ticket, change));
        }
    }

    pub fn load(&mut self, load: Load, errand: LoadErrand, out: &mut Outbox) {
        let ticket = Ticket(3 << KIND_SHIFT | self.loads.insert(errand) as u64);
        if self.loads_asked < LOAD_IN_FLIGHT_MAX {
            self.loads_asked += 1;
            out.push(Output::Load { ticket, load });
        } else {
            self.loads_waiting.push_back((ticket, load));
        }
    }

    /// The ticket for a login; `None`: too many are under way, the client may come again.
    pub fn secret_ticket(&mut self, connection: ConnectionId) -> Option<Ticket> {
        (self.secrets.len() < SECRETS_IN_FLIGHT_MAX)
            .then(|| Ticket(4 << KIND_SHIFT | self.secrets.insert(connection) as u64))
    }

    /// Who asked; a question that waited takes the place of the one answered.
    pub fn answered(&mut self, ticket: Ticket, out: &mut Outbox) -> Option<Asker> {
        let value = (ticket.0 & VALUE) as usize;
        match ticket.0 >> KIND_SHIFT {
            0 => Some(Asker::Dial(value)),
            1 => Some(Asker::Resolver(value as u64)),
            2 => {
                let errand = self.stores.try_remove(value)?;
                match self.stores_waiting.pop_front() {
                    Some((ticket, change)) => out.push(Output::Store { ticket, change }),
                    None => self.stores_asked -= 1,
                }
                Some(Asker::Store(errand))
            }
            4 => self.secrets.try_remove(value).map(Asker::Secret),
            _ => {
                let errand = self.loads.try_remove(value)?;
                match self.loads_waiting.pop_front() {
                    Some((ticket, load)) => out.push(Output::Load { ticket, load }),
                    None => self.loads_asked -= 1,
                }
                Some(Asker::Load(errand))
            }
        }
    }

    /// Nothing that the store is to keep is unanswered, nor waits for a body to be reported.
    pub fn is_settled(&self) -> bool {
        let reporting = |(_, errand): (usize, &LoadErrand)| matches!(errand, LoadErrand::Report(_));
        self.stores.is_empty() && !self.loads.iter().any(reporting)
    }
}
