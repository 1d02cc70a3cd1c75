//! Redis.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{RedisPlace, RedisStore};
use crate::source::{Located, Origin};
use crate::units::RedisNode;

pub(super) fn check(store: &Located<RedisStore>, found: &mut Diagnostics) {
    match &store.place {
        RedisPlace::Url(_) => {}
        RedisPlace::Sentinel(sentinel) => nodes(&sentinel.nodes, found),
        RedisPlace::Cluster(cluster) => nodes(cluster, found),
    }
    let Some(tls) = &store.tls else { return };
    if let Some(name) = tls.name.as_ref().filter(|name| name.suffix().is_some()) {
        let message = format!("`{}` is a pattern, but a host is needed here", name.value);
        found.push(Diagnostic::error(name.origin, message));
    }
    let missing = match (&tls.client_cert, &tls.client_key) {
        (Some(cert), None) => Some((cert.origin, "`client_cert` needs its `client_key`")),
        (None, Some(key)) => Some((key.origin, "`client_key` needs its `client_cert`")),
        _ => None,
    };
    if let Some((origin, message)) = missing {
        found.push(Diagnostic::error(origin, message));
    }
    if store.user.is_some() && store.password.is_none() {
        found.push(Diagnostic::error(store.origin, "`user` needs its `password`"));
    }
}

fn nodes(nodes: &[Located<RedisNode>], found: &mut Diagnostics) {
    let mut seen: HashMap<&RedisNode, Origin> = HashMap::new();
    for node in nodes {
        if let Some(first) = seen.insert(&node.value, node.origin) {
            let message = format!("`{}` is listed twice", node.value);
            found.push(Diagnostic::error(node.origin, message).note(first, "first here"));
        }
    }
}
