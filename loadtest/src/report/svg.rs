//! Draws in SVG: shapes by position, styled by class, and text escaped.

use std::fmt::Write as _;

/// Colours and dashes of both palettes: in a page once, in a file of its own each time.
pub const PALETTE: &str = include_str!("palette.css");
/// Height of a line of text, in pixels.
pub const LINE: f64 = 16.0;
/// Servers have this many colours before they repeat.
const COLOURS: usize = 7;
/// Width of a letter of 13 pixels, on the average.
const LETTER: f64 = 7.9;

/// Whose figure a shape shows: sets its colour and its dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Server(usize),
    /// Source to sink, with no server between.
    Direct,
    /// One kind of several within a bar.
    Kind(usize),
}

impl Mark {
    pub fn class(self) -> String {
        match self {
            Mark::Server(index) => format!("s{}", index % COLOURS),
            Mark::Direct => "direct".into(),
            Mark::Kind(index) => format!("k{index}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle to draw in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub fn overlaps(&self, other: &Area) -> bool {
        self.left < other.right()
            && other.left < self.right()
            && self.top < other.bottom()
            && other.top < self.bottom()
    }
}

#[derive(Debug)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    /// To stand in a page that has the palette.
    pub fn inline(&self, class: &str, label: &str) -> String {
        let Svg { width, height, body } = self;
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             aria-label=\"{}\">\n{body}</svg>\n",
            escape(label)
        )
    }

    /// To stand alone: with its palette and its own paper.
    pub fn file(&self, label: &str) -> String {
        let Svg { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" \
             height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n<title>{}</title>\n\
             <style>\n{PALETTE}</style>\n\
             <rect class=\"paper\" width=\"{width:.0}\" height=\"{height:.0}\" rx=\"6\"/>\n\
             {body}</svg>\n",
            escape(label)
        )
    }

    /// What `draw` draws is in the colour of the mark.
    pub fn marked(&mut self, mark: Mark, draw: impl FnOnce(&mut Svg)) {
        self.put(format_args!("<g class=\"{}\">\n", mark.class()));
        draw(self);
        self.put(format_args!("</g>\n"));
    }

    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" \
             y2=\"{y2:.1}\"/>\n"
        ));
    }

    /// A line through all the points.
    pub fn path(&mut self, class: &str, points: &[(f64, f64)], hint: &str) {
        let Some(((x, y), rest)) = points.split_first() else { return };
        self.put(format_args!("<path class=\"{class}\" d=\"M{x:.1} {y:.1}"));
        for (x, y) in rest {
            self.put(format_args!("L{x:.1} {y:.1}"));
        }
        self.put(format_args!("\"><title>{}</title></path>\n", escape(hint)));
    }

    /// A rectangle that says `hint` to whoever points at it.
    pub fn rect(&mut self, class: &str, area: Area, hint: &str) {
        let Area { left, top, width, height } = area;
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"><title>{}</title></rect>\n",
            escape(hint)
        ));
    }

    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, hint: &str) {
        self.put(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\">\
             <title>{}</title></circle>\n",
            escape(hint)
        ));
    }

    pub fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(format_args!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" \
             y=\"{y:.1}\">{}</text>\n",
            escape(text)
        ));
    }

    fn put(&mut self, text: std::fmt::Arguments) {
        // Writing to a `String` cannot fail.
        let _ = self.body.write_fmt(text);
    }
}

/// The width of a text, near enough to keep labels apart.
pub fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// The text, or as much of it as is not wider, with an ellipsis.
pub fn fit(text: &str, width: f64) -> String {
    if text_width(text) <= width {
        return text.into();
    }
    let letters = (width / LETTER).floor().max(2.0) as usize - 1;
    text.chars().take(letters).chain(['…']).collect()
}

/// Text for XML and HTML, between tags or within double quotes. What neither of them can hold is
/// replaced.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
        assert_eq!(escape("a\u{0}\u{1b}[1m\n"), "a\u{fffd}\u{fffd}[1m\n");
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("ink", Anchor::Start, (0.0, 0.0), "</text><script>");
        assert!(!svg.inline("wide", "\"><script>").contains("<script>"));
    }

    #[test]
    fn long_names_are_cut_at_a_letter() {
        assert_eq!(fit("postfix", 100.0), "postfix");
        assert_eq!(fit("ünïcödé-server", 50.0), "ünïcö…");
        assert_eq!(fit("abc", 0.0), "a…");
    }
}
