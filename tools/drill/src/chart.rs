//! A chart over time, as an SVG that needs nothing else: no script, no font, no network.
//!
//! It is drawn for light and for dark pages (`prefers-color-scheme`), and its series differ in their
//! dashes too, for readers who do not distinguish the colours.

use std::time::Duration;

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

/// The kinds differ in their colours, each with more contrast than 3:1 to the background, and in their
/// dashes.
const STYLE: &str = "<style>
.chart{--ink:#1f2328;--soft:#d8dee4;--paper:#fff;\
 --k0:#0b6bcb;--k1:#c2410c;--k2:#0f7b5a;--k3:#a2318f;--k4:#8a6d00;--k5:#5b6b7b;font:12px system-ui,sans-serif}
@media (prefers-color-scheme:dark){\
 .chart{--ink:#e6edf3;--soft:#30363d;--paper:#0d1117;\
 --k0:#6cb6ff;--k1:#ff9d6e;--k2:#4fd1a5;--k3:#f08bdc;--k4:#e3c04d;--k5:#a8b3bf;}}
.chart text{fill:var(--ink)} .chart .title{font-size:14px;font-weight:600}
.chart .paper{fill:var(--paper)}
.chart path,.chart circle{fill:none;stroke-width:1.8;stroke-linejoin:round}
.chart .grid{stroke:var(--soft);stroke-width:1} .chart .tick{stroke:var(--ink);stroke-width:1}
.chart .mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3}
.chart .k0{stroke:var(--k0);color:var(--k0);stroke-dasharray:none}
.chart .k1{stroke:var(--k1);color:var(--k1);stroke-dasharray:7 3}
.chart .k2{stroke:var(--k2);color:var(--k2);stroke-dasharray:2 3}
.chart .k3{stroke:var(--k3);color:var(--k3);stroke-dasharray:9 3 2 3}
.chart .k4{stroke:var(--k4);color:var(--k4);stroke-dasharray:4 2}
.chart .k5{stroke:var(--k5);color:var(--k5);stroke-dasharray:1 2}
.chart .area{fill:currentColor;fill-opacity:.18;stroke:none}
</style>";

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
        let top = self.entries().last().map_or(LEGEND_Y - LEGEND_ROW, |(.., y)| y) + 12.0;
        let frame = Frame {
            x: Axis::linear(self.xs(), LEFT, RIGHT),
            y: Axis::from_zero(self.y_scale, self.ys(), BOTTOM, top),
            top,
        };
        let mut lines = self.head();
        lines.extend(frame.grid());
        lines.push(frame.labels(&self.x_label, &self.y_label));
        for (kind, series) in (0..KINDS).cycle().zip(&self.series) {
            lines.extend(frame.series(kind, series));
        }
        lines.extend(self.marks.iter().filter_map(|mark| frame.mark(mark)));
        lines.extend((0..KINDS).cycle().zip(self.entries()).map(legend));
        lines.push("</svg>\n".to_owned());
        lines.join("\n")
    }

    fn head(&self) -> Vec<String> {
        let title = escaped(&self.title);
        vec![
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" \
                 viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\">"
            ),
            format!("<title>{title}</title>"),
            STYLE.to_owned(),
            format!("<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>"),
            format!("<text class=\"title\" x=\"{LEFT}\" y=\"{TITLE_Y}\">{title}</text>"),
        ]
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
}

fn legend((kind, (series, x, y)): (usize, (&Series, f64, f64))) -> String {
    let (end, middle) = (x + LEGEND_SAMPLE, y - 4.0);
    format!(
        "<path class=\"k{kind}\" d=\"M{x:.1} {middle:.1}H{end:.1}\"/>\
         <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
        end + 6.0,
        escaped(&series.name)
    )
}

/// The axes of the plot.
struct Frame {
    x: Axis,
    y: Axis,
    top: f64,
}

impl Frame {
    fn grid(&self) -> impl Iterator<Item = String> {
        let rows = self.y.ticks().map(|Tick { at, name }| {
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                LEFT - 8.0,
                at + 4.0
            )
        });
        let columns = self.x.ticks().map(|Tick { at, name }| {
            format!(
                "<path class=\"tick\" d=\"M{at:.1} {BOTTOM}v5\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
                BOTTOM + 18.0
            )
        });
        let axis = format!("<path class=\"tick\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>");
        rows.chain(columns).chain([axis])
    }

    fn labels(&self, x: &str, y: &str) -> String {
        let (across, down) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(self.top, BOTTOM));
        format!(
            "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(16 {down:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 10.0,
            escaped(x),
            escaped(y)
        )
    }

    fn series(&self, kind: usize, series: &Series) -> Vec<String> {
        let mut lines = Vec::new();
        for run in self.runs(&series.points) {
            let points: Vec<_> = run.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let path = format!("M{}", points.join("L"));
            if let (Style::Area, [(first, _), .., (last, _)]) = (series.style, &run[..]) {
                lines.push(format!(
                    "<path class=\"k{kind} area\" d=\"{path}L{last:.1} {BOTTOM}L{first:.1} {BOTTOM}Z\"/>"
                ));
            }
            lines.push(match run[..] {
                // A line of one point would be invisible.
                [(x, y)] => {
                    format!("<circle class=\"k{kind}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.5\"/>")
                }
                _ => format!("<path class=\"k{kind}\" d=\"{path}\"/>"),
            });
        }
        lines
    }

    /// The positions of the points, divided where one has none.
    fn runs(&self, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
        let at = |&(x, y): &(f64, f64)| Some((self.x.position(x)?, self.y.position(y)?));
        let positions: Vec<_> = points.iter().map(at).collect();
        let runs = positions.split(Option::is_none).filter(|run| !run.is_empty());
        runs.map(|run| run.iter().copied().flatten().collect()).collect()
    }

    fn mark(&self, mark: &Mark) -> Option<String> {
        let x = self.x.position(mark.x)?;
        // Its name is on the side where it fits.
        let (anchor, beside) = if x + width_of(&mark.name) > RIGHT - 5.0 {
            ("end", x - 5.0)
        } else {
            ("start", x + 5.0)
        };
        Some(format!(
            "<path class=\"mark\" d=\"M{x:.1} {:.1}V{BOTTOM}\"/>\
             <text x=\"{beside:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            self.top,
            self.top + 10.0,
            escaped(&mark.name)
        ))
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
