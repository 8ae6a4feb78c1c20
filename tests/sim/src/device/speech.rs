//! How a device takes in what it is told.

use super::words::Response;

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
