//! IDLE: changes are told as they come (RFC 2177).

use bytes::Bytes;

use super::{
    Session,
    peer::Peer,
    step::{Context, Next, Steps, Tell, Telling, Turn},
    tell,
};
use crate::imap::reply::Reply;

/// `+`, and what has been waiting to be told.
pub(super) fn begin(turn: &mut Turn) -> Next {
    turn.out().text("+ idling\r\n");
    news(turn)
}

/// The mailbox has changed while its client waits.
pub(super) fn refresh(
    mut peer: Box<Peer>,
    tag: Bytes,
    cx: &Context<'_>,
    steps: &mut Steps,
) -> Session {
    let next = news(&mut Turn { peer: &mut peer, tag: &tag, cx, steps });
    Session::go_on(peer, tag, next, cx, steps)
}

pub(super) fn line(
    peer: Box<Peer>,
    tag: Bytes,
    line: &[u8],
    cx: &Context<'_>,
    steps: &mut Steps,
) -> Session {
    let next = match line.eq_ignore_ascii_case(b"DONE") {
        true => Next::End(Reply::ok("IDLE is over"), Tell::all(false)),
        false => Next::End(Reply::bad("IDLE ends with DONE"), Tell::all(false)),
    };
    Session::go_on(peer, tag, next, cx, steps)
}

fn news(turn: &mut Turn) -> Next {
    match turn.peer.view() {
        Some(view) if view.stale || !view.gone.is_empty() => {
            let how = Telling { expunged: true, ..Telling::default() };
            tell::begin(tell::After::Idle, how, turn)
        }
        _ => Next::Idle,
    }
}
