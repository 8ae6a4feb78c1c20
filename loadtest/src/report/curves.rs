//! The plots with lines: through time, by percentile, over cores and over a backlog.

use super::{
    drawings::{Drawing, View},
    figures::{Figures, Findings, latency_rounds, median_round, plausible, ratio, spread},
    plot::{Axis, Line, Lines, Panel, Reference},
    scale::Scale,
    words::{count, micros, round_micros, times},
};
use crate::outcome::{Point, Progress, Round};

/// A line through time has no more points: longer runs are averaged.
const POINTS_MAX: usize = 120;
/// Where latencies get a dot, and their value can be pointed at.
const DOTTED: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

pub fn over_time(found: &Findings) -> Option<Drawing> {
    let relayed = time_lines(found, |round| &round.relayed);
    let accepted = time_lines(found, |round| &round.accepted);
    if relayed.is_empty() && accepted.is_empty() {
        return None;
    }
    let view = |label, log| View {
        label,
        panels: vec![
            time_panel("relayed a second", &relayed, log),
            time_panel("accepted a second", &accepted, log),
        ],
    };
    Some(Drawing {
        name: "over-time",
        title: "Throughput over time".into(),
        caption: "The median round of each server, from its first message on. A line ends where \
                  the work was done: the sooner, the better. A stop touches the ground."
            .into(),
        views: vec![view("logarithmic", true), view("linear", false)],
    })
}

/// The median round of each server; both clocks begin with the round's first message.
fn time_lines(found: &Findings, series: fn(&Round) -> &[Progress]) -> Vec<Line> {
    let line = |figures: &Figures| {
        let round = median_round(&figures.server.closed, |round| round.relayed_rate)?;
        let points = averaged(series(round));
        (points.len() > 1).then(|| Line::new(figures, points))
    };
    found.lines().filter_map(line).collect()
}

fn time_panel(heading: &str, lines: &[Line], log: bool) -> Box<dyn Panel> {
    let seconds = lines.iter().flat_map(|line| line.points.iter().map(|(second, _)| *second));
    let rates = lines.iter().flat_map(|line| line.points.iter().map(|(_, rate)| *rate));
    let scale = if log { Scale::log(rates) } else { Scale::from_zero(rates) };
    Box::new(Lines {
        heading: heading.into(),
        x: Axis { scale: Scale::from_zero(seconds), show: count, name: "seconds".into() },
        y: Axis { scale, show: count, name: String::new() },
        lines: lines.to_vec(),
        references: vec![],
        height: 330.0,
    })
}

/// Rates at the middle of equal stretches of lines, so that a long run has a short path.
fn averaged(series: &[Progress]) -> Vec<(f64, f64)> {
    let known = |line: &&Progress| plausible(line.seconds) && plausible(line.rate);
    let lines: Vec<&Progress> = series.iter().filter(known).collect();
    let stretch = lines.len().div_ceil(POINTS_MAX).max(1);
    let mean = |lines: &[&Progress], value: fn(&Progress) -> f64| {
        lines.iter().map(|line| value(line)).sum::<f64>() / lines.len() as f64
    };
    lines
        .chunks(stretch)
        .map(|lines| (mean(lines, |line| line.seconds), mean(lines, |line| line.rate)))
        .collect()
}

pub fn latency(found: &Findings) -> Option<Drawing> {
    let line = |figures: &Figures| {
        let rounds = latency_rounds(figures.server, found.load);
        let round = median_round(rounds, |round| round.acknowledgement.p99_us)?;
        let curve = &round.acknowledgement.curve;
        let known = |(at, micros): &&(f64, f64)| plausible(*at) && plausible(*micros);
        let told = |(at, _): &&(f64, f64)| *at <= 99.995;
        let points: Vec<_> = curve.iter().filter(known).filter(told).copied().collect();
        let dots = DOTTED.into_iter().filter_map(|at| {
            let (_, value) = *points.iter().find(|(percentile, _)| *percentile >= at)?;
            Some((at, value, format!("{}: p{at} {}", figures.name(), micros(value))))
        });
        let dots = dots.collect();
        (points.len() > 1).then(|| Line { dots, ..Line::new(figures, points.clone()) })
    };
    let lines: Vec<Line> = found.lines().filter_map(line).collect();
    if lines.is_empty() {
        return None;
    }
    let sync = &found.comparison.machine.sync;
    let reference = |name: &str, at: f64| {
        let name = format!("{name}: {}", micros(at));
        (sync.count > 0 && plausible(at)).then_some(Reference { at, name })
    };
    let references: Vec<Reference> =
        [reference("disk's sync, p99", sync.p99_us), reference("disk's sync, p50", sync.p50_us)]
            .into_iter()
            .flatten()
            .collect();
    let values = lines.iter().flat_map(|line| line.points.iter().map(|(_, micros)| *micros));
    let scale = Scale::log(values.chain(references.iter().map(|reference| reference.at)));
    let panel = Lines {
        heading: format!("time to the 250, {}", found.load.words()),
        x: Axis { scale: Scale::Percentile, show: percentile, name: "percentile".into() },
        y: Axis { scale, show: round_micros, name: String::new() },
        lines,
        references,
        height: 430.0,
    };
    Some(Drawing {
        name: "latency",
        title: "Latency by percentile".into(),
        caption: "From the end of a message to its 250, in the round with the median p99. To the \
                  right the rare slow ones: of 10,000 messages, one waits longer than p99.99."
            .into(),
        views: vec![View { label: "", panels: vec![Box::new(panel)] }],
    })
}

