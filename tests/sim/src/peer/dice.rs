//! The dice of a peer: how a step goes wrong.

use super::{Cx, Peer, State};
use crate::network::Parting;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Greeting,
    Hello,
    Mail,
    Rcpt,
    Data,
    End,
}

/// How a step goes.
pub(super) enum Turn {
    Normal,
    Temporary,
    Permanent,
    /// Nothing more is said; the reply may be lost on its way.
    Lost {
        accepts: bool,
    },
}
impl Peer {
    pub(super) fn turn(&mut self, step: Step, cx: &mut Cx<'_>) -> Turn {
        if cx.random.fraction() >= cx.rate {
            return Turn::Normal;
        }
        let lost = |peer: &mut Peer| peer.state = State::Done;
        let accepts = step == Step::End && cx.random.below(2) == 0;
        match cx.random.below(9) {
            0 | 1 => {
                cx.coverage.count(TEMPORARY[step as usize]);
                return Turn::Temporary;
            }
            2 => {
                cx.coverage.count(PERMANENT[step as usize]);
                return Turn::Permanent;
            }
            3 => {
                cx.coverage.count(SILENT[step as usize]);
                lost(self);
            }
            4 => {
                cx.coverage.count(CLOSED[step as usize]);
                lost(self);
                cx.moves.part(Parting::Close);
            }
            5 => {
                cx.coverage.count(RESET[step as usize]);
                lost(self);
                cx.moves.part(Parting::Reset);
            }
            6 => {
                cx.coverage.count("peer: 421 in the midst");
                self.say("421 4.3.2 have to go\r\n", cx);
                lost(self);
                cx.moves.part(Parting::Close);
            }
            7 => {
                cx.coverage.count("peer: part of a reply");
                self.say("250-part of a re", cx);
                lost(self);
            }
            _ => {
                cx.coverage.count("peer: says nonsense");
                self.say("what do you mean?\r\n", cx);
                lost(self);
            }
        }
        Turn::Lost { accepts }
    }
}

const TEMPORARY: [&str; 6] = [
    "peer: 4xx to the connection",
    "peer: 4xx to EHLO",
    "peer: 4xx to MAIL",
    "peer: 4xx to RCPT",
    "peer: 4xx to DATA",
    "peer: 4xx to the body",
];
const PERMANENT: [&str; 6] = [
    "peer: 5xx to the connection",
    "peer: 5xx to EHLO",
    "peer: 5xx to MAIL",
    "peer: 5xx to RCPT",
    "peer: 5xx to DATA",
    "peer: 5xx to the body",
];
const SILENT: [&str; 6] = [
    "peer: silent at the connection",
    "peer: silent at EHLO",
    "peer: silent at MAIL",
    "peer: silent at RCPT",
    "peer: silent at DATA",
    "peer: silent at the body",
];
const CLOSED: [&str; 6] = [
    "peer: closes at the connection",
    "peer: closes at EHLO",
    "peer: closes at MAIL",
    "peer: closes at RCPT",
    "peer: closes at DATA",
    "peer: closes at the body",
];
const RESET: [&str; 6] = [
    "peer: resets at the connection",
    "peer: resets at EHLO",
    "peer: resets at MAIL",
    "peer: resets at RCPT",
    "peer: resets at DATA",
    "peer: resets at the body",
];
