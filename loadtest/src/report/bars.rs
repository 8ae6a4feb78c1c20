//! Panels with a row a server: bars, stacked bars, and dots beside a middle.

use super::{
    plot::{HEAD, Panel, Reference, heading, widest},
    scale::Scale,
    svg::{Anchor, Area, LINE, Mark, Svg, fit, text_width},
};

/// Names of rows take no more of a panel's width than this.
const NAMES_MAX: f64 = 0.32;
const GAP: f64 = 8.0;
/// A row with one bar.
const ROW: f64 = 28.0;
const BAR: f64 = 15.0;
/// The second bar of a row.
const BAR_PALE: f64 = 8.0;
/// Below the rows: ticks and the name of the axis.
const FOOT: f64 = 40.0;
const TICK_ROOM: f64 = 62.0;
const ROUND_RADIUS: f64 = 2.8;
/// Rounds that lie no farther apart than this, in pixels, are not told apart.
const ROUNDS_APART_MIN: f64 = 4.0;

/// One server with its bar, and perhaps a pale one below it.
pub struct Row {
    pub mark: Mark,
    pub name: String,
    pub bar: Option<Bar>,
    pub pale: Option<Bar>,
}

pub struct Bar {
    pub value: f64,
    pub text: String,
    pub hint: String,
    /// Each round, to show how far they lie apart.
    pub rounds: Vec<f64>,
}

pub struct Bars {
    pub heading: String,
    pub rows: Vec<Row>,
    /// Drawn down through all rows.
    pub references: Vec<Reference>,
}

impl Panel for Bars {
    fn height(&self, _width: f64) -> f64 {
        // Their names stand one above the other, too long to stand side by side.
        let heads = self.references.len() as f64 * LINE;
        HEAD + heads + self.rows.iter().map(Row::height).sum::<f64>() + GAP
    }

    fn draw(&self, svg: &mut Svg, area: Area) {
        heading(svg, area, &self.heading);
        let inner = self.inner(area);
        let scale = self.scale();
        for (row, top) in self.tops(inner) {
            let middle = top + row.height() / 2.0 + 4.5;
            let name = fit(&row.name, area.width * NAMES_MAX);
            svg.text("ink", Anchor::Start, (area.left, middle), &name);
            svg.marked(row.mark, |svg| row.draw(svg, inner, top, &scale));
            if row.bar.is_none() {
                svg.text("faint", Anchor::Start, (inner.left + GAP, middle), "no figures");
            }
        }
        svg.line("axis", (inner.left, inner.top), (inner.left, inner.bottom()));
        self.draw_references(svg, area, inner);
        for (row, top) in self.tops(inner) {
            svg.marked(row.mark, |svg| row.draw_texts(svg, inner, top, &scale));
        }
    }
}

impl Bars {
    fn scale(&self) -> Scale {
        let bars = self.rows.iter().flat_map(|row| row.bar.iter().chain(&row.pale));
        let values = bars.flat_map(|bar| bar.rounds.iter().copied().chain([bar.value]));
        // The longest bar ends at the edge: there is no axis whose ticks would want more.
        Scale::Linear { from: 0.0, to: values.fold(f64::MIN_POSITIVE, f64::max) }
    }

    fn inner(&self, area: Area) -> Area {
        let names = widest(self.rows.iter().map(|row| row.name.clone()));
        let left = names.min(area.width * NAMES_MAX) + GAP;
        let texts = self.rows.iter().flat_map(|row| row.bar.iter().chain(&row.pale));
        let right = widest(texts.map(|bar| bar.text.clone())) + 2.0 * GAP;
        Area {
            left: area.left + left,
            top: area.top + HEAD + self.references.len() as f64 * LINE,
            width: (area.width - left - right).max(1.0),
            height: self.rows.iter().map(Row::height).sum(),
        }
    }

    fn tops(&self, inner: Area) -> impl Iterator<Item = (&Row, f64)> {
        let mut top = inner.top;
        self.rows.iter().map(move |row| {
            top += row.height();
            (row, top - row.height())
        })
    }

