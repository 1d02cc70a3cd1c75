//! The setting of the document whose value decided.

use super::{overload, secured};
use tollgate_decision::Reason;
use tollgate_proxy::Snapshot;
use tollgate_proxy::recorder::Entry;
use tollgate_proxy::snapshot::{RouteSettings, Service, UdpService, UpstreamTimeouts};

/// The setting that a refusal or a failure goes back to, with its value, as part of a sentence.
pub(super) fn that_decided(snapshot: &Snapshot, entry: &Entry) -> Option<String> {
    let (head, client) = (&snapshot.http.request_head, &snapshot.http.client);
    let told = match entry.reason() {
        Reason::HeadTooLarge => format!("limits.head_size is {}", size(head.head_size as u64)),
        // There is a limit that no document sets, and it has a detail.
        Reason::TooManyFields if entry.record.detail.is_none() => format!("limits.fields is {}", head.fields),
        Reason::TargetTooLong => format!("limits.target_size is {}", size(head.target_size as u64)),
        Reason::ResponseHeadTooLarge => {
            format!("limits.response_head_size is {}", size(snapshot.http.response_head.head_size as u64))
        }
        Reason::HeadTimeout => format!("timeouts.head is {}", duration(client.head_ms)),
        Reason::BodyTimeout => format!("timeouts.body is {}", duration(client.body_ms)),
        Reason::ClientStalled => format!("timeouts.write is {}", duration(client.write_ms)),
        Reason::ListenerFull | Reason::ClientAddressFull => return of_listener(snapshot, entry),
        reason if overload::is_refusal(reason) => return overload::that_decided(snapshot, entry),
        Reason::FlowTableFull | Reason::ClientFlowsFull => {
            return of_carrying_listener(snapshot, entry, entry.reason());
        }
        reason => {
            return secured::that_decided(snapshot, entry).or_else(|| of_route(snapshot, entry, reason));
        }
    };
    Some(capitalised(told))
}

fn of_route(snapshot: &Snapshot, entry: &Entry, reason: Reason) -> Option<String> {
    if entry.head.is_none() {
        return of_carrying_listener(snapshot, entry, reason);
    }
    let route = snapshot.routes.get(entry.record.route? as usize)?;
    let RouteSettings { timeouts, max_body, .. } = &*route.settings;
    let UpstreamTimeouts { connect_ms, first_byte_ms, idle_ms, try_ms, total_ms, .. } = timeouts;
    let (key, value) = match reason {
        Reason::BodyTooLarge => {
            ("The largest body (body.max_size, else limits.body_size)", size((*max_body)?))
        }
        // Opening may not take longer than the attempt or the exchange may.
        Reason::ConnectTimeout => {
            let limits =
                [("timeouts.connect", connect_ms), ("timeouts.try", try_ms), ("timeouts.total", total_ms)];
            let (key, ms) = limits.into_iter().min_by_key(|(_, ms)| **ms)?;
            (key, duration(*ms))
        }
        Reason::FirstByteTimeout => ("timeouts.first_byte", duration(*first_byte_ms)),
        Reason::UpstreamStalled => ("timeouts.idle", duration(*idle_ms)),
        Reason::TryTimeout => ("timeouts.try", duration(*try_ms)),
        Reason::TotalTimeout => ("timeouts.total", duration(*total_ms)),
        _ => return None,
    };
    Some(capitalised(format!("{key} of the route {} is {value}", route.name)))
}

fn of_carrying_listener(snapshot: &Snapshot, entry: &Entry, reason: Reason) -> Option<String> {
    let listener = snapshot.listeners.iter().find(|listener| listener.name == entry.names.listener)?;
    let service = match &listener.service {
        Service::Tcp(service) => service,
        Service::Udp(service) => return of_flows(&listener.name, service, reason),
        Service::Http(_) => return None,
    };
    let told = match reason {
        Reason::ConnectTimeout => format!("timeouts.connect is {}", duration(service.timeouts.connect_ms)),
        Reason::PreludeTimeout => format!("timeouts.head is {}", duration(service.timeouts.prelude_ms)),
        Reason::ConnectionIdle => {
            format!(
                "idle_timeout of the listener {} is {}",
                listener.name,
                duration(service.timeouts.idle_ms)
            )
        }
        _ => return None,
    };
    Some(capitalised(told))
}

fn of_flows(listener: &str, service: &UdpService, reason: Reason) -> Option<String> {
    let (key, value) = match reason {
        Reason::ConnectionIdle => ("flows.idle_timeout", duration(service.idle_ms)),
        Reason::FlowTableFull => ("flows.max", service.max_flows.to_string()),
        Reason::ClientFlowsFull => ("flows.max_per_address", service.max_flows_per_address.to_string()),
        _ => return None,
    };
    Some(capitalised(format!("{key} of the listener {listener} is {value}")))
}

fn of_listener(snapshot: &Snapshot, entry: &Entry) -> Option<String> {
    let listener = snapshot.listeners.iter().find(|listener| listener.name == entry.names.listener)?;
    let (key, value) = match entry.reason() {
        Reason::ListenerFull => ("max_connections", listener.max_connections?),
        _ => ("max_connections_per_address", listener.max_connections_per_address?),
    };
    Some(capitalised(format!("{key} of the listener {} is {value}", listener.name)))
}

/// Only the name of a setting stays as it is written.
pub(super) fn capitalised(told: String) -> String {
    match told.split_once(' ') {
        Some((key, rest)) if key.contains(['.', '_']) => format!("The setting {key} {rest}"),
        _ => told,
    }
}

/// As the document writes it.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// As the document writes it.
pub(super) fn duration(ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    match units.into_iter().find(|(unit, _)| ms != 0 && ms.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, size};

    #[test]
    fn values_are_written_as_in_the_document() {
        assert_eq!([0, 300, 1000, 90_000, 3_600_000].map(duration), ["0ms", "300ms", "1s", "90s", "1h"]);
        assert_eq!([0, 1000, 1024, 3 << 20].map(size), ["0B", "1000B", "1KiB", "3MiB"]);
    }
}
