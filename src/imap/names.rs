//! The patterns of LIST, and the names that fit them (RFC 9051 §6.3.9).

use smallvec::SmallVec;

/// Whether a pattern of LIST, its reference before it, fits a name: `*` stands for anything, `%`
/// for anything within one level (RFC 9051 §6.3.9). `INBOX` fits in any case.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let inbox = match name.get(..5) {
        Some(first) if first == b"INBOX" && matches!(name.get(5), None | Some(b'/')) => 5,
        _ => 0,
    };
    let same = |at: usize, octet: u8| {
        if at < inbox { name[at].eq_ignore_ascii_case(&octet) } else { name[at] == octet }
    };
    // Every place of the pattern that may be next, in rising order, is carried along: the time is
    // bounded by the product of the lengths, whatever wildcards there are.
    let (mut live, mut next) = (Places::new(), Places::new());
    enter(&mut live, pattern, 0);
    for (at, octet) in name.iter().enumerate() {
        for &place in &live {
            match pattern.get(place) {
                Some(b'*') => enter(&mut next, pattern, place),
                Some(b'%') if *octet == b'/' => {}
                Some(b'%') => enter(&mut next, pattern, place),
                Some(wanted) if same(at, *wanted) => enter(&mut next, pattern, place + 1),
                _ => {}
            }
        }
        std::mem::swap(&mut live, &mut next);
        next.clear();
    }
    live.last() == Some(&pattern.len())
}

type Places = SmallVec<[usize; 16]>;

/// Puts a place in, and behind a wildcard the next one too, since it may stand for nothing.
fn enter(places: &mut Places, pattern: &[u8], mut place: usize) {
    while places.last().is_none_or(|last| *last < place) {
        places.push(place);
        match pattern.get(place) {
            Some(b'*' | b'%') => place += 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// The definition, in exponential time.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|at| plainly(rest, &name[at..])),
            [b'%', rest @ ..] => (0..=name.len())
                .take_while(|at| *at == 0 || name[at - 1] != b'/')
                .any(|at| plainly(rest, &name[at..])),
            [octet, rest @ ..] => name.first() == Some(octet) && plainly(rest, &name[1..]),
        }
    }

    #[test]
    fn patterns_fit_as_defined() {
        let mut random = Random::from_seed([4; 32]);
        for _ in 0..100_000 {
            let mut word = |letters: &[u8]| -> String {
                let letter = |_| char::from(letters[random.below(letters.len() as u32) as usize]);
                (0..8).map(letter).take_while(|c| *c != '.').collect()
            };
            let (pattern, name) = (word(b"ab/*%."), word(b"ab/."));
            let want = plainly(pattern.as_bytes(), name.as_bytes());
            assert_eq!(matches(&pattern, &name), want, "{pattern:?} {name:?}");
        }
        assert!(matches("inbox", "INBOX") && matches("inBox/%", "INBOX/a"));
        assert!(!matches("inbox", "INBOXES") && !matches("a/inbox", "a/INBOX"));
        assert!(!matches(&"*a%".repeat(5000), &"a/".repeat(4000)));
    }
}
