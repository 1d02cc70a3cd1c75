//! Calls that Tollgate makes on its own account: HTTP over TCP and TLS, with limits.
