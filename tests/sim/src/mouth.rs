//! How a reader of mail puts its words: whole, or cut short by a fuse.

use crate::{
    client::Fault,
    coverage::Coverage,
    network::{Moves, Parting},
    time::Duration,
};

/// One connection's.
#[derive(Debug, Default)]
pub struct Mouth {
    /// After so many octets this happens.
    fuse: Option<(u64, Fault)>,
    said: u64,
    /// Nothing is said any more, and nothing heard.
    pub over: bool,
}

impl Mouth {
    pub fn new(fuse: Option<(u64, Fault)>) -> Mouth {
        Mouth { fuse, said: 0, over: false }
    }

    /// Says it; whether all of it is on its way.
    pub fn say(
        &mut self,
        after: Duration,
        octets: &[u8],
        moves: &mut Moves,
        coverage: &mut Coverage,
    ) -> bool {
        let from = self.said;
        self.said += octets.len() as u64;
        let Some((at, fault)) = self.fuse.filter(|(at, _)| *at < self.said) else {
            moves.send(after, octets);
            return true;
        };
        let cut = at.saturating_sub(from) as usize;
        if from <= at {
            moves.send(after, &octets[..cut]);
            coverage.count(match fault {
                Fault::Close => "reader: closes in the midst",
                Fault::Reset => "reader: resets in the midst",
                Fault::Vanish => "reader: vanishes",
                Fault::StopReading => "reader: stops reading",
                Fault::Pause(_) => "reader: pauses",
            });
        }
        let parting = match fault {
            Fault::Close => Parting::Close,
            Fault::Reset => Parting::Reset,
            Fault::Vanish => Parting::Vanish,
            Fault::StopReading => {
                moves.stop_reading();
                moves.send(Duration::ZERO, &octets[cut..]);
                return true;
            }
            Fault::Pause(seconds) => {
                let pause = if from <= at { seconds.into() } else { 0 };
                moves.send(Duration::from_secs(pause), &octets[cut..]);
                return true;
            }
        };
        moves.part(parting);
        self.over = true;
        false
    }
}
