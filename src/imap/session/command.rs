//! The table of commands and states (RFC 9051 §6).

use std::fmt::Write;

use super::{
    append, expunge, folders, idle, login, quota, select,
    step::{Effect, Next, Tell, Turn},
    store,
};
use crate::{
    imap::{command::Request, fetch, list, reply::Reply, search, status},
    mail::mailbox::Act,
};

/// Begins a command.
pub(super) fn begin(request: Request, turn: &mut Turn) -> Next {
    match request {
        Request::Capability => {
            turn.steps.out.text("* ");
            turn.peer.capabilities(turn.cx.options, &mut turn.steps.out);
            turn.steps.out.text("\r\n");
            Next::End(Reply::ok("That is all"), Tell::all(false))
        }
        Request::Noop => Next::End(Reply::ok("Done"), Tell::all(false)),
        Request::Logout => {
            turn.out().untagged("BYE", "", "Good bye");
            let tag = turn.tag.clone();
            turn.out().tagged(&tag, &Reply::ok("You are logged out"), 0);
            Next::Close
        }
        Request::Id(_) => {
            turn.out().text("* ID (\"name\" \"Ringmail\")\r\n");
            Next::End(Reply::ok("Pleased to meet you"), Tell::all(false))
        }
        Request::StartTls => Next::end(Reply::bad("STARTTLS is not offered here")),
        Request::Login { user, password } => login::login(user, password, turn),
        Request::Authenticate { mechanism, initial } => {
            login::authenticate(&mechanism, initial, turn)
        }
        request if turn.peer.login().is_some() => at_home(request, turn),
        _ => Next::end(Reply::bad("Log in first")),
    }
}

/// What needs an account.
fn at_home(request: Request, turn: &mut Turn) -> Next {
    let Some(account) = turn.peer.login().map(|login| login.account) else {
        return Next::end(Reply::bad("Log in first"));
    };
    match request {
        Request::Enable(names) => enable(&names, turn),
        Request::Select(request) => select::begin(account, request, turn),
        Request::Create { name, special_use } => {
            folders::plain(Act::Create { account, name, special_use }, "It is made", turn)
        }
        Request::Delete { name } => folders::delete(account, name, turn),
        Request::Rename { from, to } => folders::rename(account, from, to, turn),
        Request::Subscribe { name } => {
            folders::plain(Act::Subscribe { account, name, on: true }, "Subscribed", turn)
        }
        Request::Unsubscribe { name } => {
            folders::plain(Act::Subscribe { account, name, on: false }, "Unsubscribed", turn)
        }
        Request::List(request) => list::begin(account, *request, turn),
        Request::Namespace => {
            // RFC 2342 §5: one namespace, the account's own.
            turn.out().text("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
            Next::End(Reply::ok("That is all"), Tell::all(false))
        }
        Request::Status { name, items } => status::begin(account, name, items, turn),
        Request::Append { name } => append::begin(account, name),
        Request::Idle => idle::begin(turn),
        Request::GetQuota { root } => quota::of_root(account, &root, turn),
        Request::GetQuotaRoot { name } => quota::of_mailbox(account, name, turn),
        Request::SetQuota => Next::end(Reply::no("Quotas are set by the operator").code("NOPERM")),
        Request::CompressDeflate => compress(turn),
        request if turn.peer.view().is_some() => in_mailbox(request, turn),
        _ => Next::end(Reply::bad("Select a mailbox first")),
    }
}

/// What needs a selected mailbox.
fn in_mailbox(request: Request, turn: &mut Turn) -> Next {
    match request {
        Request::Check => Next::End(Reply::ok("Done"), Tell::all(false)),
        Request::Close => expunge::close(turn),
        Request::Unselect => {
            turn.peer.deselect();
            Next::end(Reply::ok("No mailbox is selected"))
        }
        Request::Expunge => expunge::begin(None, turn),
        Request::UidExpunge { set } => expunge::begin(Some(&set), turn),
        Request::Search(request) => search::begin(*request, turn),
        Request::Fetch(request) => fetch::begin(*request, turn),
        Request::Store(request) => store::begin(*request, turn),
        Request::Copy { set, by_uid, to, moving } => store::copy(&set, by_uid, to, moving, turn),
        _ => Next::end(Reply::bad("This command is not known")),
    }
}

/// RFC 5161 §3.1: what of it is known is said, the rest passed over.
fn enable(names: &[bytes::Bytes], turn: &mut Turn) -> Next {
    let mut enabled = turn.peer.enabled;
    let known = ["CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"];
    let asked =
        known.map(|word| names.iter().any(|name| name.eq_ignore_ascii_case(word.as_bytes())));
    let [condstore, qresync, utf8, rev2] = asked;
    enabled.qresync |= qresync;
    enabled.utf8 |= utf8;
    enabled.rev2 |= rev2;
    turn.peer.enabled = enabled;
    turn.out().text("* ENABLED");
    let spelt = ["CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4rev2"];
    for (word, _) in spelt.iter().zip(asked).filter(|(_, asked)| *asked) {
        let _ = write!(turn.out(), " {word}");
    }
    turn.out().text("\r\n");
    // RFC 7162 §3.2.3: QRESYNC brings CONDSTORE with it.
    if condstore || qresync {
        turn.enable_condstore();
    }
    Next::end(Reply::ok("That is enabled"))
}

fn compress(turn: &mut Turn) -> Next {
    if std::mem::replace(&mut turn.peer.compressed, true) {
        let reply = Reply::no("The connection is compressed already");
        return Next::end(reply.code("COMPRESSIONACTIVE"));
    }
    // RFC 4978 §3: nothing may follow before the answer, and we could not tell how to read it.
    turn.peer.rest.clear();
    turn.steps.effects.push(Effect::Compress);
    Next::end(Reply::ok("DEFLATE begins"))
}
