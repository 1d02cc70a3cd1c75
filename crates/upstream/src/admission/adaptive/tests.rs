//! The cap against modelled servers.
