//! Findings about a document: what is wrong, where, and the mend.

use std::fmt::Write as _;

use crate::source::{Origin, Sources};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document runs, but probably not as meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line, without a full stop.
    pub message: String,
    /// The place to look at; [`Origin::NOWHERE`] if the finding has none.
    pub origin: Origin,
    /// What to write instead.
    pub mend: Option<String>,
    /// Other places and facts that explain the finding.
    pub notes: Vec<Note>,
}

/// Something that explains a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The fact.
    pub message: String,
    /// The place it is about, if any.
    pub origin: Origin,
}

impl Diagnostic {
    /// A finding that refuses the document.
    pub fn error(origin: Origin, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, origin, message.into())
    }

    /// A finding that lets the document run.
    pub fn warning(origin: Origin, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, origin, message.into())
    }

    fn new(severity: Severity, origin: Origin, message: String) -> Self {
        Self { severity, message, origin, mend: None, notes: Vec::new() }
    }

    /// With the mend.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// With the mend, if there is one.
    #[must_use]
    pub fn mend_if(mut self, mend: Option<String>) -> Self {
        self.mend = mend.or(self.mend);
        self
    }

    /// With another place that explains it.
    #[must_use]
    pub fn note(mut self, origin: Origin, message: impl Into<String>) -> Self {
        self.notes.push(Note { message: message.into(), origin });
        self
    }
}

/// Findings kept at most; the rest is only counted, so that a broken generator cannot fill memory.
const KEPT: usize = 500;

/// The findings about a document.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Adds a finding. Beyond 500 kept ones it is only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.items.len() < KEPT {
            self.items.push(diagnostic);
        }
    }

    /// The kept findings, in the order they were found or, after [`Diagnostics::sort`], of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter()
    }

    /// Whether further findings are only counted, so that working out their mends would be for nothing.
    pub fn is_full(&self) -> bool {
        self.items.len() >= KEPT
    }

    /// How many errors were found, kept or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings were found, kept or not.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Whether the document is refused.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Puts the findings in the order of the text they are about.
    pub fn sort(&mut self) {
        self.items.sort_by_key(|item| (item.origin.file, item.origin.line, item.origin.column));
    }
}

/// The findings as text for people, in the manner of rustc: each with its place, the line of the
/// source underlined, and the mend; a count at the end. Empty when there are none.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let mut printer = Printer { out: String::new(), sources, colour };
    for item in diagnostics.iter() {
        printer.item(item);
    }
    printer.summary(diagnostics);
    printer.out
}

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";
const BOLD: &str = "\x1b[1m";

/// Characters of a line shown at most; a window around the place is cut from longer ones.
const WINDOW: usize = 160;

struct Printer<'a> {
    out: String,
    sources: &'a Sources,
    colour: bool,
}

impl Printer<'_> {
    fn item(&mut self, item: &Diagnostic) {
        let (word, colour) = match item.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        self.title(word, colour, &item.message);
        let gutter = self.gutter(item);
        self.snippet(item.origin, gutter, '^', colour);
        for note in &item.notes {
            self.aside(gutter, "note", &note.message);
            self.snippet(note.origin, gutter, '-', BLUE);
        }
        if let Some(mend) = &item.mend {
            self.aside(gutter, "help", mend);
        }
        self.out.push('\n');
    }

    /// The width of the line numbers of all places this finding shows.
    fn gutter(&self, item: &Diagnostic) -> usize {
        let origins = std::iter::once(item.origin).chain(item.notes.iter().map(|note| note.origin));
        origins.map(|origin| origin.line.max(1).ilog10() as usize + 1).max().unwrap_or(1)
    }

    fn title(&mut self, word: &str, colour: &str, message: &str) {
        self.paint(colour, word);
        self.paint(BOLD, &format!(": {}", printable(message)));
        self.out.push('\n');
    }

    fn aside(&mut self, gutter: usize, word: &str, message: &str) {
        let _ = write!(self.out, "{:gutter$} ", "");
        self.paint(BLUE, "=");
        self.out.push(' ');
        self.paint(CYAN, word);
        let _ = writeln!(self.out, ": {}", printable(message));
    }

    fn snippet(&mut self, origin: Origin, gutter: usize, underline: char, colour: &str) {
        if !origin.is_known() {
            return;
        }
        let _ = write!(self.out, "{:gutter$}", "");
        self.paint(BLUE, "-->");
        let name = printable(self.sources.name(origin.file));
        let _ = writeln!(self.out, " {name}:{}:{}", origin.line, origin.column);
        let Some(line) = self.sources.line(origin.file, origin.line) else { return };
        let Excerpt { text, before, covered } = Excerpt::cut(&line, origin);
        self.paint(BLUE, &format!("{:gutter$} |", ""));
        self.out.push('\n');
        self.paint(BLUE, &format!("{:>gutter$} |", origin.line));
        let _ = writeln!(self.out, " {}", text.trim_end());
        self.paint(BLUE, &format!("{:gutter$} |", ""));
        let _ = write!(self.out, " {:before$}", "");
        self.paint(colour, &underline.to_string().repeat(covered));
        self.out.push('\n');
    }

    fn summary(&mut self, diagnostics: &Diagnostics) {
        let (errors, warnings) = (diagnostics.errors, diagnostics.warnings);
        let hidden = (errors + warnings) - diagnostics.items.len();
        if hidden > 0 {
            let _ = writeln!(self.out, "… and {hidden} more");
        }
        let parts = [count(errors, "error"), count(warnings, "warning")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            let _ = writeln!(self.out, "{}", parts.join(", "));
        }
    }

    fn paint(&mut self, colour: &str, text: &str) {
        if self.colour {
            let _ = write!(self.out, "{colour}{text}\x1b[0m");
        } else {
            self.out.push_str(text);
        }
    }
}

