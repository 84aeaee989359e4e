//! A chart over time, as an SVG that needs nothing else: no script, no font, no network.
//!
//! It is drawn for light and for dark pages (`prefers-color-scheme`), and its series differ in their
//! dashes too, for readers who do not distinguish the colours.

use std::{fmt::Write, time::Duration};

use self::{
    axis::{Axis, Scale, Tick},
    text::{escaped, width_of},
};

pub(crate) mod axis;
pub(crate) mod text;

/// The size of the picture, in pixels; it scales to where it is shown.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;

/// The edges of the plot.
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 20.0;
const BOTTOM: f64 = HEIGHT - 46.0;

/// The baselines of the title and of the legend's first row.
const TITLE_Y: f64 = 22.0;
const LEGEND_Y: f64 = 44.0;

/// The height of a row of the legend, the length of its sample line, and the gap after a name.
const LEGEND_ROW: f64 = 18.0;
const LEGEND_SAMPLE: f64 = 26.0;
const LEGEND_GAP: f64 = 20.0;

/// How many kinds of line there are; they repeat for further series.
const KINDS: usize = 6;

/// Colours: on light and on dark, each with more contrast than 3:1 to the background.
const COLOURS: [(&str, &str); KINDS] = [
    ("#0b6bcb", "#6cb6ff"),
    ("#c2410c", "#ff9d6e"),
    ("#0f7b5a", "#4fd1a5"),
    ("#a2318f", "#f08bdc"),
    ("#8a6d00", "#e3c04d"),
    ("#5b6b7b", "#a8b3bf"),
];

const DASHES: [&str; KINDS] = ["none", "7 3", "2 3", "9 3 2 3", "4 2", "1 2"];

/// A line chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chart {
    /// Also its accessible name.
    pub title: String,
    /// Of the x axis, with its unit.
    pub x_label: String,
    /// Of the y axis, with its unit.
    pub y_label: String,
    /// Of the y axis.
    pub y_scale: Scale,
    /// In the order of the legend.
    pub series: Vec<Series>,
    /// Vertical lines.
    pub marks: Vec<Mark>,
}

/// One line, with or without the area below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// How it is drawn.
    pub style: Style,
    /// x and y. A NaN makes a gap.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// A line.
    #[default]
    Line,
    /// A line, and everything below it shaded.
    Area,
}

/// A named vertical line.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// On the x axis.
    pub x: f64,
    /// Beside the line.
    pub name: String,
}

impl Mark {
    pub(crate) fn new(at: Duration, name: &str) -> Self {
        Self { x: at.as_secs_f64(), name: name.to_owned() }
    }
}

impl Series {
    pub(crate) fn new(name: &str, style: Style, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), style, points }
    }
}

impl Chart {
    /// With the time in seconds on the x axis.
    pub(crate) fn over_time(
        title: &str,
        y_label: &str,
        series: Vec<Series>,
        marks: &[Mark],
    ) -> Self {
        Self {
            title: title.to_owned(),
            x_label: "time (s)".to_owned(),
            y_label: y_label.to_owned(),
            y_scale: Scale::Linear,
            series,
            marks: marks.to_vec(),
        }
    }

    /// The SVG, complete and by itself.
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let top = self.legend_bottom() + 12.0;
        let frame = Frame {
            x: Axis::linear(self.xs(), LEFT, RIGHT),
            y: Axis::from_zero(self.y_scale, self.ys(), BOTTOM, top),
            top,
        };
        svg.open(&self.title);
        svg.grid(&frame);
        svg.labels(&self.x_label, &self.y_label, &frame);
        for (kind, series) in (0..KINDS).cycle().zip(&self.series) {
            svg.series(kind, series, &frame);
        }
        for mark in &self.marks {
            svg.mark(mark, &frame);
        }
        self.legend(&mut svg);
        svg.close()
    }

    fn xs(&self) -> impl Iterator<Item = f64> {
        let points = self.series.iter().flat_map(|series| &series.points);
        points.map(|&(x, _)| x).chain(self.marks.iter().map(|mark| mark.x))
    }

    fn ys(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|series| &series.points).map(|&(_, y)| y)
    }

    /// Each series with where its entry of the legend begins.
    fn entries(&self) -> impl Iterator<Item = (&Series, f64, f64)> {
        let (mut x, mut y) = (LEFT, LEGEND_Y);
        self.series.iter().map(move |series| {
            let width = LEGEND_SAMPLE + 6.0 + width_of(&series.name) + LEGEND_GAP;
            if x > LEFT && x + width > RIGHT {
                (x, y) = (LEFT, y + LEGEND_ROW);
            }
            let entry = (series, x, y);
            x += width;
            entry
        })
    }

    fn legend_bottom(&self) -> f64 {
        self.entries().last().map_or(LEGEND_Y - LEGEND_ROW, |(.., y)| y)
    }

    fn legend(&self, svg: &mut Svg) {
        for (kind, (series, x, y)) in (0..KINDS).cycle().zip(self.entries()) {
            let (end, middle) = (x + LEGEND_SAMPLE, y - 4.0);
            svg.line(&format!(
                "<path class=\"k{kind}\" d=\"M{x:.1} {middle:.1}H{end:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                end + 6.0,
                escaped(&series.name)
            ));
        }
    }
}

