//! Access logs: where records of exchanges go, which, and in what form.

use serde_json::Value as Json;

use crate::diagnostic::Diagnostic;
use crate::section::{choice, section, words};
use crate::setting::{Decoder, Many, Setting, decode_word};
use crate::shape::{Shape, Word};
use crate::source::Located;
use crate::tree::{Node, Value};
use crate::units::{Duration, HeaderName, Percent, StatusRange};

section! {
    /// A log of exchanges.
    pub struct LogSettings {
        /// Where the records go.
        destination: LogDestination = choice;
        /// The form of the records. If left out, `pretty` where standard output is a terminal, else `json`.
        format: Option<LogFormat> = optional;
        /// Which exchanges are logged: those that fit one of these. All if left out.
        when: Many<Located<LogCondition>> = default(Many::none());
        /// The share of exchanges that is logged. Those that failed (their reason is a failure, or the
        /// status is 500 or more) are logged whatever the share.
        sample: Percent = default(Percent::whole(100));
        /// What is shown of queries, which may hold secrets. The same goes for the queries of URLs in
        /// `Referer` and `Location`.
        query: LogQuery = default(LogQuery::Hide);
        /// Request headers that `json` and `pretty` records have. Headers with secrets in them
        /// (`Authorization`, `Cookie`, names that end in `-Token`, `-Secret`, …) show only `***`.
        request_headers: Many<Located<HeaderName>> = default(Many::none());
        /// Response headers that `json` and `pretty` records have, with the same care.
        response_headers: Many<Located<HeaderName>> = default(Many::none());
    }
}

choice! {
    /// Where the records of a log go.
    pub enum LogDestination {
        /// The path of a file. Records are appended; SIGUSR1 opens it anew after a rotation.
        File("file"): Located<String>;
        /// Standard output: `stdout: {}`, or just `stdout` where nothing else is set.
        Stdout("stdout"): StandardOutput;
    }
}

section! {
    /// Standard output.
    pub struct StandardOutput {}
}

/// A log of exchanges: its settings, or `stdout`.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog(LogSettings);

impl std::ops::Deref for AccessLog {
    type Target = LogSettings;
    fn deref(&self) -> &LogSettings {
        &self.0
    }
}

impl AccessLog {
    /// Everything, to standard output.
    fn stdout() -> Self {
        Self(LogSettings {
            destination: LogDestination::Stdout(StandardOutput {}),
            format: None,
            when: Many::none(),
            sample: Percent::whole(100),
            query: LogQuery::Hide,
            request_headers: Many::none(),
            response_headers: Many::none(),
        })
    }

    /// The log of a document that says nothing about logs.
    pub(crate) fn standard() -> Located<Self> {
        Located::nowhere(Self::stdout())
    }
}

impl Setting for AccessLog {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => LogSettings::decode(node, decoder).map(Self),
            // `none` is understood where it stands alone, and so never comes here to be right.
            _ => decode_word(node, decoder, &[("none", false), ("stdout", true)], &["stderr", "syslog"])
                .and_then(|stdout| {
                    if !stdout {
                        let finding = Diagnostic::error(node.origin, "`none` cannot stand among logs");
                        decoder.report(finding.mend("write `access_log: none`, or remove it"));
                    }
                    stdout.then(Self::stdout)
                }),
        }
    }
    fn shape() -> Shape {
        let stdout = Word { word: "stdout", doc: "Standard output.".to_owned() };
        Shape::AnyOf(vec![Shape::Words(vec![stdout]), LogSettings::shape()])
    }
    fn encode(&self) -> Json {
        if *self == Self::stdout() { "stdout".into() } else { self.0.encode() }
    }
}

/// The form of a log's records.
#[derive(Clone, Debug, PartialEq)]
pub enum LogFormat {
    /// One that has a name.
    Named(LogFormatName),
    /// One of the document's own.
    Template(LogTemplate),
}

words! {
    /// A form of records that has a name.
    pub enum LogFormatName {
        /// One JSON object a line, with the keys of OpenTelemetry.
        Json = "json";
        /// For people, with colours on a terminal.
        Pretty = "pretty";
        /// The common log format, as Apache writes it.
        Common = "common";
        /// The combined log format: the common one with referer and user agent.
        Combined = "combined";
    }
}

section! {
    /// Records of the document's own form.
    pub struct LogTemplate {
        /// The text of a record, fields in braces: `{client} {method} {path} {status} {t.total}`.
        template: Located<String> = required;
    }
}

impl Setting for LogFormat {
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => LogTemplate::decode(node, decoder).map(Self::Template),
            _ => LogFormatName::decode(node, decoder).map(Self::Named),
        }
    }
    fn shape() -> Shape {
        Shape::AnyOf(vec![LogFormatName::shape(), LogTemplate::shape()])
    }
    fn encode(&self) -> Json {
        match self {
            Self::Named(name) => name.encode(),
            Self::Template(template) => template.encode(),
        }
    }
}

section! {
    /// What an exchange must be like to be logged: every key that is written must fit, and of its values one.
    pub struct LogCondition {
        /// Statuses: `404`, `5xx`, `400-499`.
        status: Many<StatusRange> = default(Many::none());
        /// [Reasons](reasons.md).
        reason: Many<Located<String>> = default(Many::none());
        /// Who is at fault.
        side: Many<FaultSide> = default(Many::none());
        /// Names of routes.
        route: Many<Located<String>> = default(Many::none());
        /// It took this long at least.
        slower: Option<Duration<1>> = optional;
    }
}

words! {
    /// Who is at fault when an exchange fails.
    pub enum FaultSide {
        /// Nobody: it went as the document says.
        Nobody = "nobody";
        /// The client.
        Client = "client";
        /// The upstream.
        Upstream = "upstream";
        /// Tollgate itself.
        Proxy = "proxy";
    }
}

words! {
    /// What is shown of queries.
    pub enum LogQuery {
        /// Nothing.
        Hide = "hide";
        /// The names of the parameters, `***` for their values.
        Names = "names";
        /// All.
        Keep = "keep";
    }
}
