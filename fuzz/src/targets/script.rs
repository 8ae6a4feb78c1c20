//! Inputs of the session targets: octets of a peer, with events between them.
//!
//! The octet FF, which is part of no text, begins an event, and the octet behind it names it. So
//! an input is the dialogue as it reads, and a mutation of it is one too.

/// One step of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Octets(Vec<u8>),
    Event(u8),
}

const MARK: u8 = 0xff;

/// Repeats all octets since the event before, this often: bodies grow long by short inputs.
const REPEAT: u8 = b'*';
const TIMES: usize = 8;

/// No peer says more than this in one input.
const OCTETS_MAX: usize = 32 * 1024;

/// Octets in all steps together.
pub fn octets(steps: &[Step]) -> usize {
    let octets = |step: &Step| match step {
        Step::Octets(octets) => octets.len(),
        Step::Event(_) => 0,
    };
    steps.iter().map(octets).sum()
}

/// `FF FF` is the octet FF itself, `FF *` repeats what stands before it.
pub fn read(input: &[u8]) -> Vec<Step> {
    let (mut steps, mut octets, mut said) = (Vec::new(), Vec::new(), 0);
    let mut rest = input;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (&MARK, [MARK, behind @ ..]) => {
                octets.push(MARK);
                rest = behind;
            }
            (&MARK, [REPEAT, behind @ ..]) => {
                if said + octets.len() * TIMES <= OCTETS_MAX {
                    octets = octets.repeat(TIMES);
                }
                rest = behind;
            }
            (&MARK, [event, behind @ ..]) => {
                said += octets.len();
                if !octets.is_empty() {
                    steps.push(Step::Octets(std::mem::take(&mut octets)));
                }
                steps.push(Step::Event(*event));
                rest = behind;
            }
            (octet, _) => octets.push(*octet),
        }
    }
    if !octets.is_empty() {
        steps.push(Step::Octets(octets));
    }
    steps
}
