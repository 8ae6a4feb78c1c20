//! What a reader's session asks for: questions, changes, passwords, a message being built.

use super::{
    super::{
        Relay, Turn,
        event::Event,
        input::ConnectionId,
        ledger::{LoadErrand, StoreErrand},
        output::Output,
        writing::Writing,
    },
    Reader, imap, pop3,
};
use crate::{
    mail::mailbox::Act,
    store::{Change, Load},
};

impl Relay {
    pub(super) fn reader_wants(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        reader: &mut Reader,
        effect: imap::Effect,
    ) {
        match effect {
            imap::Effect::Ask(ask) => {
                let errand = LoadErrand::Reader { connection: id };
                self.ledger.load(Load::Mailbox(Box::new(ask)), errand, turn.out);
            }
            imap::Effect::Act(act) => {
                let errand = match act {
                    Act::Announce { .. } | Act::Abandon { .. } => StoreErrand::Abandon,
                    _ => StoreErrand::Reader { connection: id },
                };
                self.ledger.store(Change::Mailbox(Box::new(act)), errand, turn.out);
            }
            imap::Effect::Authenticate { user, password, account } => {
                let Some(ticket) = self.ledger.secret_ticket(id) else {
                    reader.busy = true;
                    return;
                };
                turn.out.push(Output::Authenticate {
                    ticket,
                    client: reader.client.ip(),
                    user,
                    password,
                    // One without a password is checked as a user who is unknown: nobody logs in.
                    hash: account.map(|account| account.password).filter(|hash| !hash.is_empty()),
                });
            }
            imap::Effect::ContentBegin => {
                reader.writing = Some(Writing::new(self.ids.next_id(turn.now.wall)));
            }
            imap::Effect::ContentOctets(octets) => {
                // A long message over a slow link takes longer than a client may be silent.
                self.wait_anew(turn, id, reader);
                self.write_octets(turn, id, &mut reader.writing, &octets);
            }
            imap::Effect::ContentEnd => {
                if let Some(writing) = &mut reader.writing {
                    writing.end();
                }
            }
            imap::Effect::ContentAbandon => {
                if let Some(writing) = reader.writing.take() {
                    self.abandon_writing(turn, writing);
                }
            }
            imap::Effect::LoggedIn { user } => {
                let client = reader.client;
                let protocol = reader.service.name();
                turn.out.push(Output::Note(Box::new(Event::LoggedIn { client, protocol, user })));
            }
            imap::Effect::LoginFailed { user } => {
                let client = reader.client;
                let protocol = reader.service.name();
                let event = Event::LoginFailed { client, protocol, user };
                turn.out.push(Output::Note(Box::new(event)));
            }
            imap::Effect::Compress => reader.deflate = Some(Box::default()),
            imap::Effect::Close => {}
        }
    }
}

impl From<pop3::Effect> for imap::Effect {
    fn from(effect: pop3::Effect) -> Self {
        match effect {
            pop3::Effect::Ask(ask) => Self::Ask(ask),
            pop3::Effect::Act(act) => Self::Act(act),
            pop3::Effect::Authenticate { user, password, account } => {
                Self::Authenticate { user, password, account }
            }
            pop3::Effect::LoggedIn { user } => Self::LoggedIn { user },
            pop3::Effect::LoginFailed { user } => Self::LoginFailed { user },
            pop3::Effect::Close => Self::Close,
        }
    }
}
