//! APPEND: messages that a client puts into a mailbox, all of them or none (RFC 3502).

use super::{
    Job,
    step::{Answer, Effect, Next, Steps, Tell, Turn, troubled},
    store::ordered,
};
use crate::{
    imap::{
        command::Appended,
        frame::Frame,
        reply::{Reply, sentence},
    },
    mail::mailbox::{
        AccountId, Act, Ask, ContentId, Done, Found, MailboxName, NewContent, NewMessage, Refusal,
    },
    time::Wall,
};

/// An APPEND under way.
#[derive(Debug)]
pub struct Append {
    account: AccountId,
    name: MailboxName,
    messages: Vec<NewMessage>,
    stage: Stage,
    /// The mailbox was seen to be there.
    found: bool,
    /// Why none of it will be taken; told at the end of the command.
    fault: Option<Reply>,
}

#[derive(Debug)]
enum Stage {
    Between,
    /// A message's literal has been announced.
    Announced {
        appended: Appended,
        size: u64,
        synchronizing: bool,
    },
    /// Octets of a message come.
    Inside {
        appended: Appended,
        left: u64,
    },
    /// The message is whole, and is being built.
    Building {
        appended: Appended,
    },
    /// Everything is with the store; these it has had in part before.
    Committing {
        spooled: Vec<ContentId>,
    },
}

pub(super) fn begin(account: AccountId, name: MailboxName) -> Next {
    Next::Append(Box::new(Append {
        account,
        name,
        messages: Vec::new(),
        stage: Stage::Between,
        found: false,
        fault: None,
    }))
}

