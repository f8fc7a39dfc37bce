//! Lines on two logarithmic axes, as inline SVG.

use std::fmt::Write;

/// Pixels of the whole, of the margins left and right, and of the axis below.
const SIZE: (f64, f64) = (800.0, 360.0);
const LEFT: f64 = 70.0;
const RIGHT: f64 = 110.0;
const BELOW: f64 = 46.0;
const ABOVE: f64 = 10.0;

/// Colours of lines, told apart without colour by the label at their end too.
const COLOURS: [&str; 6] = ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568"];

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What they have in common.
    pub name: String,
    /// `(x, y)`, both positive.
    pub points: Vec<(f64, f64)>,
}

/// A logarithmic axis over whole decades or, where the values span less than that, over whole octaves.
struct Axis {
    low: f64,
    high: f64,
    base: f64,
    pixels: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, pixels: f64) -> Self {
        let (least, most) = values.fold((f64::INFINITY, 0f64), |(low, high), v| (low.min(v), high.max(v)));
        let base: f64 = if most / least > 100.0 { 10.0 } else { 2.0 };
        // Values that are powers of the base up to rounding stand on the axis' ends.
        let low = (least.log(base) + 1e-9).floor();
        let high = (most.log(base) - 1e-9).ceil().max(low + 1.0);
        Axis { low, high, base, pixels }
    }

    fn at(&self, value: f64) -> f64 {
        (value.log(self.base) - self.low) / (self.high - self.low) * self.pixels
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        (self.low as i32..=self.high as i32).map(|e| self.base.powi(e))
    }
}

/// A chart with a heading; empty when no line has two points.
pub fn plot(title: &str, [x_label, y_label]: [&str; 2], lines: &[Line]) -> String {
    let lines: Vec<&Line> = lines.iter().filter(|l| l.points.len() > 1).collect();
    if lines.is_empty() {
        return String::new();
    }
    let points = || lines.iter().flat_map(|l| l.points.iter());
    let (right, bottom) = (SIZE.0 - RIGHT, SIZE.1 - BELOW);
    let x = Axis::new(points().map(|p| p.0), right - LEFT);
    let y = Axis::new(points().map(|p| p.1), bottom - ABOVE);
    let (to_x, to_y) = (|v: f64| LEFT + x.at(v), |v: f64| bottom - y.at(v));
    let mut svg = format!(
        "<h2>{title}</h2><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\">",
        SIZE.0, SIZE.1
    );
    // Writing to a string cannot fail.
    for v in x.ticks() {
        let at = to_x(v);
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{ABOVE}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{v}</text>",
            bottom + 16.0
        );
    }
    for v in y.ticks() {
        let at = to_y(v);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{v}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x_label}</text>\
         <text transform=\"translate(14 {:.1}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>",
        (LEFT + right) / 2.0,
        SIZE.1 - 8.0,
        (ABOVE + bottom) / 2.0
    );
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<String> = line.points.iter().map(|p| format!("{:.1},{:.1}", to_x(p.0), to_y(p.1))).collect();
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            path.join(" ")
        );
        for &(px, py) in &line.points {
            let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>", to_x(px), to_y(py));
        }
        if let Some(&(px, py)) = line.points.last() {
            let (px, py) = (to_x(px) + 8.0, to_y(py) + 4.0);
            let _ = write!(svg, "<text x=\"{px:.1}\" y=\"{py:.1}\" fill=\"{colour}\">{}</text>", line.name);
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line { name: name.into(), points: points.to_vec() }
    }

    /// Centres of the circles.
    fn centres(svg: &str) -> Vec<(f64, f64)> {
        let number = |part: &str, key: &str| part.split(key).nth(1)?.split('"').next()?.parse().ok();
        svg.split("<circle").skip(1).filter_map(|p| Some((number(p, "cx=\"")?, number(p, "cy=\"")?))).collect()
    }

    #[test]
    fn equal_ratios_are_equal_distances() {
        let svg = plot("t", ["x", "y"], &[line("a", &[(16.0, 1.0), (32.0, 10.0), (64.0, 1000.0)])]);
        let [a, b, c] = centres(&svg)[..] else { panic!("{svg}") };
        assert!((b.0 - a.0 - (c.0 - b.0)).abs() < 0.2 && b.0 > a.0, "{a:?} {b:?} {c:?}");
        assert!((2.0 * (a.1 - b.1) - (b.1 - c.1)).abs() < 0.4 && b.1 < a.1, "{a:?} {b:?} {c:?}");
        assert!((a.0 - LEFT).abs() < 0.1 && (c.0 - (SIZE.0 - RIGHT)).abs() < 0.1, "ends of the axis: {a:?} {c:?}");
    }

    #[test]
    fn a_single_point_is_no_line() {
        assert_eq!(plot("t", ["x", "y"], &[line("a", &[(1.0, 1.0)]), line("b", &[])]), "");
    }

    #[test]
    fn equal_values_have_an_axis() {
        let svg = plot("t", ["x", "y"], &[line("a", &[(16.0, 3.0), (32.0, 3.0)])]);
        assert_eq!(centres(&svg).len(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
