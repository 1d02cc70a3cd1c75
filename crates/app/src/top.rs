//! The live picture of a running instance: two looks at its status, and what changed between them.

mod model;
mod view;

use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tollgate_admin::report::Status;
use tollgate_runtime::Clock;

use crate::client::Client;
use model::Model;
pub use model::{Changes, Flow};

/// Routes that are asked for: more fit on no screen, and the busiest are among them.
const ROUTES: usize = 500;
/// The picture where there is no terminal, unless `COLUMNS` says otherwise.
const WIDTH: u16 = 120;
const HEIGHT: u16 = 40;

/// What changed within one interval.
pub fn changes(client: &Client, interval: Duration) -> Result<Changes> {
    Ok(two_looks(client, interval)?.changes())
}

/// One picture, as text.
pub fn once(client: &Client, interval: Duration) -> Result<String> {
    let model = two_looks(client, interval)?;
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    text(&model, columns.unwrap_or(WIDTH).clamp(40, 500), HEIGHT)
}

/// Shows the picture until a key ends it. The first look comes before the terminal is changed, so that what is wrong
/// with it can be read.
pub fn live(client: &Client, interval: Duration) -> Result<()> {
    let mut model = Model::new(look(client)?);
    let mut terminal = ratatui::try_init().context("cannot use this terminal")?;
    let shown = show(&mut terminal, &mut model, client, interval);
    ratatui::restore();
    shown
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    model: &mut Model,
    client: &Client,
    interval: Duration,
) -> Result<()> {
    let clock = Clock::new();
    let interval_ms = interval.as_millis() as u64;
    let mut next_ms = clock.now_ms() + interval_ms;
    loop {
        terminal.draw(|frame| view::draw(frame, model))?;
        let left_ms = next_ms.saturating_sub(clock.now_ms());
        if left_ms > 0 && event::poll(Duration::from_millis(left_ms))? {
            if let Event::Key(key) = event::read()?
                && key.kind == KeyEventKind::Press
                && model.key(key) == Flow::End
            {
                return Ok(());
            }
            continue;
        }
        if left_ms == 0 {
            match look(client) {
                Ok(status) => model.see(status),
                Err(error) => model.trouble = Some(format!("{error:#}")),
            }
            next_ms = clock.now_ms() + interval_ms;
        }
    }
}

fn two_looks(client: &Client, interval: Duration) -> Result<Model> {
    let mut model = Model::new(look(client)?);
    std::thread::sleep(interval);
    model.see(look(client)?);
    Ok(model)
}

fn look(client: &Client) -> Result<Status> {
    client.get(&format!("/api/v1/status?routes=used&limit={ROUTES}"))
}

/// The picture as text, without the empty lines at its end.
fn text(model: &Model, width: u16, height: u16) -> Result<String> {
    // Drawing into memory cannot fail.
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| view::draw(frame, model))?;
    Ok(lines(terminal.backend().buffer()))
}

fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[path = "top/tests.rs"]
mod tests;
