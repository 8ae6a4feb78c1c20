//! The summary as Markdown: the headline, tables with ratios, plots, machine and commands.

use std::fmt::Write as _;

use super::{
    drawings::drawings,
    facts::{conditions, machine},
    figures::{Figures, Findings, GROUPS, Group, Rank, ratio},
    words,
};

pub fn text(found: &Findings, plots: &str) -> String {
    let mut text = format!("**{}**\n", inline(&words::headline(found)));
    for sentence in words::ceiling(found).iter().chain(&words::cautions(found)) {
        let _ = write!(text, "\n{}\n", inline(sentence));
    }
    put_facts(&mut text, &conditions(found));
    put_facts(&mut text, &machine(&found.comparison.machine));
    put_servers(&mut text, found);
    for group in GROUPS {
        put_group(&mut text, found, group);
    }
    put_imap(&mut text, found);
    if !plots.is_empty() {
        put_plots(&mut text, found, plots);
    }
    if !found.comparison.notes.is_empty() {
        text.push_str("\n### Notes\n\n");
        for note in &found.comparison.notes {
            let _ = writeln!(text, "- {}", inline(note));
        }
    }
    let command = words::printable(&words::shell(&found.comparison.command));
    let fence = fence(&command);
    let _ = write!(text, "\nRepeat it with\n\n{fence}sh\n{command}\n{fence}\n");
    text
}

fn put_facts(text: &mut String, facts: &[(String, String)]) {
    text.push_str("\n| | |\n|---|---|\n");
    for (name, value) in facts {
        let _ = writeln!(text, "| {} | {} |", inline(name), inline(value));
    }
}

fn put_servers(text: &mut String, found: &Findings) {
    let answer = if found.mailboxes.is_empty() { "250" } else { "250 or OK" };
    let _ = write!(text, "\n| server | version | what its {answer} promises |\n|---|---|---|\n");
    for figures in found.all() {
        let server = figures.server;
        let promise = match figures.failure() {
            Some(reason) => format!("failed: {}", words::first_line(reason)),
            None => server.promise.clone(),
        };
        let cells = [&server.name, &server.version, &promise].map(|cell| inline(cell));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn put_group(text: &mut String, found: &Findings, group: Group) {
    let servers: Vec<&Figures> = match group {
        Group::Throughput | Group::Acknowledgement => found.lines().collect(),
        Group::Cost | Group::Safety => found.relays.iter().collect(),
    };
    let metrics: Vec<_> = group
        .metrics()
        .filter(|metric| servers.iter().any(|server| (metric.figure)(server).is_some()))
        .collect();
    if metrics.is_empty() {
        return;
    }
    let _ = write!(text, "\n### {}\n\n| server |", group.title(found.load));
    for metric in &metrics {
        let _ = write!(text, " {} |", metric.name);
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(metrics.len()));
    for server in servers {
        let _ = write!(text, "| {} |", inline(server.name()));
        for metric in &metrics {
            let Some(figure) = (metric.figure)(server) else {
                text.push_str(" – |");
                continue;
            };
            let _ = write!(text, " {}", (metric.show)(figure.median));
            if group == Group::Throughput && figure.rounds.len() > 1 {
                let (least, most) = ((metric.show)(figure.least), (metric.show)(figure.most));
                let _ = write!(text, " ({least}–{most})");
            }
            let base = found.relays.first().and_then(metric.figure).map(|first| first.median);
            let ratio = base.and_then(|base| ratio(figure.median, base));
            if let Some(ratio) = ratio.filter(|_| metric.rank != Rank::Fault) {
                let _ = write!(text, " · {}", words::times(ratio));
            }
            text.push_str(" |");
        }
        text.push('\n');
    }
}

fn put_imap(text: &mut String, found: &Findings) {
    let rows = found
        .mailboxes
        .iter()
        .flat_map(|server| server.server.imap.iter().map(|command| (server.name(), command)));
    for (index, (server, command)) in rows.enumerate() {
        if index == 0 {
            text.push_str(
                "\n### IMAP\n\n| server | command | a second | p50 | p99 | p99.9 | CPU | errors |\n\
                 |---|---|---:|---:|---:|---:|---:|---:|\n",
            );
        }
        let latency = &command.latency;
        let cells = [
            inline(server),
            inline(&command.name),
            words::count(command.rate.round()),
            words::micros(latency.p50_us),
            words::micros(latency.p99_us),
            words::micros(latency.p99_9_us),
            words::micros(command.cpu_us),
            words::count(command.errors as f64),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn put_plots(text: &mut String, found: &Findings, plots: &str) {
    for drawing in drawings(found) {
        let title = inline(&drawing.title);
        let _ = write!(text, "\n### {title}\n\n![{title}](<{}/", plots.replace(['<', '>'], "_"));
        let _ = write!(text, "{}.svg>)\n\n{}\n", drawing.name, inline(&drawing.caption));
    }
}

/// Text that stays in its table cell, and is neither markup nor HTML.
fn inline(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '#' => escaped.extend(['\\', letter]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Longer than any row of backticks in the text.
fn fence(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_in_its_cell() {
        assert_eq!(inline("a|b\n<c>`d`"), "a\\|b &lt;c&gt;\\`d\\`");
        assert_eq!(fence("plain"), "```");
        assert_eq!(fence("a ```` b"), "`````");
    }
}
