//! How much room the store has: what the map, the disk and the reserve for deletes leave.

use crate::limits::{SPACE_FLOOR_MAX, SPACE_FLOOR_MIN};

/// Octets, as measured at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// The largest the store's file may grow.
    pub map: u64,
    /// In pages that hold rows.
    pub used: u64,
    /// The store's file as it is; it never shrinks, but its free pages are used again.
    pub file: u64,
    /// Free on the disk for us.
    pub disk: u64,
}

impl Room {
    /// What may still be accepted. LMDB needs free pages even to delete, so a floor stays free.
    pub fn free(self) -> u64 {
        self.unused().saturating_sub(self.floor())
    }

    /// Whether so much may be written that half the floor still stays free.
    pub fn takes(self, octets: u64) -> bool {
        self.unused() >= octets.saturating_add(self.floor() / 2)
    }

    fn capacity(self) -> u64 {
        self.map.min(self.disk.saturating_add(self.file))
    }

    fn unused(self) -> u64 {
        self.capacity().saturating_sub(self.used)
    }

    fn floor(self) -> u64 {
        (self.capacity() / 16).clamp(SPACE_FLOOR_MIN, SPACE_FLOOR_MAX)
    }
}

/// Whether `free` differs enough from what was `told` to be told again.
pub fn worth_telling(told: u64, free: u64) -> bool {
    told.abs_diff(free) > told / 64 || (told == 0) != (free == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn the_scarcer_of_map_and_disk_counts() {
        for (map, used, file, disk, free) in [
            (64 * MIB, 0, 0, 1000 * MIB, 60 * MIB),
            (64 * MIB, 60 * MIB, 64 * MIB, 1000 * MIB, 0),
            (64 * MIB, 64 * MIB, 64 * MIB, 1000 * MIB, 0),
            // The disk is full, but half of the file is free pages.
            (1000 * MIB, 50 * MIB, 100 * MIB, 0, 50 * MIB - 100 * MIB / 16),
            (1000 * MIB, 100 * MIB, 100 * MIB, MIB, 0),
            (1 << 40, 0, 0, 1 << 40, (1 << 40) - 1024 * MIB),
        ] {
            let room = Room { map, used, file, disk };
            assert_eq!(room.free(), free, "{room:?}");
            assert!(free == 0 || room.takes(free), "{room:?}");
        }
        let room = Room { map: 64 * MIB, used: 0, file: 0, disk: 1000 * MIB };
        assert!(room.takes(62 * MIB) && !room.takes(62 * MIB + 1));
    }

    #[test]
    fn small_changes_are_not_told() {
        for (told, free, worth) in [
            (6400, 6400, false),
            (6400, 6300, false),
            (6400, 6299, true),
            (0, 0, false),
            (1, 0, true),
            (0, 1, true),
        ] {
            assert_eq!(worth_telling(told, free), worth, "{told} {free}");
        }
    }
}
