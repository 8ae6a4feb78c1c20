//! A TOML text read key by key: what is wrong is gathered with its line, and a key that nobody
//! asked for is unknown.

use std::{
    borrow::Cow,
    cell::RefCell,
    ops::{Range, RangeInclusive},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::{Fault, Trouble},
    forms::{Formed, Refusal},
};

/// What is shown of a value that is refused, in characters.
const FOUND_SHOWN: usize = 60;

pub(super) struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
    faults: RefCell<Vec<Fault>>,
}

/// One table of a document; one that is not written has no keys.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    /// Empty for the top of the document.
    name: &'static str,
    table: Option<&'d DeTable<'d>>,
    line: Option<usize>,
    /// The keys asked for.
    known: Vec<&'static str>,
    /// Keys of the interface that are refused until what they set is built.
    unbuilt: Vec<&'static str>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Document<'t>, Vec<Fault>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Document { text, root: root.into_inner(), faults: RefCell::default() };
        let syntax = |error: toml::de::Error| Fault {
            line: error.span().map(|span| document.line(&span)),
            trouble: Trouble::Syntax(error.message().to_owned()),
        };
        let mut faults: Vec<Fault> = errors.into_iter().map(syntax).collect();
        faults.sort_by_key(|fault| fault.line);
        // One slip confuses the parser for the rest of its line.
        faults.dedup_by_key(|fault| fault.line);
        if faults.is_empty() { Ok(document) } else { Err(faults) }
    }

    /// Reads the top of the document; its sections are read by `read`.
    pub(super) fn top<T>(&self, read: impl FnOnce(&mut Section) -> T) -> T {
        Section::new(self, "", Some(&self.root), None).read_with(read)
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.borrow().is_empty()
    }

    /// All that was found wrong, in the order of the lines.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        faults
    }

    pub(super) fn fault(&self, line: Option<usize>, trouble: Trouble) {
        self.faults.borrow_mut().push(Fault { line, trouble });
    }

    /// Two values that are each right and do not go together: `key` of the section (the
    /// `number`th of its name) is shown as it is written, or as `default`.
    pub(super) fn clash(
        &self,
        (section, number): (&str, usize),
        key: &str,
        default: String,
        expected: String,
    ) {
        let table = self.table(section, number);
        let written = match table {
            Some(table) => table.get_ref().get(key),
            None => self.root.get(key).filter(|_| section.is_empty()),
        };
        let (line, found) = match (written, table) {
            (Some(value), _) => (Some(self.line(&value.span())), self.found(value)),
            (None, Some(table)) => {
                (Some(self.line(&table.span())), format!("{default} by default"))
            }
            (None, None) => (None, format!("{default} by default")),
        };
        let key = full_name(section, key);
        self.fault(line, Trouble::Wrong { key, found, expected: expected.into() });
    }

    fn table(&self, section: &str, number: usize) -> Option<&Spanned<DeValue<'t>>> {
        let value = self.root.get(section)?;
        match value.get_ref() {
            DeValue::Array(array) => array.get(number),
            _ => Some(value),
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count()
    }

    /// The value as it is written.
    fn found(&self, value: &Spanned<DeValue>) -> String {
        if value.get_ref().is_table() {
            return "a table".to_owned();
        }
        let written = self.text.get(value.span()).unwrap_or_default();
        let first = written.lines().next().unwrap_or_default();
        let shown: String = first.chars().take(FOUND_SHOWN).collect();
        if shown.len() == written.len() { shown } else { shown + "…" }
    }
}

