//! Takes numbers and pieces off the front of an input; at its end everything is zero and empty.

/// What is left of an input.
#[derive(Clone, Copy)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub fn u16(&mut self) -> u16 {
        u16::from(self.u8()) << 8 | u16::from(self.u8())
    }

    pub fn take(&mut self, octets: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(octets.min(self.0.len()));
        self.0 = rest;
        front
    }

    /// A piece whose length stands before it in one octet.
    pub fn piece(&mut self) -> &'a [u8] {
        let length = self.u8();
        self.take(length.into())
    }

    /// Up to the end of the line, whose LF is taken and not given.
    pub fn line(&mut self) -> &'a [u8] {
        let line = self.take(self.0.iter().position(|b| *b == b'\n').unwrap_or(self.0.len()));
        self.take(1);
        line
    }
}

/// `octets` in pieces whose lengths follow from `seed`.
pub fn cut(octets: &[u8], seed: u64) -> Vec<&[u8]> {
    let (mut pieces, mut rest, mut state) = (Vec::new(), octets, seed | 1);
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let most = [1, 2, 5, 40, 300][(state >> 33) as usize % 5];
        let (piece, behind) = rest.split_at(rest.len().min(1 + (state >> 40) as usize % most));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// A number that follows from the octets, so that each input has its own cuts.
pub fn seed_of(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
