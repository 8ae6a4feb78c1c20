//! How a device puts its words, with the fuse that cuts them short; and how it takes in what it
//! is told.

use super::{Cx, Device, words::Response};
use crate::{client::Fault, network::Parting, time::Duration};

/// Octets that were told and are no whole response yet.
#[derive(Debug, Default)]
pub struct Inlet {
    octets: Vec<u8>,
}

impl Inlet {
    pub fn take(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    pub fn next(&mut self) -> Option<Response> {
        let mut response = Response::default();
        let mut at = 0;
        loop {
            let rest = &self.octets[at..];
            let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let line = String::from_utf8_lossy(&rest[..end]).into_owned();
            at += end + 2;
            let literal = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            let Some((before, size)) =
                literal.and_then(|(before, size)| Some((before, size.parse::<usize>().ok()?)))
            else {
                response.line += &line;
                break;
            };
            response.line += before;
            response.line += "{}";
            response.literals.push(self.octets.get(at..at + size)?.to_vec());
            at += size;
        }
        self.octets.drain(..at);
        Some(response)
    }
}

impl Device {
    /// Says it; whether all of it is on its way.
    pub(super) fn say(&mut self, after: Duration, octets: &[u8], cx: &mut Cx<'_>) -> bool {
        let from = self.said;
        self.said += octets.len() as u64;
        let Some((at, fault)) = self.fuse.filter(|(at, _)| *at < self.said) else {
            cx.moves.send(after, octets);
            return true;
        };
        let cut = at.saturating_sub(from) as usize;
        if from <= at {
            cx.moves.send(after, &octets[..cut]);
            cx.coverage.count(match fault {
                Fault::Close => "device: closes in the midst",
                Fault::Reset => "device: resets in the midst",
                Fault::Vanish => "device: vanishes",
                Fault::StopReading => "device: stops reading",
                Fault::Pause(_) => "device: pauses",
            });
        }
        let parting = match fault {
            Fault::Close => Parting::Close,
            Fault::Reset => Parting::Reset,
            Fault::Vanish => Parting::Vanish,
            Fault::StopReading => {
                cx.moves.stop_reading();
                cx.moves.send(Duration::ZERO, &octets[cut..]);
                return true;
            }
            Fault::Pause(seconds) => {
                let pause = if from <= at { seconds.into() } else { 0 };
                cx.moves.send(Duration::from_secs(pause), &octets[cut..]);
                return true;
            }
        };
        cx.moves.part(parting);
        self.over = true;
        false
    }
}
