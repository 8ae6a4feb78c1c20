//! What must be in a mailbox, by what clients were told.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::support::imap::Mirror;

/// UIDs are those of INBOX.
#[derive(Default)]
pub struct Model {
    /// Appended, with their ids.
    pub ids: HashMap<u32, String>,
    /// Copies within INBOX by their originals.
    pub copies: HashMap<u32, u32>,
    /// Messages of the other mailbox by their originals.
    pub moved: Vec<(u32, u32)>,
    /// Somebody has tried to delete or move it.
    pub doubtful: HashSet<u32>,
    /// `\Deleted` for certain.
    pub deleted: HashSet<u32>,
    /// Expunged for certain.
    pub gone: HashSet<u32>,
    /// What each session said last of its keyword, where that is certain.
    pub keywords: HashMap<(u32, usize), Option<bool>>,
    /// What was read under which UID.
    pub seen: Vec<(u32, String)>,
    /// Copies were asked for that were not made.
    not_copied: HashSet<u32>,
}

impl Model {
    /// A copy of `asked` was made of `from`.
    pub fn copied(&mut self, asked: &[u32], from: &[u32]) {
        self.not_copied.extend(asked.iter().filter(|uid| !from.contains(uid)));
    }

    fn id(&self, uid: u32) -> &str {
        match self.copies.get(&uid) {
            Some(original) => self.id(*original),
            None => self.ids.get(&uid).unwrap_or_else(|| panic!("nobody made UID {uid}")),
        }
    }

    fn is_doubtful(&self, uid: u32) -> bool {
        let original = self.copies.get(&uid);
        self.doubtful.contains(&uid) || original.is_some_and(|uid| self.is_doubtful(*uid))
    }

    pub fn check(&self, fresh: &Mirror, ids: &[(u32, String)], what: &str) {
        for (uid, id) in ids.iter().chain(&self.seen) {
            assert_eq!(self.id(*uid), id, "{what}: UID {uid}");
        }
        let present: BTreeSet<u32> = fresh.uids().into_iter().collect();
        assert_eq!(present.len(), ids.len(), "{what}: a message has no id");
        for uid in self.ids.keys().chain(self.copies.keys()) {
            let stays = !self.is_doubtful(*uid);
            assert!(!stays || present.contains(uid), "{what}: UID {uid} is lost");
            assert!(!stays || !self.not_copied.contains(uid), "{what}: UID {uid} was not copied");
        }
        for uid in &self.gone {
            assert!(!present.contains(uid), "{what}: UID {uid} was expunged and is there");
        }
        for known in &fresh.messages {
            let (uid, flags) = (known.uid.unwrap(), known.flags.as_ref().unwrap());
            for ((_, session), on) in self.keywords.iter().filter(|((of, _), _)| *of == uid) {
                let is_on = flags.contains(&format!("k{session}"));
                assert!(on.is_none_or(|on| on == is_on), "{what}: UID {uid} k{session} {is_on}");
            }
        }
    }

    /// Every message of the other mailbox is what it is a copy of, and all are there.
    pub fn check_moved(&self, ids: &[(u32, String)], what: &str) {
        let found: HashMap<u32, &str> = ids.iter().map(|(uid, id)| (*uid, id.as_str())).collect();
        assert_eq!(found.len(), self.moved.len(), "{what}: too many or too few");
        for (uid, original) in &self.moved {
            assert_eq!(found.get(uid), Some(&self.id(*original)), "{what}: UID {uid}");
        }
    }
}
