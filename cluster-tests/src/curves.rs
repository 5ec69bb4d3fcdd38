//! Curves as SVG: one line per series over a logarithmic or linear axis, with its name at its end.
//!
//! Numbers are rounded, text is escaped, and nothing is fetched when the file is opened.

use std::fmt::Write as _;

use crate::chart::text;

const LEFT_PX: f64 = 80.0;
const TOP_PX: f64 = 50.0;
const PLOT_PX: [f64; 2] = [640.0, 340.0];
const NAMES_PX: f64 = 230.0;
const BOTTOM_PX: f64 = 60.0;
const NAME_STEP_PX: f64 = 14.0;
const COLOURS: [&str; 8] =
    ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#c53030", "#285e61", "#4a5568"];

/// A line.
pub struct Series {
    /// The name beside the line's end.
    pub name: String,
    /// The points from left to right.
    pub points: Vec<[f64; 2]>,
}

/// An axis.
#[derive(Clone, Copy)]
pub struct Axis {
    /// The quantity and its unit.
    pub title: &'static str,
    /// Whether the axis is logarithmic.
    pub logarithmic: bool,
}

/// A chart.
pub struct Curves {
    /// The title above the chart.
    pub title: String,
    /// The horizontal axis; its marks are at the points.
    pub across: Axis,
    /// The vertical axis.
    pub up: Axis,
    /// The lines, in any order.
    pub series: Vec<Series>,
}

impl Curves {
    /// The SVG document.
    pub fn to_svg(&self) -> String {
        let [wide, tall] = PLOT_PX;
        let (width, height) = (LEFT_PX + wide + NAMES_PX, TOP_PX + tall + BOTTOM_PX);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        text(&mut svg, LEFT_PX, 24.0, "start", 16, &self.title);
        text(&mut svg, LEFT_PX, TOP_PX - 8.0, "start", 11, self.up.title);
        text(&mut svg, LEFT_PX + wide / 2.0, height - 14.0, "middle", 12, self.across.title);
        let (across, up) = (self.scale(0), self.scale(1));
        for at in self.values(0) {
            let x = LEFT_PX + wide * across.part(at);
            let _ = writeln!(svg, "<path d=\"M{x:.1} {TOP_PX}v{tall}\" stroke=\"#edf2f7\"/>");
            text(&mut svg, x, TOP_PX + tall + 16.0, "middle", 11, &short(at));
        }
        for at in up.marks() {
            let y = TOP_PX + tall * (1.0 - up.part(at));
            let _ = writeln!(svg, "<path d=\"M{LEFT_PX} {y:.1}h{wide}\" stroke=\"#e2e8f0\"/>");
            text(&mut svg, LEFT_PX - 6.0, y + 4.0, "end", 11, &short(at));
        }
        let place = |[x, y]: [f64; 2]| [LEFT_PX + wide * across.part(x), TOP_PX + tall * (1.0 - up.part(y))];
        self.lines(&mut svg, place);
        svg.push_str("</svg>\n");
        svg
    }

    /// Draws the series, with names in the order of the lines' ends, none over another.
    fn lines(&self, svg: &mut String, place: impl Fn([f64; 2]) -> [f64; 2]) {
        let mut names: Vec<(f64, &str, &str)> = Vec::new();
        for (series, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let points: Vec<[f64; 2]> = series.points.iter().map(|point| place(*point)).collect();
            let path: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.join("L")
            );
            for [x, y] in &points {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            names.extend(points.last().map(|[_, y]| (*y, series.name.as_str(), *colour)));
        }
        names.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut highest, mut lowest) = (TOP_PX, TOP_PX + PLOT_PX[1]);
        for (y, ..) in &mut names {
            *y = y.max(highest);
            highest = *y + NAME_STEP_PX;
        }
        for (y, ..) in names.iter_mut().rev() {
            *y = y.min(lowest);
            lowest = *y - NAME_STEP_PX;
        }
        for (y, name, colour) in names {
            let x = LEFT_PX + PLOT_PX[0] + 10.0;
            let top = y - 4.0;
            let _ =
                writeln!(svg, "<rect x=\"{x}\" y=\"{top:.1}\" width=\"8\" height=\"8\" fill=\"{colour}\"/>");
            text(svg, x + 12.0, y + 4.0, "start", 11, name);
        }
    }

    /// All values on an axis, each once, in order.
    fn values(&self, axis: usize) -> Vec<f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        let mut values: Vec<f64> = points.filter_map(|point| point.get(axis).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }

    fn scale(&self, axis: usize) -> Scale {
        let (values, logarithmic) =
            (self.values(axis), [self.across, self.up].get(axis).is_some_and(|a| a.logarithmic));
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let (low, high) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        match (logarithmic && high > 0.0, axis) {
            // The vertical axis ends at powers of ten, so that the marks are round.
            (true, 1) => {
                Scale { logarithmic, low: power(low.log10().floor()), high: power(high.log10().ceil()) }
            }
            (true, _) => Scale { logarithmic, low, high },
            (false, 1) => Scale { logarithmic: false, low: 0.0, high: round_up(high) },
            (false, _) => Scale { logarithmic: false, low: low.min(high), high },
        }
    }
}

#[derive(Clone, Copy)]
struct Scale {
    logarithmic: bool,
    low: f64,
    high: f64,
}

impl Scale {
    /// The position of a value on the axis, from 0 to 1; 0.5 when all values are the same.
    fn part(&self, value: f64) -> f64 {
        let of = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let part = (of(value) - of(self.low)) / (of(self.high) - of(self.low));
        if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.5 }
    }

    fn marks(&self) -> Vec<f64> {
        if !self.logarithmic {
            return (0..=4).map(|quarter| self.high * f64::from(quarter) / 4.0).collect();
        }
        let mut marks = vec![self.low];
        while let Some(last) = marks.last().copied().filter(|last| last * 9.0 < self.high) {
            marks.push(last * 10.0);
        }
        marks
    }
}

fn power(exponent: f64) -> f64 {
    10_f64.powf(exponent)
}

/// The next of 1, 2, 4 or 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let step = power(value.log10().floor());
    [1.0, 2.0, 4.0, 8.0].map(|times| times * step).into_iter().find(|up| *up >= value).unwrap_or(step * 10.0)
}

/// A number in few characters: 12k, 1.5M, 0.25.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let digits = format!("{scaled:.3}");
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
