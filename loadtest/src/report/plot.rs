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
        let mut taken = self.draw_references(svg, inner);
        for line in &self.lines {
            svg.marked(line.mark, |svg| self.draw_line(svg, inner, line));
        }
        // Names last: no line may cross them. The lowest first: those above it make way upwards.
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        let end = |line: &Line| line.points.last().map_or(0.0, |(_, value)| *value);
        lines.sort_by(|one, other| end(one).total_cmp(&end(other)));
        for line in lines {
            svg.marked(line.mark, |svg| self.draw_name(svg, area, inner, line, &mut taken));
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

    /// Gives back where their names stand.
    fn draw_references(&self, svg: &mut Svg, inner: Area) -> Vec<Area> {
        let mut taken: Vec<Area> = Vec::new();
        for reference in &self.references {
            let y = self.y_of(inner, reference.at);
            svg.line("reference", (inner.left, y), (inner.right(), y));
            let name = fit(&reference.name, inner.width);
            let above = label(inner.left + 6.0, y - 9.0, &name);
            let below = label(inner.left + 6.0, y + 10.0, &name);
            let area = if taken.iter().any(|other| other.overlaps(&above)) { below } else { above };
            write_label(svg, "faint halo", area, &name);
            taken.push(area);
        }
        taken
    }

    fn draw_line(&self, svg: &mut Svg, inner: Area, line: &Line) {
        let place = |x, y| (self.x_of(inner, x), self.y_of(inner, y));
        let points: Vec<_> = line.points.iter().map(|(x, y)| place(*x, *y)).collect();
        svg.path("line", &points, &line.name);
        for (x, y, hint) in &line.dots {
            svg.dot("dot", place(*x, *y), 4.0, hint);
        }
    }

    /// At the end of its line, or as near as no other name is in the way.
    fn draw_name(
        &self,
        svg: &mut Svg,
        area: Area,
        inner: Area,
        line: &Line,
        taken: &mut Vec<Area>,
    ) {
        let Some((x, y)) = line.points.last() else { return };
        let (x, y) = (self.x_of(inner, *x), self.y_of(inner, *y));
        let name = fit(&line.name, area.width * NAMES_MAX);
        let steps = (0..40).flat_map(|step| [-1.0, 1.0].map(|sign| sign * f64::from(step) * 4.0));
        let free = |moved: f64| {
            let place = label(x + GAP, y + moved, &name);
            let within = place.top >= inner.top - LINE && place.bottom() <= inner.bottom() + 4.0;
            let clear = !taken.iter().any(|other| other.overlaps(&place));
            (within && clear).then_some((moved, place))
        };
        let (moved, place) =
            steps.clone().find_map(free).unwrap_or((0.0, label(x + GAP, y, &name)));
        if moved.abs() > LINE / 2.0 {
            svg.line("leader", (x, y), (place.left - 1.0, y + moved));
        }
        svg.dot("dot", (x, y), 3.5, &line.name);
        write_label(svg, "halo", place, &name);
        taken.push(place);
    }

    fn x_of(&self, inner: Area, value: f64) -> f64 {
        inner.left + self.x.scale.place(value) * inner.width
    }

    fn y_of(&self, inner: Area, value: f64) -> f64 {
        inner.bottom() - self.y.scale.place(value) * inner.height
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
