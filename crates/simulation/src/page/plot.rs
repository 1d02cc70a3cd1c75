//! One plot over time, as SVG.

use std::fmt::Write;

use super::escaped;
use crate::report::{Report, time};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 20.0;
const TOP: f64 = 8.0;

/// Values at the end of each interval; `None` leaves a gap.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    colour: &'static str,
    points: Vec<Option<f64>>,
}

impl Line {
    pub(super) fn new(name: &str, colour: &'static str, points: Vec<Option<f64>>) -> Self {
        Self { name: name.to_owned(), colour, points }
    }
}

/// A plot of some lines, with marks where the scenario changed something and shades where the circuit was not closed.
#[derive(Debug)]
pub(super) struct Plot<'a> {
    report: &'a Report,
    title: String,
    /// `us` for times.
    unit: &'static str,
    logarithmic: bool,
    lines: Vec<Line>,
}

impl<'a> Plot<'a> {
    pub(super) fn new(report: &'a Report, title: &str, unit: &'static str, logarithmic: bool) -> Self {
        Self { report, title: title.to_owned(), unit, logarithmic, lines: Vec::new() }
    }

    pub(super) fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.lines.iter().flat_map(|line| line.points.iter().flatten().copied())
    }

    /// The lowest and the highest value that it shows.
    fn range(&self) -> (f64, f64) {
        let most = self.values().fold(1.0, f64::max);
        if !self.logarithmic {
            return (0.0, round_up(most));
        }
        let least = self.values().fold(most, f64::min).max(1.0);
        let (low, high) = (10f64.powf(least.log10().floor()), 10f64.powf(most.log10().ceil()));
        (low, high.max(low * 10.0))
    }

    fn x(&self, at_us: f64) -> f64 {
        LEFT + (WIDTH - LEFT - 8.0) * at_us / self.report.duration_us.max(1) as f64
    }

    fn y(&self, value: f64, (low, high): (f64, f64)) -> f64 {
        let share = match self.logarithmic {
            true => (value.max(low) / low).log10() / (high / low).log10(),
            false => value / high,
        };
        HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share.clamp(0.0, 1.0)
    }

    /// Writes it. Writing to a text does not fail, here and below.
    pub(super) fn write(&self, out: &mut String) {
        let range = self.range();
        let _ = write!(
            out,
            "<h2>{}</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">",
            escaped(&self.title)
        );
        self.marks(out);
        self.axes(range, out);
        for line in &self.lines {
            let path = self.path(line, range);
            let _ = write!(
                out,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"><title>{}</title></path>",
                line.colour,
                escaped(&line.name)
            );
        }
        out.push_str("</svg>\n<p>");
        for line in &self.lines {
            let (colour, name) = (line.colour, escaped(&line.name));
            let _ = write!(out, "<span class=\"key\"><i style=\"background:{colour}\"></i>{name}</span> ");
        }
        out.push_str("</p>\n");
    }

    fn marks(&self, out: &mut String) {
        let height = HEIGHT - BOTTOM - TOP;
        for (from_us, to_us) in &self.report.open {
            let (from, to) = (self.x(*from_us as f64), self.x((*to_us).min(self.report.duration_us) as f64));
            let width = (to - from).max(0.0);
            let _ = write!(
                out,
                "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\" fill=\"#dc2626\" opacity=\".1\">\
                 <title>the circuit is not closed</title></rect>"
            );
        }
        for phase in self.report.phases.iter().filter(|phase| !phase.label.is_empty()) {
            let (x, bottom) = (self.x(phase.from_us as f64), HEIGHT - BOTTOM);
            let _ = write!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#94a3b8\" stroke-dasharray=\"3 3\">\
                 <title>{}</title></line>",
                escaped(&phase.label)
            );
        }
    }

    fn axes(&self, (low, high): (f64, f64), out: &mut String) {
        let mut ticks = Vec::new();
        if self.logarithmic {
            let mut tick = low;
            while tick <= high * 1.001 {
                ticks.push(tick);
                tick *= 10.0;
            }
        } else {
            ticks.extend((0..=4).map(|quarter| high * f64::from(quarter) / 4.0));
        }
        for tick in ticks {
            let (y, x, right) = (self.y(tick, (low, high)), LEFT - 6.0, WIDTH - 8.0);
            let label = if self.unit == "us" { time(tick as u64) } else { short(tick) };
            let _ = write!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#94a3b8\" opacity=\".3\"/>\
                 <text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                y + 4.0
            );
        }
        for sixth in 0..=6u32 {
            let at_us = self.report.duration_us as f64 * f64::from(sixth) / 6.0;
            let (x, y) = (self.x(at_us), HEIGHT - 4.0);
            let seconds = short((at_us / 1e5).round() / 10.0);
            let anchor = if sixth == 6 { "end" } else { "middle" };
            let _ = write!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{seconds}s</text>");
        }
    }

    fn path(&self, line: &Line, range: (f64, f64)) -> String {
        let (mut path, mut pen_down) = (String::new(), false);
        for (row, point) in self.report.intervals.iter().zip(&line.points) {
            let Some(value) = point else {
                pen_down = false;
                continue;
            };
            let step = if pen_down { 'L' } else { 'M' };
            let middle_us = (row.from_us + row.to_us) as f64 / 2.0;
            let _ = write!(path, "{step}{:.1} {:.1}", self.x(middle_us), self.y(*value, range));
            pen_down = true;
        }
        path
    }
}

/// The next of 1, 2, 5, 10, …
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

fn short(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{}k", (value / 100.0).round() / 10.0)
    } else {
        format!("{}", (value * 100.0).round() / 100.0)
    }
}
