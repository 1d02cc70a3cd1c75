//! Listeners, the admin API and trusted proxies.

use std::collections::HashMap;

use super::listening::{Ports, Transport};
use super::references::References;
use super::{http, streams, tls};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Admin, Document, Place};
use crate::setting::Switch;
use crate::source::{Located, Origin};
use crate::units::Cidr;

pub(super) fn check<'d>(document: &'d Document, references: &mut References<'d>, found: &mut Diagnostics) {
    let mut names: HashMap<&str, Origin> = HashMap::new();
    let mut ports = Ports::default();
    for listener in document.listen.iter() {
        if let Some(name) = &listener.name
            && let Some(first) = names.insert(name.as_str(), name.origin)
        {
            let message = format!("two listeners are called `{}`", name.as_str());
            found.push(Diagnostic::error(name.origin, message).note(first, "the first one"));
        }
        ports.listener(listener, found);
        match &listener.place {
            Place::Http(_) => http::check(listener, found),
            Place::Tcp(_) => streams::tcp(listener, references, found),
            Place::Udp(_) => streams::udp(listener, document, references, found),
        }
        tls::listener(listener, found);
        trusted(listener.trusted_proxies.iter().flat_map(|list| list.iter()), found);
        trusted(listener.proxy_protocol.iter(), found);
    }
    trusted(document.trusted_proxies.iter(), found);
    if let Some(admin) = &document.admin
        && let Switch::On(settings) = &admin.value
    {
        api(settings, admin.origin, &mut ports, found);
    }
}

/// How short a token may be without a warning: 16 characters hold 64 bits even if they are only hex digits.
const TOKEN_MIN: usize = 16;

fn api(admin: &Admin, origin: Origin, ports: &mut Ports, found: &mut Diagnostics) {
    if admin.listen.is_none() && admin.socket.is_none() {
        let finding = Diagnostic::error(origin, "the admin API has neither `listen` nor `socket`");
        found.push(finding.mend("write `admin: { listen: \"127.0.0.1:9901\" }`"));
    }
    if let Some(token) = admin.token.as_ref().filter(|token| token.reveal().is_empty()) {
        let finding = Diagnostic::error(token.origin, "the admin API's token is empty");
        found.push(finding.mend("`openssl rand -hex 32` makes a good one"));
    } else if let Some(token) = admin.token.as_ref().filter(|token| token.reveal().len() < TOKEN_MIN) {
        let message =
            format!("the admin API's token has less than {TOKEN_MIN} characters, and can be guessed");
        found
            .push(Diagnostic::warning(token.origin, message).mend("`openssl rand -hex 32` makes a good one"));
    }
    let Some(listen) = &admin.listen else { return };
    ports.take(Transport::Tcp, listen, "", found);
    if !listen.ip().is_some_and(|ip| ip.is_loopback()) {
        let message = "the metrics can be read from other machines, and the token and what it protects go there in clear";
        let mend = format!("write `127.0.0.1:{}`", listen.port());
        found.push(Diagnostic::warning(listen.origin, message).mend(mend));
    }
}

fn trusted<'a>(ranges: impl Iterator<Item = &'a Located<Cidr>>, found: &mut Diagnostics) {
    for range in ranges.filter(|range| range.prefix() == 0) {
        let message = format!("`{}` trusts everyone: any client can claim any address", range.value);
        found.push(Diagnostic::warning(range.origin, message).mend("list the addresses of your own proxies"));
    }
}