impl<'d> Section<'d> {
    fn new(
        document: &'d Document<'d>,
        name: &'static str,
        table: Option<&'d DeTable<'d>>,
        line: Option<usize>,
    ) -> Section<'d> {
        Section { document, name, table, line, known: Vec::new(), unbuilt: Vec::new() }
    }

    /// A table under this one.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section) -> T,
    ) -> T {
        let value = self.value(name);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.refuse(name, value, Refusal::Expected(format!("a table: [{name}]").into()));
        }
        Section::new(self.document, name, table, None).read_with(read)
    }

    /// An array of tables under this one; `None` when it is not written.
    pub(super) fn sections<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Section) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.value(name)?;
        let form = || Refusal::Expected(format!("a table for each: [[{name}]]").into());
        let Some(array) = value.get_ref().as_array() else {
            self.refuse(name, value, form());
            return Some(Vec::new());
        };
        let mut all = Vec::new();
        for element in array.iter() {
            let Some(table) = element.get_ref().as_table() else {
                self.refuse(name, element, form());
                continue;
            };
            let line = Some(self.document.line(&element.span()));
            let section = Section::new(self.document, name, Some(table), line);
            all.extend(section.read_with(&mut read));
        }
        Some(all)
    }

    /// The value of `key`; `default` when it is not written, or wrong.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: T,
        form: impl FnOnce(&DeValue) -> Formed<T>,
    ) -> T {
        let Some(value) = self.value(key) else { return default };
        form(value.get_ref()).unwrap_or_else(|refusal| {
            self.refuse(key, value, refusal);
            default
        })
    }

    /// The value of a key without a default.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        form: impl FnOnce(&DeValue) -> Formed<T>,
    ) -> Option<T> {
        if self.table.is_some_and(|table| table.get(key).is_some()) {
            return self.read(key, None, |value| form(value).map(Some));
        }
        self.known.push(key);
        self.missing(key, expected.into());
        None
    }

    /// An array of so many elements, each of one form; those that are wrong are left out.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        counts: RangeInclusive<usize>,
        form: impl Fn(&DeValue) -> Formed<T>,
    ) -> Vec<T> {
        let expected = format!("a list [\"…\"] of {} to {}", counts.start(), counts.end());
        let Some(value) = self.value(key) else {
            if !counts.contains(&default.len()) {
                self.missing(key, expected.into());
            }
            return default;
        };
        let array = value.get_ref().as_array().filter(|array| counts.contains(&array.len()));
        let Some(array) = array else {
            self.refuse(key, value, Refusal::Expected(expected.into()));
            return default;
        };
        let mut all = Vec::with_capacity(array.len());
        for element in array.iter() {
            match form(element.get_ref()) {
                Ok(formed) => all.push(formed),
                Err(refusal) => self.refuse(key, element, refusal),
            }
        }
        all
    }

    /// A key or a table that no build reads yet.
    pub(super) fn not_built(&mut self, key: &'static str, what: &'static str) {
        self.unbuilt.push(key);
        if let Some((name, value)) = self.table.and_then(|table| table.get_key_value(key)) {
            let trouble = Trouble::NotBuilt {
                key: full_name(self.name, key),
                found: self.document.found(value),
                what,
                instead: "leave it out",
            };
            self.document.fault(Some(self.document.line(&name.span())), trouble);
        }
    }

    fn read_with<T>(mut self, read: impl FnOnce(&mut Section<'d>) -> T) -> T {
        let value = read(&mut self);
        self.tell_unknown();
        value
    }

    fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// What has to be written is not.
    fn missing(&self, key: &str, expected: Cow<'static, str>) {
        let key = full_name(self.name, key);
        self.document.fault(self.line, Trouble::Missing { key, expected });
    }

    fn refuse(&self, key: &str, value: &Spanned<DeValue>, refusal: Refusal) {
        let (key, found) = (full_name(self.name, key), self.document.found(value));
        let trouble = match refusal {
            Refusal::Expected(expected) => Trouble::Wrong { key, found, expected },
            Refusal::NotBuilt { what, instead } => Trouble::NotBuilt { key, found, what, instead },
        };
        self.document.fault(Some(self.document.line(&value.span())), trouble);
    }

    fn tell_unknown(&self) {
        for name in self.table.into_iter().flat_map(DeTable::keys) {
            let key: &str = name.get_ref();
            if !self.known.contains(&key) && !self.unbuilt.contains(&key) {
                let (hint, key) = (hint(key, &self.known), full_name(self.name, key));
                let line = Some(self.document.line(&name.span()));
                self.document.fault(line, Trouble::Unknown { key, hint });
            }
        }
    }
}

fn full_name(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The nearest of `known`, or all of them.
fn hint(key: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(key, known), known)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 4 => format!("did you mean {name}?"),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// Levenshtein's: letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_keys() {
        for (key, hinted) in [
            ("recipient_max", "did you mean recipients_max?"),
            ("reciepients_max", "did you mean recipients_max?"),
            ("err_max", "did you mean errors_max?"),
            ("colour", "expected one of recipients_max, errors_max"),
            ("", "expected one of recipients_max, errors_max"),
        ] {
            assert_eq!(hint(key, &["recipients_max", "errors_max"]), hinted, "{key}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, letters) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), letters, "{a} {b}");
        }
    }
}