    fn draw_references(&self, svg: &mut Svg, area: Area, inner: Area) {
        let scale = self.scale();
        for (index, reference) in self.references.iter().enumerate() {
            let x = inner.left + scale.place(reference.at) * inner.width;
            let y = area.top + HEAD + index as f64 * LINE;
            svg.line("reference", (x, y), (x, inner.bottom()));
            let name = fit(&reference.name, area.width - 2.0 * GAP);
            let after = x + GAP / 2.0 + text_width(&name) <= area.right();
            let (anchor, x) = if after {
                (Anchor::Start, x + GAP / 2.0)
            } else {
                (Anchor::End, (x - GAP / 2.0).max(area.left + text_width(&name)))
            };
            svg.text("faint halo", anchor, (x, y + LINE - 5.0), &name);
        }
    }
}

impl Row {
    fn height(&self) -> f64 {
        if self.pale.is_some() { ROW + BAR_PALE + 4.0 } else { ROW }
    }

    fn bars(&self, top: f64) -> impl Iterator<Item = (&Bar, &'static str, f64, f64)> {
        let own = self.bar.iter().map(move |bar| (bar, "bar", top + 6.0, BAR));
        let pale = self.pale.iter();
        own.chain(pale.map(move |bar| (bar, "bar pale", top + 8.0 + BAR, BAR_PALE)))
    }

    fn draw(&self, svg: &mut Svg, inner: Area, top: f64, scale: &Scale) {
        for (bar, class, top, height) in self.bars(top) {
            // What is not zero can be seen, if only as a hair.
            let hair = if bar.value > 0.0 { 1.5 } else { 0.0 };
            let width = (scale.place(bar.value) * inner.width).max(hair);
            svg.rect(class, Area { left: inner.left, top, width, height }, &bar.hint);
            let rounds = bar.rounds.iter().map(|round| scale.place(*round) * inner.width);
            let rounds: Vec<f64> = rounds.collect();
            let ends = rounds
                .iter()
                .copied()
                .fold((f64::MAX, 0.0), |(least, most), round| (round.min(least), round.max(most)));
            if ends.1 - ends.0 >= ROUNDS_APART_MIN {
                for round in rounds {
                    let place = (inner.left + round, top + height / 2.0);
                    svg.dot("round", place, ROUND_RADIUS, &bar.hint);
                }
            }
        }
    }

    /// After the last round of each bar: above whatever crosses.
    fn draw_texts(&self, svg: &mut Svg, inner: Area, top: f64, scale: &Scale) {
        for (bar, class, top, height) in self.bars(top) {
            let end = bar.rounds.iter().copied().fold(bar.value, f64::max);
            let place = (inner.left + scale.place(end) * inner.width + GAP, top + height / 2.0);
            let class = if class == "bar" { "halo" } else { "faint halo" };
            svg.text(class, Anchor::Start, (place.0, place.1 + 4.5), &bar.text);
        }
    }
}

/// Bars of several parts, the same parts in each.
pub struct Stacks {
    pub heading: String,
    pub kinds: Vec<String>,
    pub rows: Vec<Stack>,
}

pub struct Stack {
    pub name: String,
    /// One for each kind.
    pub parts: Vec<f64>,
    /// Of the whole bar.
    pub text: String,
}

impl Panel for Stacks {
    fn height(&self, width: f64) -> f64 {
        let lines = self.keys(width).last().map_or(0.0, |(_, _, y)| *y + LINE + GAP);
        HEAD + lines + self.rows.len() as f64 * ROW + GAP
    }

    fn draw(&self, svg: &mut Svg, area: Area) {
        heading(svg, area, &self.heading);
        let mut top = area.top + HEAD;
        for (kind, x, y) in self.keys(area.width) {
            let (x, y) = (area.left + x, top + y);
            let swatch = Area { left: x, top: y + 1.0, width: 12.0, height: 12.0 };
            let name = self.kinds.get(kind).map_or("", String::as_str);
            svg.marked(Mark::Kind(kind), |svg| svg.rect("bar", swatch, name));
            svg.text("faint", Anchor::Start, (x + 17.0, y + 12.0), name);
        }
        top += self.keys(area.width).last().map_or(0.0, |(_, _, y)| *y + LINE + GAP);
        let names = widest(self.rows.iter().map(|row| row.name.clone()));
        let left = names.min(area.width * NAMES_MAX) + GAP;
        let right = widest(self.rows.iter().map(|row| row.text.clone())) + 2.0 * GAP;
        let width = (area.width - left - right).max(1.0);
        let inner = Area { left: area.left + left, top, width, height: 0.0 };
        let most = self.rows.iter().map(Stack::whole).fold(f64::MIN_POSITIVE, f64::max);
        for row in &self.rows {
            let name = fit(&row.name, area.width * NAMES_MAX);
            svg.text("ink", Anchor::Start, (area.left, top + ROW / 2.0 + 4.5), &name);
            self.draw_stack(svg, row, Area { top, ..inner }, most);
            top += ROW;
        }
        svg.line("axis", (inner.left, inner.top), (inner.left, top));
    }
}

