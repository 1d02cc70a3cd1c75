//! Files of endpoints beside the document.

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::model::{Endpoint, EndpointPlace};
use crate::setting::{Decoder, Setting};
use crate::source::{Located, MemoryFiles, Sources};
use crate::tree::{Value, parse};
use crate::units::EndpointAddress;

/// An endpoint of a file: its address, which is an IP address, and its weight.
pub type ListedEndpoint = (EndpointAddress, u32);

/// Reads a file of endpoints: a list as under `endpoints` of an upstream, in YAML or JSON, or with `lines` an address
/// and perhaps a weight in each line and comments after `#`. Only IP addresses: a file is followed, and what it says is
/// not followed further.
///
/// # Errors
///
/// What is wrong, with its line. Nothing of such a file is used.
pub fn endpoints_of_file(text: &str, lines: bool) -> Result<Vec<ListedEndpoint>, String> {
    if text.trim().is_empty() {
        return Err(NOTHING.to_owned());
    }
    if lines { of_lines(text) } else { of_list(text) }
}

fn of_lines(text: &str) -> Result<Vec<ListedEndpoint>, String> {
    let mut endpoints = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |what: String| format!("line {number}: {what}");
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next() else { continue };
        let address = address.parse::<EndpointAddress>().map_err(|error| wrong(error.to_string()))?;
        let weight = match words.next() {
            None => 1,
            Some(word) => {
                let weight = word.parse().ok().filter(|weight| *weight <= 65_535);
                weight.ok_or_else(|| wrong(format!("`{word}` is not a weight from 0 to 65535")))?
            }
        };
        if let Some(word) = words.next() {
            return Err(wrong(format!("`{word}` is too much: a line has an address and a weight")));
        }
        endpoints.push(usable(address, weight).map_err(wrong)?);
    }
    Ok(endpoints)
}

/// What an empty file is told: whoever empties a file before writing it does not mean an empty list.
const NOTHING: &str = "it is empty; write `[]`, or in a `.txt` file a comment, if there are no endpoints";

fn of_list(text: &str) -> Result<Vec<ListedEndpoint>, String> {
    let (mut diagnostics, mut sources) = (Diagnostics::default(), Sources::default());
    let file = sources.add(String::new(), String::new());
    let root = parse(file, text, &|_| None, &mut diagnostics);
    let list: Option<Vec<Located<Endpoint>>> = root.and_then(|root| {
        if root.is_nothing() || !matches!(root.value, Value::Sequence(_)) {
            let what = if root.is_nothing() { NOTHING } else { "it is not a list of endpoints" };
            diagnostics.push(Diagnostic::error(root.origin, what));
            return None;
        }
        let files = MemoryFiles::default();
        let mut decoder = Decoder { diagnostics: &mut diagnostics, sources: &mut sources, files: &files };
        Vec::decode(&root, &mut decoder)
    });
    diagnostics.sort();
    if let Some(first) = diagnostics.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(match first.origin.line {
            0 => first.message.clone(),
            line => format!("line {line}: {}", first.message),
        });
    }
    let Some(list) = list else { return Err(NOTHING.to_owned()) };
    list.into_iter().map(listed).collect()
}

fn listed(endpoint: Located<Endpoint>) -> Result<ListedEndpoint, String> {
    let line = endpoint.origin.line;
    let wrong = |what: String| format!("line {line}: {what}");
    let Endpoint { place, weight, follow, priority, backup, zone, labels, .. } = endpoint.value;
    let is_plain = follow.is_none() && priority.is_none() && !backup && zone.is_none() && labels.is_empty();
    match place {
        EndpointPlace::Address(address) if is_plain => usable(address.value, weight.get()).map_err(wrong),
        _ => Err(wrong("a file has addresses and weights, nothing else".to_owned())),
    }
}

fn usable(address: EndpointAddress, weight: u32) -> Result<ListedEndpoint, String> {
    if address.socket().is_none() {
        let host = address.host();
        return Err(format!("`{host}` is a name; a file has IP addresses, and names go into the document"));
    }
    if address.is_https() {
        return Err(format!("`{address}`: whether there is TLS is said by the upstream's `tls`"));
    }
    Ok((address, weight))
}

#[cfg(test)]
mod tests {
    use super::endpoints_of_file;

    fn shown(text: &str, lines: bool) -> Vec<String> {
        let endpoints = endpoints_of_file(text, lines).unwrap();
        endpoints.iter().map(|(address, weight)| format!("{address} {weight}")).collect()
    }

    #[test]
    fn lists_are_read_as_in_a_document() {
        let yaml = "- 192.0.2.1:80\n- { address: \"[2001:db8::1]:81\", weight: 5 }\n";
        assert_eq!(shown(yaml, false), ["192.0.2.1:80 1", "[2001:db8::1]:81 5"]);
        let json = r#"["192.0.2.1:80", {"address": "192.0.2.2:80", "weight": 0}]"#;
        assert_eq!(shown(json, false), ["192.0.2.1:80 1", "192.0.2.2:80 0"]);
        assert_eq!(shown("[]", false), [""; 0]);
        assert_eq!(
            shown("# who\n192.0.2.1:80\n\n192.0.2.2:80 7 # spare\n", true),
            ["192.0.2.1:80 1", "192.0.2.2:80 7"]
        );
        assert_eq!(shown("# none\n", true), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, lines, says) in [
            ("", false, "it is empty"),
            ("", true, "it is empty"),
            ("a: b\n", false, "line 1: it is not a list"),
            ("- 192.0.2.1:80\n- 192.0.2.2\n", false, "line 2:"),
            ("- 192.0.2.1:80\n- { address: \"192.0.2.2:80\", wieght: 3 }\n", false, "line 2: unknown key"),
            ("- api:80\n", false, "`api` is a name"),
            ("- https://192.0.2.1\n", false, "`tls`"),
            ("- { dns: api:80 }\n", false, "line 1: a file has addresses"),
            ("- [\n", false, "line"),
            ("192.0.2.1:80\nwhat\n", true, "line 2:"),
            ("192.0.2.1:80 70000\n", true, "`70000` is not a weight"),
            ("192.0.2.1:80 1 2\n", true, "`2` is too much"),
        ] {
            let why = endpoints_of_file(text, lines).unwrap_err();
            assert!(why.contains(says), "{text:?}: {why}");
        }
    }
}
