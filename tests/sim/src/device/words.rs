//! The words of IMAP, read once more so that no mistake of the relay can hide behind its own.

/// One response: its line, with `{}` where a literal stood, and the literals.
#[derive(Debug, Default)]
pub struct Response {
    pub line: String,
    pub literals: Vec<Vec<u8>>,
}

/// 3 in `3 EXISTS`, where it is that word.
pub fn number_before(text: &str, word: &str) -> Option<usize> {
    let (number, rest) = text.split_once(' ')?;
    rest.split([' ', '\r']).next().filter(|found| *found == word)?;
    number.parse().ok()
}

/// The number behind a word: 7 in `UID 7 `.
pub fn number_after(text: &str, word: &str) -> Option<u64> {
    let start = text.find(word)? + word.len();
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    text[start..start + digits].parse().ok()
}

/// What stands within the list behind a word, in lower case, in order, and without `\recent`.
pub fn list_after(text: &str, word: &str) -> Option<String> {
    let start = text.find(word)? + word.len();
    let (list, _) = text[start..].split_once(')')?;
    let list = list.to_lowercase();
    let mut words: Vec<&str> = list.split(' ').filter(|w| !w.is_empty()).collect();
    words.retain(|word| *word != "\\recent");
    words.sort_unstable();
    Some(words.join(" "))
}

/// The numbers of a set, in the order in which it names them; a large one is none.
pub fn numbers_of(set: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in set.trim().split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let (low, high) = (first.min(last), first.max(last));
        if high - low > 100_000 {
            return None;
        }
        match first <= last {
            true => numbers.extend(low..=high),
            false => numbers.extend((low..=high).rev()),
        }
    }
    Some(numbers)
}

/// Numbers as a set.
pub fn set_of(numbers: &[u32]) -> String {
    let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
    words.join(",")
}