impl Stacks {
    /// Where the key of each kind stands, from the left and from the first line of keys.
    fn keys(&self, width: f64) -> Vec<(usize, f64, f64)> {
        let (mut x, mut y) = (0.0, 0.0);
        let mut keys = Vec::new();
        for (index, kind) in self.kinds.iter().enumerate() {
            let room = text_width(kind) + 40.0;
            if x > 0.0 && x + room > width {
                (x, y) = (0.0, y + LINE + 4.0);
            }
            keys.push((index, x, y));
            x += room;
        }
        keys
    }

    fn draw_stack(&self, svg: &mut Svg, row: &Stack, inner: Area, most: f64) {
        let mut left = inner.left;
        for (kind, value) in row.parts.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let part = Area {
                left,
                top: inner.top + 5.0,
                width: value / most * inner.width,
                height: ROW - 10.0,
            };
            let name = self.kinds.get(kind).map_or("", String::as_str);
            let hint = format!("{}: {value:.2} {name}", row.name);
            svg.marked(Mark::Kind(kind), |svg| svg.rect("bar", part, &hint));
            left += part.width;
        }
        svg.text("ink", Anchor::Start, (left + GAP, inner.top + ROW / 2.0 + 4.5), &row.text);
    }
}

impl Stack {
    /// The same parts, of a whole that is one.
    pub fn shares(self) -> Stack {
        let whole = self.whole().max(f64::MIN_POSITIVE);
        Stack { parts: self.parts.iter().map(|part| part / whole).collect(), ..self }
    }

    fn whole(&self) -> f64 {
        self.parts.iter().sum()
    }
}

/// Dots in a row a server, to see how far they lie apart.
pub struct Dots {
    pub heading: String,
    pub axis: String,
    pub scale: Scale,
    pub show: fn(f64) -> String,
    pub rows: Vec<DotRow>,
}

pub struct DotRow {
    pub mark: Mark,
    pub name: String,
    /// Values, and what each says.
    pub dots: Vec<(f64, String)>,
}

impl Panel for Dots {
    fn height(&self, _width: f64) -> f64 {
        HEAD + self.rows.len() as f64 * ROW + FOOT
    }

    fn draw(&self, svg: &mut Svg, area: Area) {
        heading(svg, area, &self.heading);
        let names = widest(self.rows.iter().map(|row| row.name.clone()));
        let left = area.left + names.min(area.width * NAMES_MAX) + 3.0 * GAP;
        let width = (area.right() - left - 3.0 * GAP).max(1.0);
        let (top, x_of) = (area.top + HEAD, |value| left + self.scale.place(value) * width);
        let bottom = top + self.rows.len() as f64 * ROW;
        for tick in self.scale.ticks((width / TICK_ROOM) as usize) {
            let class = if tick == 0.0 { "axis" } else { "grid" };
            svg.line(class, (x_of(tick), top), (x_of(tick), bottom));
            let below = (x_of(tick), bottom + LINE);
            svg.text("faint", Anchor::Middle, below, &(self.show)(tick));
        }
        for (index, row) in self.rows.iter().enumerate() {
            let y = top + (index as f64 + 0.5) * ROW;
            let name = fit(&row.name, area.width * NAMES_MAX);
            svg.text("ink", Anchor::Start, (area.left, y + 4.5), &name);
            svg.marked(row.mark, |svg| {
                for (value, hint) in &row.dots {
                    svg.dot("dot", (x_of(*value), y), 5.0, hint);
                }
            });
        }
        let middle = left + width / 2.0;
        let axis = fit(&self.axis, area.width);
        svg.text("faint", Anchor::Middle, (middle, bottom + 2.0 * LINE + 2.0), &axis);
    }
}
