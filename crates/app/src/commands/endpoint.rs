//! `tollgate endpoint`: endpoints added and removed, out of rotation and back, while the process runs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use tollgate_admin::report::{EndpointState, EndpointStatus};
use tollgate_admin::resources::endpoints::{Changed, Endpoints, Weight};
use tollgate_admin::resources::members::NewEndpoint;

use crate::client::{self, Client, Reach};
use crate::{exit, overview, terminal};

/// How often a drained endpoint is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    reach: Reach,
    /// For programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Tell of all endpoints, or of those of one upstream
    List {
        /// The upstream
        upstream: Option<String>,
    },
    /// Add an endpoint. Outlives reloads until the document lists it, not a restart
    Add {
        /// The upstream's name
        upstream: String,
        /// Host and port; of a name all its addresses are added
        address: String,
        /// Its share of the requests, relative to the others' [default: 1]
        #[arg(long)]
        weight: Option<u32>,
    },
    /// Remove an endpoint; requests that run at it finish. `add` takes it back. Outlives reloads, not a restart
    Remove {
        #[command(flatten)]
        place: Place,
    },
    /// No new requests to an endpoint; those that run finish. Outlives reloads, not a restart
    Drain {
        #[command(flatten)]
        place: Place,
        /// Wait until no request is at it any more
        #[arg(long)]
        wait: bool,
        /// With --wait, fail after so many seconds
        #[arg(long, value_name = "SECONDS", requires = "wait")]
        timeout: Option<u64>,
    },
    /// Let a drained endpoint have requests again
    Undrain {
        #[command(flatten)]
        place: Place,
    },
    /// Give an endpoint another weight than the document's; without a number, the document's again
    Weight {
        #[command(flatten)]
        place: Place,
        /// Its share of the requests, relative to the others'
        weight: Option<u32>,
    },
}

/// An endpoint.
#[derive(Debug, clap::Args)]
struct Place {
    /// The upstream's name
    upstream: String,
    /// The endpoint as the document writes it, or its address
    endpoint: String,
}

/// Does it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = arguments.reach.client()?;
    let json = arguments.json;
    match &arguments.action {
        Action::List { upstream } => {
            let endpoints = list(&client, upstream.as_deref())?;
            if json { tell_json(&endpoints) } else { tell(&endpoints.endpoints) }
        }
        Action::Drain { place, wait, timeout } => {
            let drained = change(&client, place, "drain", None)?;
            if *wait {
                return wait_until_idle(&client, place, drained, *timeout, json);
            }
            tell_change(&drained, json)
        }
        Action::Add { upstream, address, weight } => {
            let new = NewEndpoint { address: address.clone(), weight: *weight };
            let path = client::path(&["api", "v1", "upstreams", upstream, "endpoints"]);
            tell_change(&client.post(&path, Some(&new))?, json)
        }
        Action::Remove { place } => {
            let removed = remove(&client, place)?;
            if list(&client, Some(&place.upstream))?.endpoints.iter().all(is_removed) {
                eprintln!("{} has no endpoint any more", place.upstream);
            }
            tell_removed(&removed, json)
        }
        Action::Undrain { place } => tell_change(&change(&client, place, "undrain", None)?, json),
        Action::Weight { place, weight } => {
            let weight = Weight { weight: *weight };
            tell_change(&change(&client, place, "weight", Some(weight))?, json)
        }
    }
}

fn list(client: &Client, upstream: Option<&str>) -> Result<Endpoints> {
    let query = upstream.map(|name| format!("?upstream={}", client::path(&[name]).trim_start_matches('/')));
    client.get(&format!("/api/v1/endpoints{}", query.unwrap_or_default()))
}

fn change(client: &Client, place: &Place, verb: &str, body: Option<Weight>) -> Result<Changed> {
    let parts = ["api", "v1", "upstreams", &place.upstream, "endpoints", &place.endpoint, verb];
    client.post(&client::path(&parts), body.as_ref())
}

fn remove(client: &Client, place: &Place) -> Result<Changed> {
    client.delete(&client::path(&["api", "v1", "upstreams", &place.upstream, "endpoints", &place.endpoint]))
}

fn is_removed(endpoint: &EndpointStatus) -> bool {
    endpoint.state == EndpointState::Removed
}

/// One at which nothing runs any more has nothing to be told of, unless it may come back.
fn tell_removed(removed: &Changed, json: bool) -> Result<ExitCode> {
    match removed.endpoints.is_empty() && !json {
        true => super::print("removed\n"),
        false => tell_change(removed, json),
    }
}

/// Waits until nothing is in flight at the endpoint.
fn wait_until_idle(
    client: &Client,
    place: &Place,
    mut drained: Changed,
    timeout: Option<u64>,
    json: bool,
) -> Result<ExitCode> {
    let mut looks_left = timeout.map(|seconds| seconds.saturating_mul(1000) / LOOK.as_millis() as u64);
    let mut told = 0;
    loop {
        let in_flight: u32 = drained.endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
        if in_flight == 0 {
            tell_change(&drained, json)?;
            return Ok(ExitCode::SUCCESS);
        }
        if in_flight != told {
            eprintln!("{} {}: {in_flight} in flight", place.upstream, place.endpoint);
            told = in_flight;
        }
        match &mut looks_left {
            Some(0) => {
                eprintln!("tollgate: {in_flight} are still in flight; the endpoint stays drained");
                return Ok(exit::FAILED.into());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        std::thread::sleep(LOOK);
        let now = list(client, Some(&place.upstream))?.endpoints;
        // One that a reload has taken out of the document is not there any more.
        drained.endpoints = now.into_iter().filter(|e| is_meant(e, place)).collect();
    }
}

fn is_meant(endpoint: &EndpointStatus, place: &Place) -> bool {
    endpoint.endpoint == place.endpoint || endpoint.address == place.endpoint
}

fn tell_change(changed: &Changed, json: bool) -> Result<ExitCode> {
    if json {
        return tell_json(changed);
    }
    if !changed.changed {
        eprintln!("it was so already");
    }
    tell(&changed.endpoints)
}

fn tell(endpoints: &[EndpointStatus]) -> Result<ExitCode> {
    super::print(&overview::endpoint_table(endpoints.iter()).text(terminal::colours()))
}

fn tell_json(value: &impl Serialize) -> Result<ExitCode> {
    let value: Value = serde_json::to_value(value)?;
    super::print(&format!("{value:#}\n"))
}
