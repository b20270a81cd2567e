//! The little of SVG that figures are made of. All lengths are whole pixels.

use std::fmt::{Display, Write as _};

/// An element after the other.
#[derive(Default)]
pub(super) struct Svg {
    body: String,
}

/// How a line is drawn; what it is for says who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    Solid,
    Dashed,
    Dotted,
}

impl Stroke {
    fn attribute(self) -> &'static str {
        match self {
            Stroke::Solid => "",
            Stroke::Dashed => " stroke-dasharray=\"4 3\"",
            Stroke::Dotted => " stroke-dasharray=\"1 3\"",
        }
    }
}

/// The part of the timeline's palette that figures use.
pub(super) const VOTE: &str = "#8b5cf6";
pub(super) const APPEND: &str = "#3b82f6";
pub(super) const INSTALL: &str = "#0e9aa7";
pub(super) const PLAIN: &str = "currentColor";

/// The fill of what belongs to a term: the timeline's hue, light enough for text on white and on black.
pub(super) fn hue(term: u64) -> String {
    format!("hsl({} 60% 50% / .35)", (term * 275 + 390) % 720 / 2)
}

impl Svg {
    /// A line, or several: `d` as in SVG.
    pub(super) fn path(&mut self, d: impl Display, colour: &str, width: &str, stroke: Stroke) {
        let dash = stroke.attribute();
        let _ = writeln!(
            self.body,
            "<path d=\"{d}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>"
        );
    }

    /// An area.
    pub(super) fn shape(&mut self, d: impl Display, fill: &str) {
        let _ = writeln!(self.body, "<path d=\"{d}\" fill=\"{fill}\"/>");
    }

    /// A box with round corners.
    pub(super) fn rect(
        &mut self,
        at: (u64, u64),
        size: (u64, u64),
        fill: &str,
        width: &str,
        stroke: Stroke,
    ) {
        let ((x, y), (w, h), dash) = (at, size, stroke.attribute());
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"3\" fill=\"{fill}\" \
             stroke=\"currentColor\" stroke-width=\"{width}\"{dash}/>"
        );
    }

    /// A box of the page's colour, so that nothing shines through it.
    pub(super) fn cover(&mut self, at: (u64, u64), size: (u64, u64)) {
        let ((x, y), (w, h)) = (at, size);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"3\" style=\"fill:var(--bg,Canvas)\"/>"
        );
    }

    /// Words, of this size, their baseline's middle at a point.
    pub(super) fn text(&mut self, at: (u64, u64), size: u64, words: impl Display) {
        self.words(at, size, "middle", words);
    }

    /// The same, beginning at a point.
    pub(super) fn text_from(&mut self, at: (u64, u64), size: u64, words: impl Display) {
        self.words(at, size, "start", words);
    }

    /// The same, ending at a point.
    pub(super) fn text_up_to(&mut self, at: (u64, u64), size: u64, words: impl Display) {
        self.words(at, size, "end", words);
    }

    fn words(&mut self, (x, y): (u64, u64), size: u64, anchor: &str, words: impl Display) {
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             fill=\"currentColor\">{words}</text>"
        );
    }

    /// The sign of a leader, its middle at a point.
    pub(super) fn star(&mut self, (x, y): (u64, u64)) {
        let _ = writeln!(
            self.body,
            "<path transform=\"translate({x} {y})\" fill=\"currentColor\" \
             d=\"M0-8 2-3 8-3 3 1 5 7 0 3-5 7-3 1-8-3-2-3Z\"/>"
        );
    }

    /// The sign of what is over: a crash, a message that went nowhere.
    pub(super) fn cross(&mut self, (x, y): (u64, u64), colour: &str) {
        self.path(format!("M{} {}l8 8m0-8l-8 8", x - 4, y - 4), colour, "2", Stroke::Solid);
    }

    /// What is drawn in there is pale.
    pub(super) fn pale(&mut self, draw: impl FnOnce(&mut Svg)) {
        self.body.push_str("<g opacity=\".6\">\n");
        draw(self);
        self.body.push_str("</g>\n");
    }

    /// The picture; `title` is for those who do not see it, `moment` is where the timeline shows the same.
    pub(super) fn finish(self, (width, height): (u64, u64), title: &str, moment: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" data-moment=\"{moment}\" font-family=\"sans-serif\" \
             style=\"color-scheme:light dark;color:var(--fg,CanvasText)\">\n<title>{title}</title>\n{}</svg>\n",
            self.body
        )
    }
}
