//! The peer of a session: what it has enabled, where it stands, what it has been told.

use std::{fmt::Write, net::SocketAddr};

use bytes::Bytes;

use super::step::Options;
use crate::{
    imap::{
        command::Set,
        frame::{Dialect, Frame, Frames},
        reply::Out,
    },
    mail::mailbox::{
        AccountId, Entry, Flags, Keyword, MailboxId, MailboxName, ModSeq, Opened, Standing, Uid,
        Uids,
    },
};

/// What a session knows of its client from first to last.
pub struct Peer {
    pub(super) client: SocketAddr,
    pub(super) frames: Frames,
    /// Read and not yet looked at.
    pub(super) rest: Bytes,
    pub(in crate::imap) enabled: Enabled,
    pub(in crate::imap) place: Place,
    /// Octets put out that the client does not have yet.
    pub(super) unsent: usize,
    /// Commands that nobody could understand since one that was carried out.
    pub(super) errors: u32,
    /// Logins that failed.
    pub(super) failures: u32,
    pub(super) compressed: bool,
}

/// What the client has shown that it knows (RFC 5161, RFC 7162 §3.1).
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::imap) struct Enabled {
    pub condstore: bool,
    pub qresync: bool,
    pub utf8: bool,
    pub rev2: bool,
}

/// RFC 9051 §3: not authenticated, authenticated, selected.
#[derive(Debug)]
pub(in crate::imap) enum Place {
    Stranger,
    Home(Login),
    Selected(Login, Box<View>),
}

#[derive(Clone, Debug)]
pub(in crate::imap) struct Login {
    pub account: AccountId,
    /// Octets; 0: no limit.
    pub quota: u64,
}

/// The selected mailbox as its client knows it.
#[derive(Debug)]
pub(in crate::imap) struct View {
    pub mailbox: MailboxId,
    pub name: MailboxName,
    pub read_only: bool,
    /// Those that the client counts.
    pub uids: Uids,
    /// Of them, those whose end it has not been told yet.
    pub gone: Uids,
    /// From this UID on messages are `\Recent` here.
    pub recent_from: Uid,
    pub keywords: Vec<Keyword>,
    /// All changes up to this one have been told, the ends of `gone` left aside.
    pub told: ModSeq,
    /// What was expunged later is still read.
    pub readable: ModSeq,
    /// There is more to tell.
    pub stale: bool,
    /// `$` (RFC 5182).
    pub saved: Uids,
}

impl Peer {
    pub(super) fn new(client: SocketAddr) -> Self {
        Self {
            client,
            frames: Frames::default(),
            rest: Bytes::new(),
            enabled: Enabled::default(),
            place: Place::Stranger,
            unsent: 0,
            errors: 0,
            failures: 0,
            compressed: false,
        }
    }

    /// The next thing the client has said; `line`: a line that is no command is expected.
    pub(super) fn next_frame(&mut self, line: bool) -> Option<Frame> {
        let stranger = matches!(self.place, Place::Stranger);
        let dialect = Dialect { utf8: self.enabled.takes_utf8(), stranger, line };
        let frame = self.frames.next(&mut self.rest, dialect);
        if self.rest.is_empty() {
            // An empty slice would keep its buffer alive.
            self.rest = Bytes::new();
        }
        frame
    }

    pub(in crate::imap) fn login(&self) -> Option<&Login> {
        match &self.place {
            Place::Stranger => None,
            Place::Home(login) | Place::Selected(login, _) => Some(login),
        }
    }

    pub(in crate::imap) fn view(&self) -> Option<&View> {
        match &self.place {
            Place::Selected(_, view) => Some(view),
            _ => None,
        }
    }

    pub(in crate::imap) fn view_mut(&mut self) -> Option<&mut View> {
        match &mut self.place {
            Place::Selected(_, view) => Some(view),
            _ => None,
        }
    }

    /// Leaves the selected mailbox; whether there was one.
    pub(super) fn deselect(&mut self) -> bool {
        match std::mem::replace(&mut self.place, Place::Stranger) {
            Place::Selected(login, _) => {
                self.place = Place::Home(login);
                true
            }
            other => {
                self.place = other;
                false
            }
        }
    }

    /// The mailbox of this name has been changed by the session itself.
    pub(super) fn touch(&mut self, name: &MailboxName) {
        if let Some(view) = self.view_mut().filter(|view| view.name == *name) {
            view.stale = true;
        }
    }

    /// Passwords in clear text are taken.
    pub(super) fn may_log_in(&self, options: &Options) -> bool {
        options.plaintext_login || self.client.ip().to_canonical().is_loopback()
    }

