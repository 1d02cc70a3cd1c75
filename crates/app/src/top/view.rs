//! The picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};

use super::model::{Changes, Model};
use crate::overview::{self, quantile, sign};
use crate::terminal::Tone;
use crate::terminal::figures::{age, count, rate};

/// How many warnings are shown at most.
const WARNINGS: usize = 3;

/// Below this width tables stand one below the other.
const NARROW: u16 = 90;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let changes = model.changes();
    let mut warnings: Vec<String> = model.trouble.iter().map(|trouble| trouble.replace('\n', " ")).collect();
    warnings.extend(overview::warnings(model.status()));
    warnings.truncate(WARNINGS);
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(warnings.len() as u16),
        Constraint::Length(4),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .split(frame.area());
    frame.render_widget(head(model, &changes), areas[0]);
    let warnings = warnings.into_iter().map(|text| Line::styled(format!("! {text}"), style(Tone::Doubtful)));
    frame.render_widget(Paragraph::new(warnings.collect::<Vec<_>>()), areas[1]);
    curve(frame, model, areas[2]);
    frame.render_widget(routes(model, &changes), areas[3]);
    let halves = if frame.area().width < NARROW {
        Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)])
    } else {
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).spacing(2)
    };
    let [left, right] = halves.areas::<2>(areas[4]);
    frame.render_widget(endpoints(model), left);
    frame.render_widget(reasons(&changes), right);
    frame.render_widget(foot(model), areas[5]);
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Doubtful => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
        Tone::Quiet => Style::new().add_modifier(Modifier::DIM),
    }
}

fn head(model: &Model, changes: &Changes) -> Paragraph<'static> {
    let status = model.status();
    let (word, tone) = overview::state(status);
    let about = format!(
        "  tollgate {}  pid {}  up {}  document {} from {}",
        status.build.version,
        status.process.pid,
        age(status.process.uptime_ms),
        status.config.number,
        status.config.source,
    );
    let open: u64 = status.listeners.iter().map(|listener| listener.open).sum();
    let in_flight: u64 = (status.upstreams.iter().flat_map(|upstream| &upstream.endpoints))
        .map(|endpoint| u64::from(endpoint.in_flight))
        .sum();
    let failing = changes.failures_per_second.is_some_and(|rate| rate > 0.0);
    let figures = Line::from(vec![
        Span::styled(or_dash(changes.exchanges_per_second), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(" requests/s   "),
        Span::styled(
            or_dash(changes.failures_per_second),
            style(if failing { Tone::Bad } else { Tone::Plain }),
        ),
        Span::raw(format!(
            " failures/s   p50 {}   p90 {}   p99 {}   {} connections   {} in flight",
            quantile(&changes.latency, 0.5),
            quantile(&changes.latency, 0.9),
            quantile(&changes.latency, 0.99),
            count(open),
            count(in_flight),
        )),
    ]);
    let first = Line::from(vec![Span::styled(format!("● {word}"), style(tone)), Span::raw(about)]);
    Paragraph::new(vec![first, figures])
}

/// Requests a second over the last intervals, the newest at the right.
fn curve(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let block = titled("requests/s".to_owned());
    let width = usize::from(block.inner(area).width);
    let mut values: Vec<u64> = model.history().rev().take(width).collect();
    values.resize(width, 0);
    values.reverse();
    frame.render_widget(Sparkline::default().data(values).style(style(Tone::Good)).block(block), area);
}

fn titled(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(style(Tone::Quiet)).title(title)
}

fn routes(model: &Model, changes: &Changes) -> Table<'static> {
    let figure = |value: Option<f64>, tone: Tone| {
        let tone = if value.is_some_and(|value| value > 0.0) { tone } else { Tone::Plain };
        right(or_dash(value), tone)
    };
    let rows = model.routes(changes).into_iter().map(|route| {
        Row::new(vec![
            Cell::new(route.name.clone()),
            figure(route.per_second, Tone::Plain),
            figure(route.client_errors_per_second, Tone::Doubtful),
            figure(route.server_errors_per_second, Tone::Bad),
            right(quantile(&route.latency, 0.5), Tone::Plain),
            right(quantile(&route.latency, 0.99), Tone::Plain),
        ])
    });
    let widths = [Constraint::Min(16)].into_iter().chain([Constraint::Length(8); 5]);
    let names = ["ROUTE", "/S", "4XX/S", "5XX/S", "P50", "P99"];
    Table::new(rows, widths).header(heading(&names, 1)).block(titled(format!("by {}", model.sort.label())))
}

fn endpoints(model: &Model) -> Table<'static> {
    let all = model.status().upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    let chosen = all.filter(|e| model.lets_through(&e.upstream) || model.lets_through(&e.endpoint));
    let mut chosen: Vec<_> = chosen.collect();
    // What is wrong is seen without scrolling.
    chosen.sort_by_key(|endpoint| sign(endpoint.state).1 == Tone::Good);
    let rows = chosen.into_iter().map(|endpoint| {
        let (sign, tone) = sign(endpoint.state);
        Row::new(vec![
            Cell::new(format!("{} {}", endpoint.upstream, endpoint.endpoint)),
            Cell::new(format!("{sign} {}", endpoint.state)).style(style(tone)),
            right(endpoint.weight.to_string(), Tone::Plain),
            right(count(endpoint.in_flight.into()), Tone::Plain),
        ])
    });
    let widths = [Constraint::Min(20), Constraint::Length(11), Constraint::Length(6), Constraint::Length(9)];
    let names = ["UPSTREAM ENDPOINT", "STATE", "WEIGHT", "IN FLIGHT"];
    Table::new(rows, widths).header(heading(&names, 2)).block(titled("endpoints".to_owned()))
}

fn reasons(changes: &Changes) -> Table<'static> {
    let rows = changes.reasons.iter().map(|reason| {
        let tone = if reason.side == "client" { Tone::Plain } else { Tone::Bad };
        Row::new(vec![
            Cell::new(reason.reason.clone()).style(style(tone)),
            Cell::new(reason.side.clone()),
            right(or_dash(reason.per_second), Tone::Plain),
            right(count(reason.total), Tone::Plain),
        ])
    });
    let widths = [Constraint::Min(16), Constraint::Length(8), Constraint::Length(6), Constraint::Length(7)];
    let names = ["ENDED BECAUSE", "AT FAULT", "/S", "TOTAL"];
    Table::new(rows, widths).header(heading(&names, 2)).block(titled("failures".to_owned()))
}

/// The first `texts` columns hold texts, the others figures.
fn heading(names: &[&'static str], texts: usize) -> Row<'static> {
    let cells = names.iter().enumerate().map(|(index, name)| {
        if index < texts { Cell::new(*name) } else { right((*name).to_owned(), Tone::Plain) }
    });
    Row::new(cells.collect::<Vec<_>>()).style(style(Tone::Quiet))
}

fn right(text: String, tone: Tone) -> Cell<'static> {
    Cell::new(Line::from(text).right_aligned()).style(style(tone))
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), rate)
}

fn foot(model: &Model) -> Line<'static> {
    if model.typing || !model.filter.is_empty() {
        let cursor = if model.typing { "▏  Enter: done" } else { "" };
        return Line::raw(format!("filter: {}{cursor}  Esc: no filter", model.filter));
    }
    Line::styled("q quit   s sort   / filter", style(Tone::Quiet))
}
