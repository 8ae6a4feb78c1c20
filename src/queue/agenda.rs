//! The agenda: when what lies on disk is due, for as many destinations as memory is given for.

use std::collections::BTreeSet;

use crate::{
    limits::AGENDA_MAX,
    mail::{Class, DestinationKey},
    time::Wall,
};

/// Due times on disk, soonest first; the latest are forgotten when there are too many, and found
/// again by the next look through the disk.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: BTreeSet<(Wall, DestinationKey, Class)>,
}

impl Agenda {
    /// Returns the entry that had to be forgotten for this one, if any.
    pub fn insert(
        &mut self,
        at: Wall,
        destination: DestinationKey,
        class: Class,
    ) -> Option<(DestinationKey, Class)> {
        self.entries.insert((at, destination, class));
        if self.entries.len() <= AGENDA_MAX {
            return None;
        }
        self.entries.pop_last().map(|(_, destination, class)| (destination, class))
    }

    pub fn remove(&mut self, at: Wall, destination: DestinationKey, class: Class) {
        self.entries.remove(&(at, destination, class));
    }

    pub fn first(&self) -> Option<(Wall, DestinationKey, Class)> {
        self.entries.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_forgotten() {
        let mut agenda = Agenda::default();
        let entry = |n: usize| (Wall::from_millis(n as u64), DestinationKey::from_u64(n as u64));
        for n in 0..AGENDA_MAX {
            let (at, key) = entry(n + 1);
            assert_eq!(agenda.insert(at, key, Class::Deferred), None);
        }
        let (at, key) = entry(0);
        let latest = entry(AGENDA_MAX).1;
        assert_eq!(agenda.insert(at, key, Class::Fresh), Some((latest, Class::Deferred)));
        assert_eq!(agenda.first(), Some((at, key, Class::Fresh)));
    }
}
