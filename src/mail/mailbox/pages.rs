//! A set of messages that is gone through in pages, from front to back.

use super::{Uid, Uids};

/// What is left of a set. A page costs the time of its own runs, however many the set has.
#[derive(Debug, Default)]
pub struct Pages {
    uids: Uids,
    /// Of the set's UIDs, so many lie behind.
    taken: u32,
}

impl Pages {
    pub fn new(uids: Uids) -> Self {
        Self { uids, taken: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.taken >= self.uids.count()
    }

    /// Takes the next page, of at most `count` UIDs.
    pub fn next(&mut self, count: usize) -> Uids {
        let page = self.uids.part(self.taken, u32::try_from(count).unwrap_or(u32::MAX));
        self.taken += page.count();
        page
    }

    /// The page came to its end before this one, which the next page begins with.
    pub fn back_to(&mut self, uid: Uid) {
        self.taken = self.uids.count_below(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_in_one_page() {
        let uids: Uids = [1, 2, 3, 7, 8, 20].into_iter().map(Uid).collect();
        let mut pages = Pages::new(uids);
        let next = |pages: &mut Pages| pages.next(4).iter().map(|uid| uid.0).collect::<Vec<_>>();
        assert_eq!(next(&mut pages), [1, 2, 3, 7]);
        // The store had no room for the last two, one of which has gone meanwhile.
        pages.back_to(Uid(3));
        assert_eq!(next(&mut pages), [3, 7, 8, 20]);
        assert!(pages.is_empty());
        pages.back_to(Uid(9));
        assert!(!pages.is_empty());
        assert_eq!(next(&mut pages), [20]);
        assert_eq!(next(&mut pages), Vec::<u32>::new());
        assert!(Pages::default().is_empty());
    }
}
