//! System calls a message, from the table that `strace -c` writes.

use std::collections::BTreeMap;

/// Calls by name.
pub type Calls = BTreeMap<String, u64>;

/// Reads the table: `% time  seconds  usecs/call  calls  [errors]  syscall`.
pub fn calls(table: &str) -> Calls {
    table
        .lines()
        .filter_map(|line| {
            let fields = line.split_whitespace().collect::<Vec<_>>();
            let (name, count) = (fields.last()?, fields.get(3)?.parse().ok()?);
            (fields.len() >= 5 && *name != "total").then(|| ((*name).to_owned(), count))
        })
        .collect()
}

/// Each call's share of a message: what a run with messages made beyond one that only started and
/// ended. The most frequent come first.
pub fn a_message(with: &Calls, without: &Calls, messages: u64) -> Vec<(String, f64)> {
    let mut shares = with
        .iter()
        .map(|(name, count)| {
            let more = count.saturating_sub(without.get(name).copied().unwrap_or(0));
            (name.clone(), more as f64 / messages.max(1) as f64)
        })
        .filter(|(_, share)| *share > 0.0)
        .collect::<Vec<_>>();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_a_message() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000030          30       110           write
 40.00    0.000020           2        45         9 openat
  0.00    0.000000           0        10           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.000050                   165         9 total
";
        let with = calls(table);
        assert_eq!(with.len(), 3, "{with:?}");
        let without = [("write", 10), ("read", 20)].map(|(name, n)| (name.to_owned(), n)).into();
        let shares = a_message(&with, &without, 100);
        assert_eq!(shares, [("write".to_owned(), 1.0), ("openat".to_owned(), 0.45)]);
        assert_eq!(calls(""), Calls::new());
    }
}
