//! A text that is searched for without regard to case.

use encoding_rs::Encoding;
use memchr::memmem;

/// A text to be found. Characters are equal that have the same forms of case, much as
/// i;unicode-casemap has it (RFC 5051): each is put into capitals and those into small letters,
/// which also joins `ς` to `σ` and `ß` to `ss`. Unlike there nothing is decomposed: a letter with
/// an accent differs from the letter and an accent behind it.
#[derive(Clone, Debug)]
pub struct Needle {
    finder: memmem::Finder<'static>,
}

impl Needle {
    pub fn new(text: &str) -> Self {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        Self { finder: memmem::Finder::new(&folded).into_owned() }
    }

    /// An empty text is in every text.
    pub fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }

    pub fn is_in(&self, haystack: &str) -> bool {
        let mut folded = Vec::with_capacity(haystack.len());
        fold(haystack, &mut folded);
        self.is_in_folded(&folded)
    }

    /// Octets of the folded text.
    pub(super) fn len(&self) -> usize {
        self.finder.needle().len()
    }

    pub(super) fn is_in_folded(&self, folded: &[u8]) -> bool {
        self.finder.find(folded).is_some()
    }
}

/// Appends the text in the form in which needles are compared.
pub(super) fn fold(text: &str, folded: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let start = folded.len();
        let (ascii, behind) = rest.split_at(Encoding::ascii_valid_up_to(rest.as_bytes()));
        folded.extend_from_slice(ascii.as_bytes());
        folded[start..].make_ascii_lowercase();
        let end = behind.find(|next: char| next.is_ascii()).unwrap_or(behind.len());
        let (beyond, behind) = behind.split_at(end);
        beyond.chars().for_each(|character| fold_character(character, folded));
        rest = behind;
    }
}

fn fold_character(character: char, folded: &mut Vec<u8>) {
    let mut append = |character: char| {
        folded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    };
    match quickly(character) {
        Some(character) => append(character),
        None => slowly(character).for_each(append),
    }
}

fn slowly(character: char) -> impl Iterator<Item = char> {
    // Small letters first, for `\u{1e9e}` has no other way to `ss`.
    character.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// The same for the letters of which most texts are made, without a search in large tables.
fn quickly(character: char) -> Option<char> {
    let ahead = match character {
        // Capitals of Latin, Greek and Cyrillic, the last in two rows.
        '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{de}' => 0x20,
        '\u{391}'..='\u{3a1}' | '\u{3a3}'..='\u{3a9}' => 0x20,
        '\u{410}'..='\u{42f}' => 0x20,
        '\u{400}'..='\u{40f}' => 0x50,
        // Their small letters.
        '\u{e0}'..='\u{ff}' => 0,
        '\u{3b1}'..='\u{3c1}' | '\u{3c3}'..='\u{3c9}' => 0,
        '\u{430}'..='\u{45f}' => 0,
        // Scripts without case, from Hebrew to Burmese, punctuation, Han and kana, hangul.
        '\u{590}'..='\u{109f}' | '\u{2000}'..='\u{20ff}' => 0,
        '\u{2e80}'..='\u{a63f}' | '\u{ac00}'..='\u{d7a3}' => 0,
        _ => return None,
    };
    char::from_u32(u32::from(character) + ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_disregarded() {
        for (needle, haystack, found) in [
            ("", "", true),
            ("", "x", true),
            ("x", "", false),
            ("hello", "Oh, HeLLo!", true),
            ("hello", "hell o", false),
            ("\u{c4}PFEL", "\u{e4}pfel", true),
            ("apfel", "\u{e4}pfel", false),
            ("\u{3bf}\u{3b4}\u{3cc}\u{3c2}", "\u{39f}\u{394}\u{38c}\u{3a3}", true),
            (
                "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}",
                "\u{43f}\u{420}\u{418}\u{412}\u{415}\u{422}",
                true,
            ),
            ("strasse", "STRA\u{df}E", true),
            ("\u{65e5}\u{672c}", "in \u{65e5}\u{672c}.", true),
            ("i\u{307}", "\u{130}", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(haystack), found, "{needle:?} in {haystack:?}");
        }
    }

    #[test]
    fn quick_and_slow_agree() {
        for character in '\0'..=char::MAX {
            if let Some(quick) = quickly(character) {
                assert!(slowly(character).eq([quick]), "{:x}", u32::from(character));
            }
        }
    }

    /// What folds twice folds no further, so that two texts that are equal by steps are equal.
    #[test]
    fn folding_is_final() {
        for character in '\0'..=char::MAX {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            fold(&character.to_string(), &mut once);
            fold(std::str::from_utf8(&once).unwrap(), &mut twice);
            assert_eq!(once, twice, "{:x}", u32::from(character));
        }
    }
}
