//! How a session takes a message: by DATA or by BDAT, octet by octet into nothing.

use super::{
    answer::{Act, Course, Turn, Usual},
    count::Trouble,
    reply,
    rule::Step,
    session::{Ahead, Chunk, Fate, Phase, Session},
    transaction::Message,
};

impl Session {
    pub(super) fn data(&mut self, turn: &mut Turn) {
        if self.phase != Phase::Open || self.transaction.chunked {
            return self.out_of_sequence(turn);
        }
        // A client that pipelines cannot know that all its recipients were refused: no fault of it.
        if self.transaction.recipients().is_empty() {
            return self.voice.say(turn, reply::NO_RECIPIENTS);
        }
        let named = self.transaction.named();
        if self.voice.answer(turn, Step::Data, named, Usual::accept(reply::GO_AHEAD))
            == Course::Accepted
        {
            self.phase = Phase::Text;
        } else {
            self.end_transaction();
        }
    }

    pub(super) fn text<'a>(&mut self, turn: &mut Turn, octets: &'a [u8]) -> &'a [u8] {
        let Some(end) = self.body.text(octets) else { return &[] };
        self.end_message(turn);
        octets.get(end..).unwrap_or_default()
    }

    pub(super) fn bdat(&mut self, turn: &mut Turn, octets: u64, last: bool) {
        let was_fresh = self.phase == Phase::Fresh;
        let fate = if !turn.policy.offer.chunking || !self.extended {
            turn.policy.tally.trouble(Trouble::Sequence);
            Fate::Refused { was_fresh, reply: reply::NOT_OFFERED }
        } else if self.phase != Phase::Open {
            turn.policy.tally.trouble(Trouble::Sequence);
            Fate::Refused { was_fresh, reply: reply::OUT_OF_SEQUENCE }
        } else if self.transaction.recipients().is_empty() {
            Fate::Refused { was_fresh, reply: reply::NO_RECIPIENTS }
        } else {
            self.transaction.chunked = true;
            Fate::Kept
        };
        let chunk = Chunk { left: octets, last, fate };
        self.phase = Phase::Chunk(chunk);
        if octets == 0 {
            self.end_chunk(turn, chunk);
        }
    }

    pub(super) fn chunk<'a>(
        &mut self,
        turn: &mut Turn,
        octets: &'a [u8],
        mut chunk: Chunk,
    ) -> &'a [u8] {
        let length = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(octets.len());
        let (piece, rest) = octets.split_at(length);
        if chunk.fate == Fate::Kept {
            self.body.chunk(piece);
        }
        chunk.left -= length as u64;
        self.phase = Phase::Chunk(chunk);
        if chunk.left == 0 {
            self.end_chunk(turn, chunk);
            self.ahead = Ahead::Reply;
        }
        rest
    }

    fn end_chunk(&mut self, turn: &mut Turn, chunk: Chunk) {
        match chunk.fate {
            Fate::Kept if chunk.last => self.end_message(turn),
            Fate::Kept => {
                let named = self.transaction.named();
                let usual = Usual::accept(reply::OK);
                if self.voice.answer(turn, Step::Data, named, usual) == Course::Accepted {
                    self.phase = Phase::Open;
                } else {
                    self.end_transaction();
                }
            }
            Fate::Refused { was_fresh, reply } => {
                self.voice.say(turn, reply);
                self.end_transaction();
                if was_fresh {
                    self.phase = Phase::Fresh;
                }
            }
        }
    }

    fn end_message(&mut self, turn: &mut Turn) {
        let (size_max, octets) = (turn.policy.offer.size_max, self.body.octets());
        let tally = &mut turn.policy.tally;
        if self.body.has_bare_lf() {
            tally.trouble(Trouble::BareLfInMessage);
        }
        if self.body.has_long_line() {
            tally.trouble(Trouble::TextLineTooLong);
        }
        let usual = if size_max > 0 && octets > size_max {
            tally.trouble(Trouble::TooLarge);
            Usual::refuse(reply::TOO_LARGE)
        } else {
            Usual::accept(reply::TAKEN)
        };
        self.messages += 1;
        let named = self.transaction.named();
        match self.voice.answer(turn, Step::Dot, named, usual) {
            Course::Accepted => self.count(turn, 1),
            Course::Doubled => self.count(turn, 2),
            Course::Refused | Course::Forgotten => {}
        }
        self.end_transaction();
        self.ahead = Ahead::Reply;
    }

    /// Counts the message now, or as its 250 goes out.
    fn count(&mut self, turn: &mut Turn, times: u32) {
        let octets = self.body.octets();
        if !self.voice.is_busy(turn.now) {
            let (id, recipients) = (self.body.message_id(), self.transaction.recipients());
            return turn.policy.count(turn.now, times, id, octets, recipients);
        }
        let id = self.body.message_id().into();
        let recipients = self.transaction.take_recipients();
        self.voice.act(turn, Act::Count(Box::new(Message { id, octets, recipients, times })));
    }

    fn end_transaction(&mut self) {
        self.transaction.clear();
        self.phase = Phase::Ready;
    }
}
