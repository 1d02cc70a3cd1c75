//! Listeners, the admin API and trusted proxies.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::Document;
use crate::source::{Located, Origin};
use crate::units::{Cidr, ListenAddress};

pub(super) fn check(document: &Document, found: &mut Diagnostics) {
    let mut names: HashMap<&str, Origin> = HashMap::new();
    let mut addresses: HashMap<ListenAddress, Origin> = HashMap::new();
    for listener in document.listen.iter() {
        if let Some(name) = &listener.name
            && let Some(first) = names.insert(name.as_str(), name.origin)
        {
            let message = format!("two listeners are called `{}`", name.as_str());
            found.push(Diagnostic::error(name.origin, message).note(first, "the first one"));
        }
        bind_once(&listener.address, &mut addresses, found);
        trusted(listener.trusted_proxies.iter().flat_map(|list| list.iter()), found);
    }
    trusted(document.trusted_proxies.iter(), found);
    let Some(admin) = &document.admin else { return };
    if admin.listen.is_none() && admin.socket.is_none() {
        let finding = Diagnostic::error(admin.origin, "the admin API has neither `listen` nor `socket`");
        found.push(finding.mend("write `admin: { listen: \"127.0.0.1:9901\" }`"));
    }
    let Some(listen) = &admin.listen else { return };
    bind_once(listen, &mut addresses, found);
    if !listen.ip().is_some_and(|ip| ip.is_loopback()) {
        let message = "the admin API can be reached from other machines, and has no protection of its own";
        let mend = format!("write `127.0.0.1:{}`", listen.port());
        found.push(Diagnostic::warning(listen.origin, message).mend(mend));
    }
}

fn bind_once(
    address: &Located<ListenAddress>,
    addresses: &mut HashMap<ListenAddress, Origin>,
    found: &mut Diagnostics,
) {
    // With port 0 the system chooses another one each time.
    if address.port() == 0 {
        return;
    }
    if let Some(first) = addresses.insert(address.value, address.origin) {
        let message = format!("`{}` is listened on twice", address.value);
        found.push(Diagnostic::error(address.origin, message).note(first, "first here"));
    }
}

fn trusted<'a>(ranges: impl Iterator<Item = &'a Located<Cidr>>, found: &mut Diagnostics) {
    for range in ranges.filter(|range| range.prefix() == 0) {
        let message = format!("`{}` trusts everyone: any client can claim any address", range.value);
        found.push(Diagnostic::warning(range.origin, message).mend("list the addresses of your own proxies"));
    }
}