/// The axes of the plot.
struct Frame {
    x: Axis,
    y: Axis,
    top: f64,
}

#[derive(Default)]
struct Svg(String);

impl Svg {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn open(&mut self, title: &str) {
        let title = escaped(title);
        self.line(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" \
             viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">"
        ));
        self.line(&format!("<title>{title}</title>"));
        self.line(&style());
        self.line(&format!("<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>"));
        self.line(&format!("<text class=\"title\" x=\"{LEFT}\" y=\"{TITLE_Y}\">{title}</text>"));
    }

    fn grid(&mut self, frame: &Frame) {
        for Tick { at, name } in frame.y.ticks() {
            self.line(&format!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                LEFT - 8.0,
                at + 4.0
            ));
        }
        for Tick { at, name } in frame.x.ticks() {
            self.line(&format!(
                "<path class=\"tick\" d=\"M{at:.1} {BOTTOM}v5\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
                BOTTOM + 18.0
            ));
        }
        self.line(&format!("<path class=\"tick\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>"));
    }

    fn labels(&mut self, x: &str, y: &str, frame: &Frame) {
        let (across, down) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(frame.top, BOTTOM));
        self.line(&format!(
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(16 {down:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 10.0,
            escaped(x),
            escaped(y)
        ));
    }

    fn series(&mut self, kind: usize, series: &Series, frame: &Frame) {
        for run in runs(&series.points, frame) {
            let mut path = String::new();
            for (x, y) in &run {
                let command = if path.is_empty() { 'M' } else { 'L' };
                // Writing to a String does not fail.
                let _ = write!(path, "{command}{x:.1} {y:.1}");
            }
            if let (Style::Area, Some((first, _)), Some((last, _))) =
                (series.style, run.first(), run.last())
            {
                self.line(&format!(
                    "<path class=\"k{kind} area\" d=\"{path}L{last:.1} {BOTTOM}L{first:.1} {BOTTOM}Z\"/>"
                ));
            }
            match run[..] {
                // A line of one point would be invisible.
                [(x, y)] => self.line(&format!(
                    "<circle class=\"k{kind}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\"/>"
                )),
                _ => self.line(&format!("<path class=\"k{kind}\" d=\"{path}\"/>")),
            }
        }
    }

    fn mark(&mut self, mark: &Mark, frame: &Frame) {
        let Some(x) = frame.x.position(mark.x) else { return };
        let name = escaped(&mark.name);
        // Its name is on the side where it fits.
        let (anchor, beside) = if x + width_of(&mark.name) > RIGHT - 5.0 {
            ("end", x - 5.0)
        } else {
            ("start", x + 5.0)
        };
        self.line(&format!(
            "<path class=\"mark\" d=\"M{x:.1} {:.1}V{BOTTOM}\"/>\
             <text x=\"{beside:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}</text>",
            frame.top,
            frame.top + 10.0
        ));
    }

    fn close(mut self) -> String {
        self.line("</svg>");
        self.0
    }
}

/// Vertical where the value changes: for values that do not change gradually.
pub(crate) fn steps(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let Some((_, before)) = steps.last().copied() {
            steps.push((x, before));
        }
        steps.push((x, y));
    }
    steps
}