fn percentile(value: f64) -> String {
    format!("{value}")
}

pub fn cores(found: &Findings) -> Option<Drawing> {
    let lines = sweep(found, |figures| &figures.server.by_cores);
    let caption = "What each server relays when it may use so many cores, and how many times its \
                   own rate on the fewest that is. Source and sink run on the same machine.";
    swept("cores", "Scaling over cores", caption, "cores", lines)
}

pub fn backlog(found: &Findings) -> Option<Drawing> {
    let lines = sweep(found, |figures| &figures.server.by_backlog);
    let caption = "What each server relays while messages that cannot be delivered wait in its \
                   queue, and how much of its own rate with the fewest that is. The steps are not \
                   to scale.";
    swept("backlog", "With a backlog", caption, "messages already in the queue", lines)
}

/// The median of the rounds at each point.
fn sweep(found: &Findings, points: for<'b> fn(&'b Figures<'_>) -> &'b [Point]) -> Vec<Line> {
    let line = |figures: &Figures| {
        let measured = points(figures);
        let Scale::Steps(steps) = Scale::steps(measured.iter().map(|point| point.at)) else {
            return None;
        };
        let medians = steps.into_iter().filter_map(|at| {
            let here = measured.iter().filter(|point| point.at == at);
            Some((at, spread(here.map(|point| point.round.relayed_rate))?.median))
        });
        let points: Vec<(f64, f64)> = medians.collect();
        let hint = |(at, rate): &(f64, f64)| {
            (*at, *rate, format!("{}: {}/s at {}", figures.name(), count(*rate), count(*at)))
        };
        let dots = points.iter().map(hint).collect();
        (!points.is_empty()).then(|| Line { dots, ..Line::new(figures, points) })
    };
    found.lines().filter_map(line).collect()
}

/// The rates, and beside them each as a multiple of the line's own first.
fn swept(
    name: &'static str,
    title: &str,
    caption: &str,
    axis: &str,
    lines: Vec<Line>,
) -> Option<Drawing> {
    if lines.is_empty() {
        return None;
    }
    let relative: Vec<Line> = lines.iter().filter_map(Line::relative).collect();
    let panel = |heading: &str, lines: Vec<Line>| -> Box<dyn Panel> {
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let x = Scale::steps(points().map(|(at, _)| *at));
        let y = Scale::from_zero(points().map(|(_, value)| *value));
        Box::new(Lines {
            heading: heading.into(),
            x: Axis { scale: x, show: count, name: axis.into() },
            y: Axis { scale: y, show: count, name: String::new() },
            lines,
            references: vec![],
            height: 320.0,
        })
    };
    let panels =
        vec![panel("relayed a second", lines), panel("as a multiple of its own first", relative)];
    let views = vec![View { label: "", panels }];
    Some(Drawing { name, title: title.into(), caption: caption.into(), views })
}

impl Line {
    fn new(figures: &Figures, points: Vec<(f64, f64)>) -> Line {
        Line { mark: figures.mark, name: figures.name().into(), points, dots: vec![] }
    }

    /// Each value as a multiple of the first.
    fn relative(&self) -> Option<Line> {
        let (_, first) = *self.points.first()?;
        let multiple = |(at, value): &(f64, f64)| Some((*at, ratio(*value, first)?));
        let points: Option<Vec<_>> = self.points.iter().map(multiple).collect();
        let points = points?;
        let hint = |(at, multiple): &(f64, f64)| {
            (*at, *multiple, format!("{}: {} at {}", self.name, times(*multiple), count(*at)))
        };
        let dots = points.iter().map(hint).collect();
        Some(Line { mark: self.mark, name: self.name.clone(), points, dots })
    }
}
