//! Panels with lines: values along two axes, each line named where it ends.

use super::{
    scale::Scale,
    svg::{Anchor, Area, LINE, Mark, Svg, fit, text_width},
};

/// Below the heading of a panel, above its axes.
pub const HEAD: f64 = 30.0;
/// Below the axes: ticks and the name of the axis.
const FOOT: f64 = 42.0;
/// Between an axis and what is written beside it.
const GAP: f64 = 8.0;
/// Names take no more of a panel's width than this.
const NAMES_MAX: f64 = 0.3;
/// A tick along the horizontal axis has at least this much room.
const TICK_ROOM: f64 = 58.0;
const TICK_ROOM_VERTICAL: f64 = 44.0;
/// A logarithmic axis cannot be read between its ticks: it has more of them.
const TICK_ROOM_LOG: f64 = 26.0;

/// Names are moved apart so many times at most: more names than there is room for stay covered.
const SPREADS_MAX: usize = 100;
/// So little of a letter's height may be covered.
const COVERED_MAX: f64 = 0.5;

/// Something to draw into a rectangle.
pub trait Panel {
    /// What it needs to be readable at this width.
    fn height(&self, width: f64) -> f64;
    fn draw(&self, svg: &mut Svg, area: Area);
}

pub struct Axis {
    pub scale: Scale,
    pub show: fn(f64) -> String,
    /// For the horizontal axis; the vertical one is named by the heading.
    pub name: String,
}

#[derive(Clone)]
pub struct Line {
    pub mark: Mark,
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// Points that are drawn as dots, and what each says.
    pub dots: Vec<(f64, f64, String)>,
}

/// A level that is drawn through the panel.
pub struct Reference {
    pub at: f64,
    pub name: String,
}

pub struct Lines {
    pub heading: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    pub references: Vec<Reference>,
    pub height: f64,
}

impl Panel for Lines {
    fn height(&self, _width: f64) -> f64 {
        self.height
    }

    fn draw(&self, svg: &mut Svg, area: Area) {
        heading(svg, area, &self.heading);
        let inner = self.inner(area);
        self.draw_axes(svg, inner);
        self.draw_references(svg, inner);
        for line in &self.lines {
            svg.marked(line.mark, |svg| self.draw_line(svg, inner, line));
        }
        // Names last: no line may cross them.
        let mut names = self.names(area, inner);
        spread_apart(&mut names, inner.top - LINE / 2.0, inner.bottom() + LINE / 2.0);
        for name in names {
            svg.marked(name.mark, |svg| name.draw(svg));
        }
    }
}

impl Lines {
    /// Where the values are drawn: what ticks and names leave of the area.
    fn inner(&self, area: Area) -> Area {
        let ticks = self.y.scale.ticks(8);
        let left = widest(ticks.iter().map(|tick| (self.y.show)(*tick))) + GAP;
        let names = widest(self.lines.iter().map(|line| line.name.clone()));
        let right = names.min(area.width * NAMES_MAX) + 2.0 * GAP;
        Area {
            left: area.left + left,
            top: area.top + HEAD,
            width: (area.width - left - right).max(1.0),
            height: (area.height - HEAD - FOOT).max(1.0),
        }
    }

    fn draw_axes(&self, svg: &mut Svg, inner: Area) {
        let (left, right, bottom) = (inner.left, inner.right(), inner.bottom());
        let log = matches!(self.y.scale, Scale::Log { .. });
        let room = if log { TICK_ROOM_LOG } else { TICK_ROOM_VERTICAL };
        for tick in self.y.scale.ticks((inner.height / room) as usize) {
            let y = self.y_of(inner, tick);
            svg.line("grid", (left, y), (right, y));
            let text = (self.y.show)(tick);
            svg.text("faint", Anchor::End, (left - GAP, y + 4.5), &text);
        }
        let mut free_from = f64::NEG_INFINITY;
        for tick in self.x.scale.ticks((inner.width / TICK_ROOM) as usize) {
            let x = self.x_of(inner, tick);
            let text = (self.x.show)(tick);
            let half = text_width(&text) / 2.0;
            svg.line("axis", (x, bottom), (x, bottom + 4.0));
            if x - half > free_from {
                svg.text("faint", Anchor::Middle, (x, bottom + LINE + 2.0), &text);
                free_from = x + half + GAP;
            }
        }
        svg.line("axis", (left, bottom), (right, bottom));
        let name = fit(&self.x.name, inner.width + 60.0);
        let middle = left + inner.width / 2.0;
        svg.text("faint", Anchor::Middle, (middle, bottom + 2.0 * LINE + 3.0), &name);
    }

    fn draw_references(&self, svg: &mut Svg, inner: Area) {
        let mut above: Option<Area> = None;
        for reference in &self.references {
            let y = self.y_of(inner, reference.at);
            svg.line("reference", (inner.left, y), (inner.right(), y));
            let name = fit(&reference.name, inner.width);
            // To the right, where the curves have climbed away from what they rest on.
            let left = inner.right() - text_width(&name);
            let mut area = label(left, y - 9.0, &name);
            if above.is_some_and(|above| above.overlaps(&area)) {
                area.top += LINE + 3.0;
            }
            write_label(svg, "faint halo", area, &name);
            above = Some(area);
        }
    }

