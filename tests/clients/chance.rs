//! Changes by chance, as a user makes them: what two sides must agree on afterwards.

use std::{collections::BTreeSet, path::Path};

use ringmail::random::Random;

use super::{imap::Imap, letter::long_letter, maildir, support::proof_size};

/// The folders that are changed; they must be there.
pub const FOLDERS: [&str; 3] = ["INBOX", "Work", "Work/Old"];

const FLAGS: [&str; 4] = ["\\Answered", "\\Draft", "\\Flagged", "\\Seen"];

/// `RINGMAIL_PROOF_ROUNDS=200` makes a longer proof of it.
pub fn rounds() -> usize {
    proof_size("RINGMAIL_PROOF_ROUNDS", 10)
}

pub struct Chance {
    /// What repeats it: `RINGMAIL_PROOF_SEED`.
    pub seed: usize,
    random: Random,
    letters: usize,
}

impl Chance {
    pub fn new() -> Self {
        let seed = proof_size("RINGMAIL_PROOF_SEED", 143);
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&seed.to_le_bytes());
        Self { seed, random: Random::from_seed(octets), letters: 0 }
    }

    /// A round of changes to Maildirs: four messages in twelve are changed, new ones come.
    pub fn change_maildirs(&mut self, root: &Path) {
        for folder in FOLDERS {
            for file in maildir::files(&root.join(folder)) {
                match self.random.below(12) {
                    0 => std::fs::remove_file(&file.path).unwrap(),
                    1 => file.set_flags(&BTreeSet::from(["\\Deleted".to_owned()])),
                    2 | 3 => file.set_flags(&self.some_flags()),
                    _ => {}
                }
            }
        }
        for _ in 0..self.random.below(6) {
            let folder = self.folder();
            let (id, text) = self.letter();
            maildir::add(&root.join(folder), &format!("{id}.here.example"), &text);
        }
    }

    /// The same on a server.
    pub fn change_folders(&mut self, imap: &mut Imap) {
        for folder in FOLDERS {
            let other = self.folder();
            for message in imap.messages(folder) {
                let uid = message.uid;
                match self.random.below(12) {
                    0 => {
                        imap.ask(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
                        imap.ask(&format!("UID EXPUNGE {uid}"));
                    }
                    1 => drop(imap.ask(&format!("UID MOVE {uid} {other}"))),
                    2 | 3 => {
                        let flags = self.some_flags().into_iter().collect::<Vec<_>>().join(" ");
                        imap.ask(&format!("UID STORE {uid} FLAGS.SILENT ({flags})"));
                    }
                    _ => {}
                }
            }
        }
        for _ in 0..self.random.below(6) {
            let folder = self.folder();
            let flags = self.some_flags().into_iter().collect::<Vec<_>>().join(" ");
            let (_, text) = self.letter();
            imap.append(folder, &flags, &text);
        }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u32) as usize
    }

    fn folder(&mut self) -> &'static str {
        FOLDERS[self.below(FOLDERS.len())]
    }

    fn some_flags(&mut self) -> BTreeSet<String> {
        let chosen = FLAGS.iter().filter(|_| self.random.below(3) == 0);
        chosen.map(|flag| (*flag).to_owned()).collect()
    }

    /// A new one, long now and then.
    fn letter(&mut self) -> (String, Vec<u8>) {
        self.letters += 1;
        let id = format!("letter-{}", self.letters);
        let octets = if self.random.below(8) == 0 { 150_000 } else { self.random.below(3_000) };
        let text = long_letter(&id, octets as usize);
        (id, text)
    }
}
