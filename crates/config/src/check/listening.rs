//! That nothing is listened on twice. TCP and UDP have ports of their own; HTTP/3 takes the UDP port of its
//! listener.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Listener, Place};
use crate::source::{Located, Origin};
use crate::units::ListenAddress;

/// What a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// The addresses that are taken, and why.
#[derive(Default)]
pub(super) struct Ports {
    taken: HashMap<(Transport, ListenAddress), (Origin, &'static str)>,
}

impl Ports {
    pub(super) fn listener(&mut self, listener: &Listener, found: &mut Diagnostics) {
        let address = listener.place.address();
        let versions = listener.versions();
        match &listener.place {
            Place::Http(_) => {
                // HTTP/3 alone needs no TCP port, but redirects and `Alt-Svc` come from there.
                self.take(Transport::Tcp, &address, "", found);
                if versions.h3 {
                    self.take(Transport::Udp, &address, "HTTP/3", found);
                }
            }
            Place::Tcp(_) => self.take(Transport::Tcp, &address, "", found),
            Place::Udp(_) => self.take(Transport::Udp, &address, "UDP", found),
        }
    }

    /// Takes an address for a use, which is named where it is not plain from the document.
    pub(super) fn take(
        &mut self,
        transport: Transport,
        address: &Located<ListenAddress>,
        why: &'static str,
        found: &mut Diagnostics,
    ) {
        // With port 0 the system chooses another one each time.
        if address.port() == 0 {
            return;
        }
        let Some((first, before)) = self.taken.insert((transport, address.value), (address.origin, why))
        else {
            return;
        };
        if before == why {
            let message = format!("`{}` is listened on twice", address.value);
            found.push(Diagnostic::error(address.origin, message).note(first, "first here"));
        } else {
            let message = format!("the UDP port of `{}` is taken twice, here for {why}", address.value);
            let finding =
                Diagnostic::error(address.origin, message).note(first, format!("{before} has it already"));
            found.push(finding.mend("leave `h3` out of the `protocols`, or take another port"));
        }
    }
}
