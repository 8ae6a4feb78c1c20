//! Which plots a comparison has, and what each of them shows.

use super::{
    bars::{Bar, Bars, DotRow, Dots, Row, Stack, Stacks},
    curves::{backlog, cores, latency, over_time},
    figures::{Figures, Findings, Metric, SHARE_OF_CEILING, Spread, metric, plausible, ratio},
    plot::{Panel, Reference},
    scale::Scale,
    svg::{Area, Svg},
    words::{count, micros},
};
use crate::outcome::ImapCommand;

/// Drawings for a desk, and for a telephone.
pub const WIDE: f64 = 880.0;
pub const NARROW: f64 = 360.0;
/// Panels stand side by side where each has at least this much room.
const PANEL_MIN: f64 = 400.0;
const BETWEEN: f64 = 32.0;
/// A drawing in a file has paper around it.
const MARGIN: f64 = 16.0;
/// Kinds of system call that are told apart.
const KINDS_MAX: usize = 7;
/// The goal for a relay, as a share of the half that it can have.
const GOAL: f64 = 0.7;

pub struct Drawing {
    /// Of the file, without its ending.
    pub name: &'static str,
    pub title: String,
    pub caption: String,
    /// The first is shown unless the reader asks for the other.
    pub views: Vec<View>,
}

pub struct View {
    pub label: &'static str,
    pub panels: Vec<Box<dyn Panel>>,
}

/// All for which there are figures.
pub fn drawings(found: &Findings) -> Vec<Drawing> {
    [throughput, over_time, latency, cost, rounds, cores, backlog, calls, imap]
        .into_iter()
        .filter_map(|drawing| drawing(found))
        .collect()
}

impl View {
    pub fn draw(&self, width: f64, margin: bool) -> Svg {
        let margin = if margin { MARGIN } else { 0.0 };
        let inner = width - 2.0 * margin;
        let fitting = ((inner + BETWEEN) / (PANEL_MIN + BETWEEN)).floor().max(1.0) as usize;
        let columns = fitting.min(self.panels.len()).max(1);
        let column = (inner - BETWEEN * (columns - 1) as f64) / columns as f64;
        let height_of = |row: &[Box<dyn Panel>]| {
            row.iter().map(|panel| panel.height(column)).fold(0.0, f64::max)
        };
        let rows: Vec<_> = self.panels.chunks(columns).collect();
        let between = BETWEEN / 2.0 * rows.len().saturating_sub(1) as f64;
        let height = rows.iter().map(|row| height_of(row)).sum::<f64>() + between;
        let mut svg = Svg::new(width, height + 2.0 * margin);
        let mut top = margin;
        for row in rows {
            let height = height_of(row);
            for (index, panel) in row.iter().enumerate() {
                let left = margin + index as f64 * (column + BETWEEN);
                panel.draw(&mut svg, Area { left, top, width: column, height });
            }
            top += height + BETWEEN / 2.0;
        }
        svg
    }
}

fn throughput(found: &Findings) -> Option<Drawing> {
    let relayed = metric("relayed/s")?;
    let accepted = metric("accepted/s")?;
    found.lines().find(|figures| figures.relayed.is_some())?;
    let rows = found.lines().map(|figures| Row {
        mark: figures.mark,
        name: figures.name().into(),
        bar: bar(relayed, figures, "relayed a second"),
        pale: bar(accepted, figures, "accepted a second"),
    });
    let references = found.ceiling().map_or(vec![], |ceiling| {
        let half = ceiling * SHARE_OF_CEILING;
        let name = |what: &str, at: f64| format!("{what}: {}", count(at.round()));
        vec![
            Reference { at: half * GOAL, name: name("70 % of this half", half * GOAL) },
            Reference { at: half, name: name("half of it: a relay's limit", half) },
            Reference { at: ceiling, name: name("source to sink alone", ceiling) },
        ]
    });
    let panel = Bars { heading: "messages a second".into(), rows: rows.collect(), references };
    Some(Drawing {
        name: "throughput",
        title: "Throughput".into(),
        caption: "Thick: relayed, until the last message had reached the sink. Thin: accepted \
                  from the source. Bars are medians; circles are rounds, where they lie apart."
            .into(),
        views: vec![View { label: "", panels: vec![Box::new(panel)] }],
    })
}

fn cost(found: &Findings) -> Option<Drawing> {
    let panels: Vec<Box<dyn Panel>> = [
        ("CPU", "CPU time a message"),
        ("written", "written to disk a message"),
        ("memory", "own memory, at its highest"),
        ("syncs", "syncs a message"),
    ]
    .into_iter()
    .filter_map(|(short, heading)| cost_panel(found, metric(short)?, heading))
    .collect();
    (!panels.is_empty()).then(|| Drawing {
        name: "cost",
        title: "What a message costs".into(),
        caption: "Shorter is better. Bars are medians; circles are rounds, where they lie apart."
            .into(),
        views: vec![View { label: "", panels }],
    })
}

fn cost_panel(found: &Findings, metric: &Metric, heading: &str) -> Option<Box<dyn Panel>> {
    found.relays.iter().find(|figures| (metric.figure)(figures).is_some())?;
    let rows = found.relays.iter().map(|figures| Row {
        mark: figures.mark,
        name: figures.name().into(),
        bar: bar(metric, figures, heading),
        pale: None,
    });
    Some(Box::new(Bars { heading: heading.into(), rows: rows.collect(), references: vec![] }))
}

