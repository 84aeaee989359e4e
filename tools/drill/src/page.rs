//! The HTML page of a report: readable on a phone, on light and on dark, and complete in one file.

use crate::{
    chart::text::escaped,
    report::{Check, Report},
};

/// Colours have more contrast than 4.5:1 to the background.
const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1f2328;--soft:#d8dee4;--paper:#fff;--good:#0f6b4c;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#30363d;--paper:#0d1117;--good:#4fd1a5;--bad:#ff8a80}}
body{margin:0 auto;max-width:50rem;padding:1rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.4rem;margin:.5rem 0} h2{font-size:1.1rem;margin:1.5rem 0 .5rem}
.verdict{font-size:1.2rem;font-weight:700;border-left:.4rem solid;padding-left:.6rem}
.good{color:var(--good)} .bad{color:var(--bad)}
table{border-collapse:collapse;width:100%} td{border-top:1px solid var(--soft);padding:.35rem .5rem;vertical-align:top;overflow-wrap:anywhere}
td:first-child{width:4.5rem;font-weight:600} .facts td:first-child{width:50%;font-weight:400}
figure{margin:1rem 0;overflow-x:auto} figure svg{min-width:34rem;width:100%;height:auto}
";

/// It loads nothing: no script, no font, no network.
pub(crate) fn html(report: &Report) -> String {
    let (class, verdict) = (class(report.passed()), report.verdict());
    let checks: String = report.checks.iter().map(check).collect();
    let figure = |svg| format!("<figure>\n{svg}</figure>\n");
    let charts: String = report.charts.iter().map(|chart| figure(chart.svg())).collect();
    let row = |(name, value): &(String, String)| {
        format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value))
    };
    let facts: String = report.facts.iter().map(row).collect();
    let note = |note: &String| format!("<p>{}</p>\n", escaped(note));
    let notes: String = report.notes.iter().map(note).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>anticorona drill {name}: {verdict}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>anticorona drill {name}</h1>\n<p>{about}</p>\n\
         <p class=\"verdict {class}\">{verdict}</p>\n<h2>Reasons</h2>\n<table>\n{checks}</table>\n\
         {charts}<h2>Figures</h2>\n<table class=\"facts\">\n{facts}</table>\n{notes}</body>\n</html>\n",
        name = report.name,
        about = escaped(&report.about),
    )
}

fn check(Check { what, found, passed }: &Check) -> String {
    let (class, word) = (class(*passed), if *passed { "ok" } else { "failed" });
    let (what, found) = (escaped(what), escaped(found));
    format!("<tr><td class=\"{class}\">{word}</td><td>{what}: <b>{found}</b></td></tr>\n")
}

fn class(passed: bool) -> &'static str {
    if passed { "good" } else { "bad" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Chart;

    #[test]
    fn the_page_loads_nothing_and_escapes_every_text() {
        let mut report = Report::new("crash", "Kills.");
        report.check(false, "nothing is <lost>", "0");
        report.charts.push(Chart::default());
        report.note("<script>alert(1)</script>");
        let html = html(&report);
        let elsewhere = html.replace("http://www.w3.org/2000/svg", "");
        for fetch in ["http:", "https:", "url(", "@import", "<script", "<link", "<img", "src="] {
            assert!(!elsewhere.contains(fetch), "{fetch} in {html}");
        }
        assert!(html.contains("nothing is &lt;lost&gt;") && html.contains("default-src 'none'"));
    }
}
