//! The result as a person reads it.

use std::fmt::Write;

use crate::{
    outcome::{Ended, Imap, ImapCommand},
    units::{show_count, show_micros},
};

/// Troubles that are shown; all of them are in the JSON.
const TROUBLES_SHOWN: usize = 10;

pub fn text(imap: &Imap) -> String {
    let mut text = format!(
        "{}: {} sessions, {} accounts, {:.1} s{}\n\n",
        imap.target,
        show_count(imap.sessions),
        show_count(imap.accounts),
        imap.seconds,
        match imap.ended {
            Ended::Count | Ended::Duration => "",
            Ended::Deadline => ", cut by the deadline",
            Ended::Interrupted => ", interrupted",
        }
    );
    let cpu = imap.commands.iter().any(|command| command.cpu_us > 0.0);
    let mut rows = vec![heading(cpu)];
    rows.extend(imap.commands.iter().map(|command| row(command, cpu)));
    align(&mut text, &rows);
    if !imap.troubles.is_empty() {
        text.push_str("\nTroubles\n");
    }
    for trouble in imap.troubles.iter().take(TROUBLES_SHOWN) {
        let _ = writeln!(text, "{:>9}  {}", show_count(trouble.count), trouble.text);
    }
    if let Some(more) = imap.troubles.len().checked_sub(TROUBLES_SHOWN + 1) {
        let _ = writeln!(text, "{:>9}  and {} other texts", "", more + 1);
    }
    text
}

fn heading(cpu: bool) -> Vec<String> {
    let mut cells =
        vec!["command", "done", "errors", "a second", "p50", "p90", "p99", "p99.9", "max"];
    if cpu {
        cells.push("server CPU");
    }
    cells.into_iter().map(str::to_owned).collect()
}

fn row(command: &ImapCommand, cpu: bool) -> Vec<String> {
    let latency = &command.latency;
    let mut cells = vec![
        command.name.clone(),
        show_count(command.count),
        show_count(command.errors),
        match command.rate {
            rate if rate < 100.0 => format!("{rate:.1}"),
            rate => show_count(rate.round() as u64),
        },
    ];
    let times = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us, latency.max_us];
    cells.extend(times.map(|micros| match command.count {
        0 => "-".to_owned(),
        _ => show_micros(micros),
    }));
    if cpu {
        cells.push(show_micros(command.cpu_us));
    }
    cells
}

/// The first column to the left, the others to the right.
fn align(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = (0..columns)
        .map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match index {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Latency, Trouble};

    #[test]
    fn the_table_is_read_at_a_glance() {
        let latency = Latency {
            count: 12_000,
            p50_us: 840.0,
            p90_us: 1_200.0,
            p99_us: 4_000.0,
            p99_9_us: 9_000.0,
            max_us: 20_000.0,
            ..Latency::default()
        };
        let imap = Imap {
            command: Vec::new(),
            version: String::new(),
            target: "127.0.0.1:143".into(),
            ended: Ended::Interrupted,
            seconds: 10.04,
            accounts: 1000,
            sessions: 10,
            commands: vec![
                ImapCommand {
                    name: "select".into(),
                    count: 12_000,
                    rate: 1_195.2,
                    latency,
                    ..ImapCommand::default()
                },
                ImapCommand { name: "idle".into(), errors: 3, ..ImapCommand::default() },
            ],
            troubles: vec![Trouble { text: "APPEND: NO full".into(), count: 3 }],
            series: Vec::new(),
        };
        let wanted = "\
127.0.0.1:143: 10 sessions, 1,000 accounts, 10.0 s, interrupted

command    done  errors  a second     p50      p90      p99    p99.9      max
select   12,000       0     1,195  840 µs  1.20 ms  4.00 ms  9.00 ms  20.0 ms
idle          0       3       0.0       -        -        -        -        -

Troubles
        3  APPEND: NO full
";
        assert_eq!(text(&imap), wanted);
    }
}