impl Append {
    /// Octets of a message still to come.
    pub(super) fn left(&self) -> usize {
        match self.stage {
            Stage::Inside { left, .. } => usize::try_from(left).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Contents of which the store has something already.
    pub(super) fn spooled(&self) -> impl Iterator<Item = ContentId> + '_ {
        let contents = self.messages.iter().map(|message| &message.content);
        let contents = contents.filter(|content| content.spooled_chunks > 0);
        let committing = match &self.stage {
            Stage::Committing { spooled } => &spooled[..],
            _ => &[],
        };
        contents.map(|content| content.id).chain(committing.iter().copied())
    }

    /// Nothing of it is wanted any more.
    pub(super) fn abandon(&self, steps: &mut Steps) {
        if matches!(self.stage, Stage::Inside { .. }) {
            steps.effects.push(Effect::ContentAbandon);
        }
        let acts = self.spooled().map(|content| Effect::Act(Act::Abandon { content }));
        steps.effects.extend(acts);
    }

    pub(super) fn take(mut self: Box<Self>, frame: Frame, turn: &mut Turn) -> Next {
        match (frame, std::mem::replace(&mut self.stage, Stage::Between)) {
            (Frame::Message { appended, size, synchronizing, .. }, _) => {
                self.stage = Stage::Announced { appended, size, synchronizing };
                self.announced(turn)
            }
            (Frame::Octets(octets), Stage::Inside { appended, left }) => {
                let left = left.saturating_sub(octets.len() as u64);
                self.stage = Stage::Inside { appended, left };
                turn.steps.effects.push(Effect::ContentOctets(octets));
                Next::Append(self)
            }
            (Frame::MessageEnd, Stage::Inside { appended, .. }) => {
                self.stage = Stage::Building { appended };
                turn.steps.effects.push(Effect::ContentEnd);
                Next::Wait(Job::Append(self))
            }
            (Frame::AppendEnd, _) => self.commit(turn),
            (Frame::Bad { text, .. }, stage) => {
                self.stage = stage;
                self.refuse(Reply::bad(sentence(text)), turn)
            }
            (Frame::TooBig { text, .. }, stage) => {
                self.stage = stage;
                self.refuse(Reply::no(sentence(text)).code("LIMIT"), turn)
            }
            (_, stage) => {
                self.stage = stage;
                Next::Append(self)
            }
        }
    }

    /// Looks whether the message may come, before it does.
    fn announced(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let Stage::Announced { size, .. } = self.stage else { return Next::Append(self) };
        if size > turn.cx.options.message_size_max {
            // RFC 7889 §4, RFC 4469 §4.
            return self.decline(Reply::no("The message is too big").code("TOOBIG"), turn);
        }
        if size == 0 {
            // RFC 3502 §3: a client gives up so.
            return self.decline(Reply::no("An empty message is none"), turn);
        }
        if self.found {
            return self.invite(turn);
        }
        turn.ask(Ask::Folder { account: self.account, name: self.name.clone() });
        self.found = true;
        Next::Wait(Job::Append(self))
    }

    fn invite(mut self: Box<Self>, turn: &mut Turn) -> Next {
        let stage = std::mem::replace(&mut self.stage, Stage::Between);
        if let Stage::Announced { appended, size, synchronizing } = stage {
            if synchronizing {
                turn.out().text("+ OK\r\n");
            }
            turn.steps.effects.push(Effect::ContentBegin);
            self.stage = Stage::Inside { appended, left: size };
        }
        Next::Append(self)
    }

    /// What the client sends of it all the same is read over; then it is told.
    fn decline(mut self: Box<Self>, reply: Reply, turn: &mut Turn) -> Next {
        turn.peer.frames.refuse_message();
        self.stage = Stage::Between;
        self.fault.get_or_insert(reply);
        Next::Append(self)
    }

    fn refuse(self, reply: Reply, turn: &mut Turn) -> Next {
        self.abandon(turn.steps);
        Next::End(reply, Tell::all(false))
    }

    fn commit(mut self: Box<Self>, turn: &mut Turn) -> Next {
        if let Some(fault) = self.fault.take() {
            return self.refuse(fault, turn);
        }
        let quota = turn.peer.login().map_or(0, |login| login.quota);
        let spooled = self.spooled().collect();
        let messages = std::mem::take(&mut self.messages);
        let (account, name) = (self.account, self.name.clone());
        self.stage = Stage::Committing { spooled };
        turn.act(Act::Append { account, name, messages, quota });
        Next::Wait(Job::Append(self))
    }

    pub(super) fn answered(mut self: Box<Self>, answer: Answer, turn: &mut Turn) -> Next {
        match answer {
            Answer::Found(Found::Folder(Some(folder))) if folder.mailbox.is_some() => {
                self.invite(turn)
            }
            Answer::Found(Found::Folder(_)) => {
                let reply = Reply::refused_into(Refusal::NoMailbox, &self.name);
                self.decline(reply, turn)
            }
            Answer::Content(content) => {
                self.built(content, turn.cx.now.wall);
                Next::Append(self)
            }
            Answer::Trouble(trouble) if matches!(self.stage, Stage::Building { .. }) => {
                self.decline(troubled(trouble), turn)
            }
            Answer::Trouble(trouble) if matches!(self.stage, Stage::Announced { .. }) => {
                self.decline(troubled(trouble), turn)
            }
            Answer::Done(Done::Appended { uid_validity, uids }) => {
                turn.peer.touch(&self.name);
                // RFC 4315 §3.
                let code = format!("APPENDUID {uid_validity} {}", ordered(&uids));
                Next::End(Reply::ok("It is stored").code(code), Tell::all(false))
            }
            Answer::Done(Done::Refused(refusal)) => {
                let reply = Reply::refused_into(refusal, &self.name);
                self.refuse(reply, turn)
            }
            other => {
                self.abandon(turn.steps);
                Next::unexpected(other)
            }
        }
    }

    fn built(&mut self, content: NewContent, now: Wall) {
        if let Stage::Building { appended } = std::mem::replace(&mut self.stage, Stage::Between) {
            let Appended { flags, keywords, received } = appended;
            let received = received.unwrap_or(now);
            self.messages.push(NewMessage { content, flags, keywords, received });
        }
    }
}