/// The positions of the points, divided where one has none.
fn runs(points: &[(f64, f64)], frame: &Frame) -> Vec<Vec<(f64, f64)>> {
    let mut runs = vec![Vec::new()];
    for &(x, y) in points {
        match (frame.x.position(x), frame.y.position(y), runs.last_mut()) {
            (Some(x), Some(y), Some(run)) => run.push((x, y)),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn style() -> String {
    let (mut light, mut dark, mut kinds) = (String::new(), String::new(), String::new());
    for (kind, ((on_light, on_dark), dash)) in COLOURS.iter().zip(DASHES).enumerate() {
        // Writing to a String does not fail.
        let _ = write!(light, "--k{kind}:{on_light};");
        let _ = write!(dark, "--k{kind}:{on_dark};");
        let _ = write!(
            kinds,
            "\n.chart .k{kind}{{stroke:var(--k{kind});color:var(--k{kind});stroke-dasharray:{dash}}}"
        );
    }
    format!(
        "<style>\n\
         .chart{{--ink:#1f2328;--soft:#d8dee4;--paper:#fff;{light}font:12px system-ui,sans-serif}}\n\
         @media (prefers-color-scheme:dark){{\
         .chart{{--ink:#e6edf3;--soft:#30363d;--paper:#0d1117;{dark}}}}}\n\
         .chart text{{fill:var(--ink)}} .chart .title{{font-size:14px;font-weight:600}}\n\
         .chart .paper{{fill:var(--paper)}}\n\
         .chart path,.chart circle{{fill:none;stroke-width:1.8;stroke-linejoin:round}}\n\
         .chart .grid{{stroke:var(--soft);stroke-width:1}} .chart .tick{{stroke:var(--ink);stroke-width:1}}\n\
         .chart .mark{{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3}}{kinds}\n\
         .chart .area{{fill:currentColor;fill-opacity:.18;stroke:none}}\n\
         </style>"
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn series(name: &str, style: Style, points: &[(f64, f64)]) -> Series {
        Series::new(name, style, points.to_vec())
    }

    fn goodput() -> Chart {
        Chart {
            title: "Goodput at 5 × capacity".to_owned(),
            x_label: "time (s)".to_owned(),
            y_label: "answers (1/s)".to_owned(),
            series: vec![
                series("ours", Style::Area, &[(0.0, 1_900.0), (1.0, 2_000.0), (2.0, 1_950.0)]),
                series("none", Style::Line, &[(0.0, 1_800.0), (1.0, f64::NAN), (2.0, 10.0)]),
            ],
            marks: vec![Mark { x: 1.5, name: "load falls".to_owned() }],
            ..Chart::default()
        }
    }

    /// Without the style, which is the same in each.
    fn body(chart: &Chart) -> String {
        let svg = chart.svg();
        svg.split_once("</style>\n").expect("a style").1.to_owned()
    }

    #[test]
    fn a_chart_has_axes_series_marks_and_a_legend() {
        assert_snapshot!(goodput().svg());
    }

    #[test]
    fn latencies_are_read_by_powers_of_ten() {
        let chart = Chart {
            y_scale: Scale::Logarithmic,
            y_label: "latency (ms)".to_owned(),
            series: vec![series("p99", Style::Line, &[(0.0, 2.0), (1.0, 0.0), (2.0, 900.0)])],
            ..Chart::default()
        };
        assert_snapshot!(body(&chart));
    }

    #[test]
    fn a_chart_of_nothing_is_still_a_chart() {
        let svg = body(&Chart::default());
        assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn names_are_escaped() {
        let title = "<script>\"&'</script>".to_owned();
        let svg = Chart { title, ..goodput() }.svg();
        assert!(!svg.contains("<script"));
        assert!(svg.contains("&lt;script&gt;&quot;&amp;&#39;&lt;/script&gt;"));
    }

    #[test]
    fn a_long_legend_continues_in_the_next_row() {
        let many = (0..12).map(|n| series(&format!("a rather long name {n}"), Style::Line, &[]));
        let chart = Chart { series: many.collect(), ..Chart::default() };
        let rows: Vec<_> = chart.entries().map(|(.., y)| y).collect();
        assert!(rows.is_sorted() && rows[11] >= LEGEND_Y + LEGEND_ROW);
        assert!(
            chart.entries().all(|(series, x, _)| {
                x + LEGEND_SAMPLE + 6.0 + width_of(&series.name) <= RIGHT
            })
        );
    }

    #[test]
    fn the_svg_loads_nothing() {
        let svg = goodput().svg().replace("http://www.w3.org/2000/svg", "");
        assert!(!svg.contains("http") && !svg.contains("url(") && !svg.contains("@import"));
    }
}
