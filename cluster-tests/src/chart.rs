//! A timeline as SVG: panels of bars above one another over one time axis, with marks.
//!
//! Text is escaped, numbers are rounded, and nothing is fetched when the file is opened.

use std::fmt::Write as _;

const LEFT_PX: f64 = 70.0;
const TOP_PX: f64 = 50.0;
const PANEL_PX: f64 = 90.0;
const PANEL_STEP_PX: f64 = 120.0;
const PLOT_PX: f64 = 1200.0;
const COLOURS: [&str; 5] = ["#2b6cb0", "#2f855a", "#b7791f", "#6b46c1", "#4a5568"];

/// A row of bars.
pub struct Panel {
    /// The title above the row.
    pub title: String,
    /// One value per bucket of time.
    pub values: Vec<f64>,
}

/// A moment that is marked by a line through all panels.
pub struct Mark {
    /// Seconds from the left edge.
    pub at_s: f64,
    /// The text beside the line.
    pub label: String,
}

/// A timeline.
pub struct Timeline {
    /// The title above the panels.
    pub title: String,
    /// The time that one value covers.
    pub bucket_ms: f64,
    /// The panels from top to bottom.
    pub panels: Vec<Panel>,
    /// The marks, in any order.
    pub marks: Vec<Mark>,
}

impl Timeline {
    /// The SVG document.
    pub fn to_svg(&self) -> String {
        let buckets = self.panels.iter().map(|panel| panel.values.len()).max().unwrap_or(0).max(1);
        let bucket_px = PLOT_PX / to_f64(buckets);
        let span_s = to_f64(buckets) * self.bucket_ms / 1000.0;
        let bottom_px = TOP_PX + PANEL_STEP_PX * to_f64(self.panels.len());
        let (width, height) = (LEFT_PX + PLOT_PX + 30.0, bottom_px + 30.0);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        text(&mut svg, LEFT_PX, 24.0, "start", 16, &self.title);
        for ((index, panel), colour) in self.panels.iter().enumerate().zip(COLOURS.iter().cycle()) {
            let base_px = TOP_PX + PANEL_STEP_PX * to_f64(index) + 20.0 + PANEL_PX;
            bars(&mut svg, panel, colour, base_px, bucket_px);
        }
        time_axis(&mut svg, span_s, bottom_px);
        for mark in &self.marks {
            let x = LEFT_PX + PLOT_PX * (mark.at_s / span_s).clamp(0.0, 1.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {TOP_PX}V{bottom_px:.1}\" stroke=\"#c53030\" stroke-dasharray=\"4 3\"/>"
            );
            text(&mut svg, x + 4.0, TOP_PX - 4.0, "start", 11, &mark.label);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Draws all bars of a panel as one path, because a minute has more than a thousand.
fn bars(svg: &mut String, panel: &Panel, colour: &str, base_px: f64, bucket_px: f64) {
    let highest = panel.values.iter().copied().fold(0.0, f64::max);
    let mut path = String::new();
    for (index, value) in panel.values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
        let x = LEFT_PX + to_f64(index) * bucket_px;
        let tall = PANEL_PX * value / highest;
        let _ = write!(path, "M{x:.1} {base_px:.1}v-{tall:.1}h{bucket_px:.2}v{tall:.1}z");
    }
    let _ = writeln!(svg, "<path d=\"{path}\" fill=\"{colour}\"/>");
    let right_px = LEFT_PX + PLOT_PX;
    let _ = writeln!(svg, "<path d=\"M{LEFT_PX} {base_px:.1}H{right_px}\" stroke=\"#a0aec0\"/>");
    text(svg, LEFT_PX, base_px - PANEL_PX - 6.0, "start", 12, &panel.title);
    text(svg, LEFT_PX - 6.0, base_px - PANEL_PX + 10.0, "end", 11, &format!("{highest:.0}"));
    text(svg, LEFT_PX - 6.0, base_px, "end", 11, "0");
}

fn time_axis(svg: &mut String, span_s: f64, bottom_px: f64) {
    let step_s = (span_s / 10.0).ceil().max(1.0);
    let mut at_s = 0.0;
    while at_s <= span_s {
        let x = LEFT_PX + PLOT_PX * at_s / span_s;
        text(svg, x, bottom_px + 16.0, "middle", 11, &format!("{at_s:.0} s"));
        at_s += step_s;
    }
}

/// Text at a position, anchored at its `start`, `middle` or `end`.
pub(crate) fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, words: &str) {
    let words = escape(words);
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{words}</text>"
    );
}

/// Text that is safe between tags and in attributes.
fn escape(words: &str) -> String {
    words.chars().fold(String::with_capacity(words.len()), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}

/// The counts here are of buckets and panels, so they are small.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
const fn to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(title: &str, values: Vec<f64>) -> String {
        let panels = vec![Panel { title: "node 1".into(), values }];
        let marks = vec![Mark { at_s: 0.05, label: "kill".into() }];
        Timeline { title: title.into(), bucket_ms: 50.0, panels, marks }.to_svg()
    }

    #[test]
    fn what_a_title_says_cannot_end_its_tag() {
        let svg = timeline("<script>\"&'\u{1}", vec![1.0]);
        assert!(svg.contains("&lt;script&gt;&quot;&amp;&#39; </text>"), "{svg}");
        assert!(!svg.contains("<script>"));
    }

    #[test]
    fn a_bar_stands_where_its_bucket_is_and_as_high_as_its_share() {
        let svg = timeline("t", vec![0.0, 2.0, 4.0, 0.0]);
        assert!(svg.contains("M370.0 160.0v-45.0h300.00v45.0zM670.0 160.0v-90.0h300.00v90.0z"), "{svg}");
        assert!(svg.contains("M370.0 50V170.0"), "the mark is where its time is: {svg}");
    }

    #[test]
    fn an_empty_timeline_holds_no_number_that_is_none() {
        let svg = timeline("t", vec![]) + &timeline("t", vec![0.0]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
