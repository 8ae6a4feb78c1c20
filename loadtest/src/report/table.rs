//! The summary for a terminal: a table a group of figures, a line a server.

use std::fmt::Write as _;

use super::{
    figures::{Figures, Findings, GROUPS, Group, Metric, Rank, ratio},
    words::{self, printable},
};

/// A name takes no more columns than this.
const NAME_COLUMNS_MAX: usize = 24;
const BETWEEN: &str = "  ";

pub fn text(found: &Findings) -> String {
    let mut text = words::headline(found);
    text.push('\n');
    for sentence in words::ceiling(found).iter().chain(&words::cautions(found)) {
        let _ = writeln!(text, "{sentence}");
    }
    for group in GROUPS {
        put_group(&mut text, found, group);
    }
    put_imap(&mut text, found);
    put_lines(&mut text, "What each 250 promises", found.relays.iter().map(promise));
    put_lines(&mut text, "Notes", found.comparison.notes.iter().cloned());
    printable(&text)
}

fn put_group(text: &mut String, found: &Findings, group: Group) {
    let servers: Vec<&Figures> = match group {
        Group::Throughput | Group::Acknowledgement => found.lines().collect(),
        Group::Cost | Group::Safety => found.relays.iter().collect(),
    };
    let metrics: Vec<&Metric> = group
        .metrics()
        .filter(|metric| servers.iter().any(|server| (metric.figure)(server).is_some()))
        .collect();
    if metrics.is_empty() {
        return;
    }
    let mut head = vec![group.title(found.load)];
    for metric in &metrics {
        head.push(metric.short.into());
        head.extend(besides(metric, "×", "least–most"));
    }
    let mut rows = vec![head];
    for server in &servers {
        let mut row = vec![name(server)];
        for metric in &metrics {
            row.extend(cells(found, metric, server));
        }
        rows.push(row);
    }
    put_columns(text, &rows);
}

/// The columns beside a figure: its ratio, and for rates how far the rounds lie apart.
fn besides(metric: &Metric, ratio: &str, range: &str) -> Vec<String> {
    match (metric.rank, metric.group) {
        (Rank::Fault, _) => vec![],
        (_, Group::Throughput) => vec![range.into(), ratio.into()],
        _ => vec![ratio.into()],
    }
}

fn cells(found: &Findings, metric: &Metric, server: &Figures) -> Vec<String> {
    let Some(figure) = (metric.figure)(server) else {
        let mut none = vec!["-".to_owned()];
        none.extend(besides(metric, "", ""));
        return none;
    };
    let mut cells = vec![(metric.show)(figure.median)];
    let base = found.relays.first().and_then(metric.figure).map(|first| first.median);
    let ratio = base.and_then(|base| ratio(figure.median, base)).map_or("".into(), words::times);
    let range = format!("{}–{}", (metric.show)(figure.least), (metric.show)(figure.most));
    cells.extend(besides(metric, &ratio, &range));
    cells
}

fn put_imap(text: &mut String, found: &Findings) {
    let head = ["IMAP", "command", "a second", "p50", "p99", "CPU", "errors"].map(String::from);
    let mut rows = vec![head.to_vec()];
    for server in &found.mailboxes {
        for command in &server.server.imap {
            rows.push(vec![
                name(server),
                command.name.clone(),
                words::count(command.rate.round()),
                words::micros(command.latency.p50_us),
                words::micros(command.latency.p99_us),
                words::micros(command.cpu_us),
                words::count(command.errors as f64),
            ]);
        }
    }
    if rows.len() > 1 {
        put_columns(text, &rows);
    }
}

/// The first column to the left, figures to the right.
fn put_columns(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    text.push('\n');
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "{BETWEEN}{cell:>width$}"),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn put_lines(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        if index == 0 {
            let _ = writeln!(text, "\n{title}");
        }
        let _ = writeln!(text, "  {}", line.replace('\n', " "));
    }
}

fn promise(figures: &Figures) -> String {
    format!("{}: {}", name(figures), figures.server.promise)
}

fn name(figures: &Figures) -> String {
    let name = figures.name();
    if name.chars().count() <= NAME_COLUMNS_MAX {
        return name.into();
    }
    name.chars().take(NAME_COLUMNS_MAX - 1).chain(['…']).collect()
}
