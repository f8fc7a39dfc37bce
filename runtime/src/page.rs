//! Pages that load nothing: a heading, and log-scale bars in inline SVG.

use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ccc}\
    td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}text{font:12px system-ui,sans-serif}\
    rect{fill:#2b6cb0}line{stroke:#ddd}";

/// Left margin for names, in pixels.
const LEFT: f64 = 190.0;
/// Width of the plot.
const PLOT: f64 = 520.0;
/// Right margin for values.
const RIGHT: f64 = 90.0;
/// Height of a bar with its gap.
const BAR: f64 = 24.0;

/// A page's start: title and a line below it.
pub fn head(title: &str, line: &str) -> String {
    let (title, line) = (escape(title), escape(line));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><p>{line}</p>"
    )
}

/// Horizontal bars on a logarithmic axis that begins and ends at powers of ten. Values that are not positive are left
/// out: they have no logarithm.
pub fn chart(title: &str, unit: &str, bars: &[(&str, f64)]) -> String {
    let bars: Vec<_> = bars.iter().filter(|(_, v)| *v > 0.0 && v.is_finite()).collect();
    let Some(least) = bars.iter().map(|b| b.1).reduce(f64::min) else { return String::new() };
    let most = bars.iter().map(|b| b.1).fold(least, f64::max);
    // One decade below the least value, so that its bar is visible even when it is a power of ten.
    let low = (least.log10() - 0.3).floor();
    let high = most.log10().ceil().max(low + 1.0);
    let x = |v: f64| (v.log10() - low) / (high - low) * PLOT;
    let bottom = BAR * bars.len() as f64;
    let (width, height) = (LEFT + PLOT + RIGHT, bottom + 24.0);
    let mut svg = format!(
        "<h2>{0}</h2><svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{0}\">",
        escape(&format!("{title} ({unit}, log scale)"))
    );
    for decade in low as i32..=high as i32 {
        let at = LEFT + x(10f64.powi(decade));
        let label = if (-3..=5).contains(&decade) { format!("{}", 10f64.powi(decade)) } else { format!("1e{decade}") };
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 16.0
        );
    }
    for (i, (name, value)) in bars.iter().enumerate() {
        let top = BAR * i as f64;
        let length = x(*value);
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 6.0,
            top + 16.0,
            escape(name),
            top + 4.0,
            BAR - 8.0,
            LEFT + length + 5.0,
            top + 16.0,
            number(Some(*value)),
        );
    }
    svg + "</svg>"
}

/// Three significant digits, whole numbers in full.
pub fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(v) if v >= 100.0 => format!("{v:.0}"),
        Some(v) if v > 0.0 => format!("{v:.*}", (2 - v.log10().floor() as i32).clamp(0, 9) as usize),
        Some(v) => v.to_string(),
    }
}

/// Text as it stands in a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_decades() {
        let svg = chart("t", "s", &[("a<b", 0.1), ("c", 1.0), ("d", 10.0), ("zero", 0.0)]);
        let widths: Vec<f64> = svg
            .split("<rect")
            .skip(1)
            .filter_map(|r| r.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(widths.len(), 3, "{svg}");
        assert!((widths[2] - widths[1] - (widths[1] - widths[0])).abs() < 0.2, "{widths:?}");
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert_eq!(chart("t", "s", &[]), "");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(number(Some(0.012345)), "0.0123");
        assert_eq!(number(Some(6112.0)), "6112");
        assert_eq!(number(None), "-");
    }
}