fn count(number: usize, word: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    }
}

/// The part of a line that is shown, and where in it the underline goes.
struct Excerpt {
    text: String,
    before: usize,
    covered: usize,
}

impl Excerpt {
    fn cut(line: &str, origin: Origin) -> Self {
        let length = line.chars().count();
        let at = (origin.column as usize).saturating_sub(1).min(length);
        let start = if length <= WINDOW { 0 } else { at.saturating_sub(WINDOW / 3) };
        let shown = (length - start).min(WINDOW);
        let kept: String = line.chars().skip(start).take(shown).collect();
        let head = if start > 0 { "…" } else { "" };
        let tail = if start + shown < length { "…" } else { "" };
        let text = format!("{head}{}{tail}", printable(&kept));
        let before = at - start + head.chars().count();
        let room = (start + shown).saturating_sub(at).max(1);
        Self { text, before, covered: (origin.length as usize).clamp(1, room) }
    }
}

/// Control characters replaced: a document must not be able to drive the terminal it is shown on.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Diagnostics, KEPT, render};
    use crate::source::{Origin, Sources};

    #[test]
    fn a_finding_shows_its_line_with_the_place_underlined() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml".into(), "x: 1\nkéy: \x1b[2Jwrong # why\n".into());
        let mut found = Diagnostics::default();
        let origin = Origin { file, line: 2, column: 6, length: 9 };
        let other = Origin { file, line: 1, column: 1, length: 1 };
        found.push(Diagnostic::error(origin, "not right").mend("write it right").note(other, "set here"));
        let expected = "error: not right\n --> a.yaml:2:6\n  |\n2 | kéy: \u{fffd}[2Jwrong # why\n  |      ^^^^^^^^^\n  = note: set here\n --> a.yaml:1:1\n  |\n1 | x: 1\n  | -\n  = help: write it right\n\n1 error\n";
        assert_eq!(render(&found, &sources, false), expected);
        assert!(render(&found, &sources, true).starts_with("\x1b[1;31merror\x1b[0m"));
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml".into(), format!("{}BAD{}", "a".repeat(100_000), "b".repeat(100_000)));
        let mut found = Diagnostics::default();
        found.push(Diagnostic::error(Origin { file, line: 1, column: 100_001, length: 3 }, "no"));
        let text = render(&found, &sources, false);
        assert!(text.len() < 1000, "{}", text.len());
        let lines: Vec<&str> = text.lines().collect();
        let at = lines[4].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[3].chars().skip(at).take(3).collect::<String>(), "BAD");
        assert!(lines[1].ends_with("a.yaml:1:100001"));
    }

    #[test]
    fn a_flood_of_findings_is_counted_not_kept() {
        let mut found = Diagnostics::default();
        for _ in 0..10 * KEPT {
            found.push(Diagnostic::warning(Origin::NOWHERE, "again"));
        }
        let text = render(&found, &Sources::default(), false);
        assert_eq!(found.iter().count(), KEPT);
        assert!(text.contains("… and 4500 more") && text.ends_with("5000 warnings\n"), "{text}");
    }
}