    /// RFC 9051 §7.2.2, as fits the state.
    pub(super) fn capabilities(&self, options: &Options, out: &mut Out) {
        out.text("CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE");
        if matches!(self.place, Place::Stranger) {
            let login = match self.may_log_in(options) {
                true => " AUTH=PLAIN AUTH=LOGIN",
                // RFC 9051 §6.2.3.
                false => " LOGINDISABLED",
            };
            return out.text(login);
        }
        out.text(
            " IDLE NAMESPACE UNSELECT CHILDREN UIDPLUS MOVE ESEARCH SEARCHRES SPECIAL-USE \
             CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE MULTIAPPEND BINARY \
             CONDSTORE QRESYNC COMPRESS=DEFLATE QUOTA QUOTA=RES-STORAGE UTF8=ACCEPT WITHIN",
        );
        let _ = write!(out, " APPENDLIMIT={}", options.message_size_max);
    }
}

impl Enabled {
    /// Names of mailboxes go over the wire in UTF-8 (RFC 6855 §3, RFC 9051 §5.1).
    pub fn takes_utf8(self) -> bool {
        self.utf8 || self.rev2
    }
}

impl View {
    pub fn new(name: MailboxName, read_only: bool, opened: Opened) -> Self {
        let Standing { mailbox, recent_from, highest_modseq, keywords, .. } = opened.standing;
        Self {
            mailbox,
            name,
            read_only,
            uids: opened.uids,
            gone: Uids::default(),
            recent_from,
            keywords,
            told: highest_modseq,
            readable: highest_modseq,
            stale: false,
            saved: Uids::default(),
        }
    }

    pub fn recent(&self) -> u32 {
        self.uids.from(self.recent_from).count()
    }

    /// The session's own changes, where nobody else has changed anything since its client was told
    /// last; else none. A message shows only its last change: what another session did to it just
    /// before would never be told if the own one were kept silent.
    pub fn unmixed(&self, own: Vec<ModSeq>) -> Vec<ModSeq> {
        let next = (1..).map(|step| ModSeq(self.told.0 + step));
        match own.iter().copied().eq(next.take(own.len())) {
            true => own,
            false => Vec::new(),
        }
    }

    /// The messages that a set of a command means; `None`: a number that no message has.
    pub fn resolve(&self, set: &Set, by_uid: bool) -> Option<Uids> {
        match by_uid {
            true => Some(set.resolve_uids(&self.uids, &self.saved)),
            false => set.resolve_sequences(&self.uids, &self.saved).ok(),
        }
    }

    /// UIDs as the numbers that the client counts.
    pub fn sequences(&self, uids: &Uids) -> Uids {
        let mut sequences = Uids::default();
        for run in uids.intersection(&self.uids).runs() {
            let place = |uid: &Uid| self.uids.sequence_of(*uid).map(Uid);
            if let (Some(first), Some(last)) = (place(run.start()), place(run.end())) {
                sequences.insert_run(first..=last);
            }
        }
        sequences
    }

    /// `FLAGS` and `PERMANENTFLAGS` (RFC 9051 §7.3.5, §7.1).
    pub fn write_flags(&self, out: &mut Out) {
        let names = || {
            let system = Flags::ALL.iter().map(|(_, name)| name.as_bytes());
            system.chain(self.keywords.iter().map(|name| &**name.as_bytes()))
        };
        out.text("* FLAGS ");
        out.list(names());
        out.text("\r\n* OK [PERMANENTFLAGS ");
        match self.read_only {
            true => out.list(std::iter::empty()),
            false => out.list(names().chain([&b"\\*"[..]])),
        }
        out.text("] These flags are kept\r\n");
    }

    /// `FETCH` with a message's flags as they are now; without them to a client that knows.
    pub fn write_entry(&self, entry: &Entry, how: EntryForm, out: &mut Out) {
        let Some(sequence) = self.uids.sequence_of(entry.uid) else { return };
        let _ = write!(out, "* {sequence} FETCH (");
        let mut divider = "";
        if how.uid {
            let _ = write!(out, "UID {}", entry.uid.0);
            divider = " ";
        }
        if how.flags {
            out.text(divider);
            out.text("FLAGS ");
            self.write_flags_of(entry, how.recent, out);
            divider = " ";
        }
        if how.modseq {
            let _ = write!(out, "{divider}MODSEQ ({})", entry.modseq.0);
        }
        out.text(")\r\n");
    }

    pub fn write_flags_of(&self, entry: &Entry, recent: bool, out: &mut Out) {
        let recent = recent && entry.uid >= self.recent_from;
        out.flags(entry.flags, entry.keywords, recent, &self.keywords);
    }
}

/// What is told of a message whose flags have changed.
#[derive(Clone, Copy)]
pub(in crate::imap) struct EntryForm {
    pub uid: bool,
    pub flags: bool,
    pub modseq: bool,
    /// `\Recent` may be among the flags: IMAP4rev2 does not know it.
    pub recent: bool,
}

impl EntryForm {
    pub fn new(enabled: Enabled, uid: bool) -> Self {
        Self {
            // RFC 7162 §3.2.4: to a client with QRESYNC always.
            uid: uid || enabled.qresync,
            flags: true,
            modseq: enabled.condstore,
            recent: !enabled.rev2,
        }
    }
}