    fn draw_line(&self, svg: &mut Svg, inner: Area, line: &Line) {
        let place = |x, y| (self.x_of(inner, x), self.y_of(inner, y));
        let points: Vec<_> = line.points.iter().map(|(x, y)| place(*x, *y)).collect();
        svg.path("line", &points, &line.name);
        for (x, y, hint) in &line.dots {
            svg.dot("dot", place(*x, *y), 4.0, hint);
        }
    }

    /// Each at the end of its line.
    fn names(&self, area: Area, inner: Area) -> Vec<Name> {
        let name = |line: &Line| {
            let (x, y) = line.points.last()?;
            let end = (self.x_of(inner, *x), self.y_of(inner, *y));
            let text = fit(&line.name, area.width * NAMES_MAX);
            let area = label(end.0 + GAP, end.1, &text);
            Some(Name { mark: line.mark, text, end, area })
        };
        self.lines.iter().filter_map(name).collect()
    }

    fn x_of(&self, inner: Area, value: f64) -> f64 {
        inner.left + self.x.scale.place(value) * inner.width
    }

    fn y_of(&self, inner: Area, value: f64) -> f64 {
        inner.bottom() - self.y.scale.place(value) * inner.height
    }
}

/// What stands beside the end of a line.
struct Name {
    mark: Mark,
    text: String,
    end: (f64, f64),
    area: Area,
}

impl Name {
    fn draw(&self, svg: &mut Svg) {
        let middle = self.area.top + LINE / 2.0;
        if (middle - self.end.1).abs() > LINE / 2.0 {
            svg.line("leader", self.end, (self.area.left - 1.0, middle));
        }
        svg.dot("dot", self.end, 3.5, &self.text);
        write_label(svg, "halo", self.area, &self.text);
    }
}

/// Moves names up and down until none covers another; their order stays.
fn spread_apart(names: &mut [Name], top: f64, bottom: f64) {
    names.sort_by(|one, other| one.area.top.total_cmp(&other.area.top));
    for name in names.iter_mut() {
        name.area.top = name.area.top.min(bottom - LINE).max(top);
    }
    for _ in 0..SPREADS_MAX {
        let mut moved = false;
        for lower in 1..names.len() {
            let (above, below) = names.split_at_mut(lower);
            let Some(below) = below.first_mut() else { continue };
            for above in above.iter_mut().map(|name| &mut name.area) {
                let beside = above.left < below.area.right() && below.area.left < above.right();
                let covered = above.bottom() - below.area.top;
                if beside && covered > COVERED_MAX {
                    above.top = (above.top - covered / 2.0).max(top);
                    below.area.top = (below.area.top + covered / 2.0).min(bottom - LINE);
                    moved = true;
                }
            }
        }
        if !moved {
            return;
        }
    }
}

pub fn heading(svg: &mut Svg, area: Area, text: &str) {
    let text = fit(text, area.width);
    svg.text("heading", Anchor::Start, (area.left, area.top + LINE - 3.0), &text);
}

pub fn widest(texts: impl IntoIterator<Item = String>) -> f64 {
    texts.into_iter().map(|text| text_width(&text)).fold(0.0, f64::max)
}

/// The room of a label whose middle is at this height.
fn label(left: f64, middle: f64, text: &str) -> Area {
    Area { left, top: middle - LINE / 2.0, width: text_width(text), height: LINE }
}

fn write_label(svg: &mut Svg, class: &str, area: Area, text: &str) {
    svg.text(class, Anchor::Start, (area.left, area.bottom() - 3.5), text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(heights: &[f64]) -> Vec<Name> {
        let name = |(index, y): (usize, &f64)| Name {
            mark: Mark::Server(index),
            text: "server".into(),
            end: (0.0, *y),
            area: label(0.0, *y, "server"),
        };
        heights.iter().enumerate().map(name).collect()
    }

    #[test]
    fn names_make_way_and_keep_their_order() {
        let mut names = names(&[50.0, 51.0, 49.0, 50.5, 3.0]);
        spread_apart(&mut names, 0.0, 120.0);
        let order: Vec<Mark> = names.iter().map(|name| name.mark).collect();
        assert_eq!(order, [4, 2, 0, 3, 1].map(Mark::Server));
        for pair in names.windows(2) {
            let apart = pair[1].area.top - pair[0].area.top;
            assert!(apart >= LINE - 2.0 * COVERED_MAX, "{apart}");
        }
        assert!(names[0].area.top >= 0.0 && names[4].area.bottom() <= 120.0);
    }

    #[test]
    fn more_names_than_room_stay_within() {
        let mut names = names(&[5.0; 50]);
        spread_apart(&mut names, 0.0, 100.0);
        let within = |area: &Area| area.top >= 0.0 && area.bottom() <= 100.0;
        assert!(names.iter().all(|name| within(&name.area)));
    }
}
