//! Committing a message: its recipients are grouped by next hop, cut into parcels and handed to
//! the store, all in one change.

use std::{net::SocketAddr, sync::Arc};

use super::{
    Relay, Turn,
    input::ConnectionId,
    ledger::{Accepted, StoreErrand},
};
use crate::{
    dns::NextHop,
    limits::PARCEL_RECIPIENTS_MAX,
    mail::{Body, Class, Due, Message, Parcel, Recipient},
    smtp::server::Submission,
    store::{Accept, Change},
    time::Wall,
};

impl Relay {
    /// Cuts a message into parcels and hands all to the store.
    pub(super) fn commit(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        client: SocketAddr,
        submission: Submission,
    ) {
        let Submission { recipients, envelope, body, message_id, .. } = submission;
        let count = u32::try_from(recipients.len()).unwrap_or(u32::MAX);
        let groups = self.by_next_hop(recipients);
        let message = Arc::new(Message {
            id: submission.id,
            arrived: submission.arrived,
            envelope,
            wire: submission.wire,
            size: submission.size,
            parcels: u16::try_from(groups.len()).unwrap_or(u16::MAX),
        });
        let parcels = self.parcels(&message, groups, turn.now.wall);
        let accepted = Box::new(Accepted {
            parcels: match submission.spooled_rows {
                0 => with_body(&parcels, &Body::new(body.as_slice())),
                _ => parcels.clone(),
            },
            client,
            from: message.envelope.reverse_path.clone(),
            message_id,
            size: message.size,
            recipients: count,
            spooled: submission.spooled_rows > 0,
        });
        let spooled_rows = submission.spooled_rows;
        let change = Change::Accept(Box::new(Accept { message, parcels, body, spooled_rows }));
        let errand = StoreErrand::Accept { connection: id, accepted };
        self.ledger.store(change, errand, turn.out);
    }

    /// A parcel for each group, filed under its next hop and due at once.
    pub(super) fn parcels(
        &self,
        message: &Arc<Message>,
        groups: Vec<(NextHop, Vec<Recipient>)>,
        now: Wall,
    ) -> Vec<Parcel> {
        groups
            .into_iter()
            .zip(0..)
            .map(|((hop, recipients), part)| Parcel {
                message: message.clone(),
                part,
                due: Due { destination: self.home(&hop), class: Class::Fresh, at: now },
                attempts: 0,
                warned: false,
                recipients,
                last_reply: bytes::Bytes::new(),
                body: None,
            })
            .collect()
    }

    /// Groups recipients by next hop, in the order of first mention, at most
    /// `PARCEL_RECIPIENTS_MAX` in a group.
    pub(super) fn by_next_hop(&self, recipients: Vec<Recipient>) -> Vec<(NextHop, Vec<Recipient>)> {
        if let [only] = recipients.as_slice() {
            return vec![(self.hop_of(only), recipients)];
        }
        let mut groups: Vec<(NextHop, Vec<Recipient>)> = Vec::new();
        let mut open = std::collections::HashMap::new();
        for recipient in recipients {
            let hop = self.hop_of(&recipient);
            if let Some((last, group)) = groups.last_mut()
                && *last == hop
                && group.len() < PARCEL_RECIPIENTS_MAX
            {
                group.push(recipient);
                continue;
            }
            let index = open.get(&hop).copied();
            match index.filter(|&i: &usize| groups[i].1.len() < PARCEL_RECIPIENTS_MAX) {
                Some(index) => groups[index].1.push(recipient),
                None => {
                    open.insert(hop.clone(), groups.len());
                    groups.push((hop, vec![recipient]));
                }
            }
        }
        groups
    }
}

fn with_body(parcels: &[Parcel], body: &Body) -> Vec<Parcel> {
    parcels.iter().map(|parcel| Parcel { body: Some(body.clone()), ..parcel.clone() }).collect()
}
