//! Lines in a frame, as SVG in a box that scrolls where the page is narrow.
//!
//! It is put into a page as it is, and takes the page's colours: the frame and the words have that
//! of the text. Lines differ in their dashes as well as in their colour, and the legend shows both.
//! Equal data give equal bytes.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Left, top, right, bottom of the frame.
const FRAME: (f64, f64, f64, f64) = (56.0, 12.0, 692.0, 340.0);

/// Readable on white and on black.
const STYLES: [(&str, &str); 6] = [
    ("#3b82f6", ""),
    ("#e07b00", "7 3"),
    ("#16a34a", "2 3"),
    ("#d6336c", "10 3 2 3"),
    ("#9061f9", "14 4"),
    ("#0e9aa7", "4 2 1 2 1 2"),
];

/// A frame with some lines.
pub(crate) struct Plot {
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    /// From, to, both 1 or more; logarithmic.
    pub(crate) x: (f64, f64),
    /// From, to; in five equal steps.
    pub(crate) y: (f64, f64),
    /// At most six.
    pub(crate) lines: Vec<Line>,
}

/// Points that are joined, from left to right. Those outside the frame are left out.
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Plot {
    fn px(&self, x: f64) -> f64 {
        let share = (x / self.x.0).log10() / (self.x.1 / self.x.0).log10();
        FRAME.0 + share * (FRAME.2 - FRAME.0)
    }

    fn py(&self, y: f64) -> f64 {
        FRAME.3 - (y - self.y.0) / (self.y.1 - self.y.0) * (FRAME.3 - FRAME.1)
    }

    /// One element, without empty lines, so that Markdown takes it as it is.
    pub(crate) fn svg(&self) -> String {
        assert!(self.lines.len() <= STYLES.len(), "there are {} styles of lines", STYLES.len());
        let mut svg = format!(
            "<div class=\"plot\"><svg role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">\n",
            self.lines.iter().map(|line| line.label.as_str()).collect::<Vec<_>>().join(", ")
        );
        self.draw_grid(&mut svg);
        for (line, (colour, dash)) in self.lines.iter().zip(STYLES) {
            let mut path = String::new();
            for &(x, y) in line.points.iter().filter(|(x, _)| (self.x.0..=self.x.1).contains(x)) {
                let _ = write!(path, " {:.1},{:.1}", self.px(x), self.py(y));
            }
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
                 stroke-dasharray=\"{dash}\" points=\"{}\"/>",
                path.trim_start()
            );
        }
        self.draw_legend(&mut svg);
        svg.push_str("</svg></div>\n");
        svg
    }

    fn draw_grid(&self, svg: &mut String) {
        let (left, top, right, bottom) = FRAME;
        let mut decade = 1.0;
        while decade <= self.x.1 {
            for value in [1.0, 2.0, 5.0].map(|step| step * decade) {
                if !(self.x.0..=self.x.1).contains(&value) {
                    continue;
                }
                let x = self.px(value);
                let _ = writeln!(
                    svg,
                    "<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>\
                     <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
                    bottom + 18.0
                );
            }
            decade *= 10.0;
        }
        for step in 0..=5 {
            let value = self.y.0 + (self.y.1 - self.y.0) * f64::from(step) / 5.0;
            let y = self.py(value);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                left - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(left, right),
            HEIGHT - 20.0,
            self.x_title,
            f64::midpoint(top, bottom),
            self.y_title
        );
    }

    /// In the lower right corner, where lines that rise leave room.
    fn draw_legend(&self, svg: &mut String) {
        #[expect(clippy::cast_precision_loss, reason = "there are six at most")]
        let first = FRAME.3 - 12.0 - 18.0 * self.lines.len() as f64;
        let _ = writeln!(
            svg,
            "<rect class=\"legend\" x=\"{}\" y=\"{first}\" width=\"150\" height=\"{}\"/>",
            FRAME.2 - 158.0,
            FRAME.3 - 4.0 - first
        );
        let mut y = first + 14.0;
        for (line, (colour, dash)) in self.lines.iter().zip(STYLES) {
            let x = FRAME.2 - 150.0;
            let _ = writeln!(
                svg,
                "<path stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\" \
                 d=\"M{x} {y}h34\"/><text x=\"{}\" y=\"{}\">{}</text>",
                x + 42.0,
                y + 4.0,
                line.label
            );
            y += 18.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_they_belong() {
        let line =
            Line { label: "a line".into(), points: vec![(1.0, 0.0), (10.0, 50.0), (2000.0, 9.0)] };
        let plot = Plot {
            x_title: "x",
            y_title: "y",
            x: (1.0, 100.0),
            y: (0.0, 100.0),
            lines: vec![line],
        };
        let svg = plot.svg();
        assert!(svg.contains("points=\"56.0,340.0 374.0,176.0\""), "{svg}");
        assert!(!svg.contains("\n\n") && svg.ends_with("</svg></div>\n"));
    }
}