fn rounds(found: &Findings) -> Option<Drawing> {
    let row = |figures: &Figures| {
        let Spread { median, rounds, .. } = figures.relayed.as_ref()?;
        let dot = |(index, rate): (usize, &f64)| {
            let hint = format!("{}, round {}: {}/s", figures.name(), index + 1, count(*rate));
            (100.0 * (rate / median - 1.0), hint)
        };
        let dots: Vec<_> = rounds.iter().enumerate().map(dot).collect();
        let (mark, name) = (figures.mark, figures.name().into());
        (*median > 0.0 && dots.len() > 1).then_some(DotRow { mark, name, dots })
    };
    let rows: Vec<_> = found.lines().filter_map(row).collect();
    if rows.is_empty() {
        return None;
    }
    let apart = rows.iter().flat_map(|row| row.dots.iter().map(|(apart, _)| *apart));
    let panel = Dots {
        heading: "relayed a second, each round".into(),
        axis: "per cent from the server's own median".into(),
        scale: Scale::around_zero(apart.chain([5.0])),
        show: |value| format!("{}{}", if value > 0.0 { "+" } else { "" }, count(value)),
        rows,
    };
    Some(Drawing {
        name: "rounds",
        title: "How far the rounds lie apart".into(),
        caption: "A difference between servers means something where it is larger than the \
                  difference between the rounds of each."
            .into(),
        views: vec![View { label: "", panels: vec![Box::new(panel)] }],
    })
}

fn calls(found: &Findings) -> Option<Drawing> {
    let traced: Vec<&Figures> =
        found.relays.iter().filter(|figures| figures.calls.is_some()).collect();
    let kinds = kinds(&traced);
    if kinds.is_empty() {
        return None;
    }
    let stack = |figures: &&Figures| {
        let mut parts: Vec<f64> = kinds.iter().map(|kind| calls_of(figures, kind)).collect();
        let whole = figures.calls.as_ref().map_or(0.0, |spread| spread.median);
        parts.push((whole - parts.iter().sum::<f64>()).max(0.0));
        Stack { name: figures.name().into(), parts, text: count(whole) }
    };
    let names = || kinds.iter().map(|kind| (*kind).to_owned()).chain(["others".to_owned()]);
    let view = |label, heading: &str, rows: Vec<Stack>| -> View {
        let panel = Stacks { heading: heading.into(), kinds: names().collect(), rows };
        View { label, panels: vec![Box::new(panel)] }
    };
    let stacks = || traced.iter().map(stack);
    Some(Drawing {
        name: "calls",
        title: "System calls".into(),
        caption: "Counted in a round of its own under a tracer, which slows the server down: the \
                  calls a message are close, the rate is not told."
            .into(),
        views: vec![
            view("number", "system calls a message", stacks().collect()),
            view("share", "share of each server's calls", stacks().map(Stack::shares).collect()),
        ],
    })
}

/// The calls that make the largest shares, over all servers, the largest first.
fn kinds<'a>(traced: &[&Figures<'a>]) -> Vec<&'a str> {
    let mut kinds: Vec<(&str, f64)> = Vec::new();
    for figures in traced {
        let whole = figures.calls.as_ref().map_or(0.0, |spread| spread.median);
        for (name, calls) in &figures.server.syscalls {
            let share = ratio(*calls, whole).unwrap_or(0.0);
            match kinds.iter_mut().find(|(kind, _)| kind == name) {
                Some((_, shares)) => *shares += share,
                None => kinds.push((name, share)),
            }
        }
    }
    kinds.retain(|(_, share)| *share > 0.0);
    kinds.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    kinds.into_iter().take(KINDS_MAX).map(|(kind, _)| kind).collect()
}

fn calls_of(figures: &Figures, kind: &str) -> f64 {
    let same = figures.server.syscalls.iter().filter(|(name, _)| name == kind);
    same.map(|(_, calls)| *calls).filter(|calls| plausible(*calls)).sum()
}

fn imap(found: &Findings) -> Option<Drawing> {
    let mut names: Vec<&str> = Vec::new();
    for command in found.mailboxes.iter().flat_map(|figures| &figures.server.imap) {
        if !names.contains(&command.name.as_str()) {
            names.push(&command.name);
        }
    }
    let panel = |name: &str| -> Box<dyn Panel> {
        let row = |figures: &Figures| {
            let command = figures.server.imap.iter().find(|command| command.name == name);
            let bar = command.filter(|command| plausible(command.rate)).map(imap_bar);
            Row { mark: figures.mark, name: figures.name().into(), bar, pale: None }
        };
        let rows = found.mailboxes.iter().map(row).collect();
        Box::new(Bars { heading: name.into(), rows, references: vec![] })
    };
    let panels: Vec<_> = names.iter().map(|name| panel(name)).collect();
    (!panels.is_empty()).then(|| Drawing {
        name: "imap",
        title: "IMAP, by command".into(),
        caption: "Commands answered a second, and beside it the time that 99 of 100 took at \
                  most."
            .into(),
        views: vec![View { label: "", panels }],
    })
}

fn imap_bar(command: &ImapCommand) -> Bar {
    let text =
        format!("{}/s · p99 {}", count(command.rate.round()), micros(command.latency.p99_us));
    let hint = format!("{} {}", count(command.count as f64), command.name);
    Bar { value: command.rate, text, hint, rounds: vec![] }
}

fn bar(metric: &Metric, figures: &Figures, what: &str) -> Option<Bar> {
    let spread = (metric.figure)(figures)?;
    let text = (metric.show)(spread.median);
    let (least, most) = ((metric.show)(spread.least), (metric.show)(spread.most));
    let hint = format!("{}: {text} {what} ({least} to {most})", figures.name());
    let rounds = if spread.rounds.len() > 1 { spread.rounds.clone() } else { vec![] };
    Some(Bar { value: spread.median, text, hint, rounds })
}
