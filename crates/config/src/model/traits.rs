//! What endpoints are besides their addresses, and what is made of it: slow start, zones, subsets.

use super::{Destination, Weight};
use crate::section::{section, words};
use crate::setting::Whole;
use crate::source::Located;
use crate::table::Table;
use crate::units::{Duration, Exponent, Name, Percent};

/// Labels: names with values of the document's choosing.
pub type Labels = Table<Name, Name>;

section! {
    /// New endpoints, and those that were away, get their share of the traffic little by little.
    pub struct SlowStart short "window" {
        /// How long it takes until they have all of it.
        window: Duration<1> = required;
        /// How fast at the beginning: 1.0 is a straight line, more is faster at first. The share grows with the part
        /// of the window that is over, to the power of 1 / this.
        aggression: Exponent = default(Exponent::ONE);
        /// The part of their share that they begin with.
        min_weight: Percent = default(Percent::whole(10));
    }
}

section! {
    /// Traffic stays in Tollgate's own zone as far as the endpoints there can carry it.
    pub struct PreferZone {
        /// All traffic stays while at least this part of the zone's endpoints (by weight) is usable. With less, as much
        /// less stays, and the rest goes to the other zones.
        min_usable: Percent = default(Percent::whole(50));
        /// With fewer usable endpoints in the zone than this, it is not preferred.
        min_endpoints: Whole<1, 65_535> = default(Whole::of::<1>());
    }
}

section! {
    /// Where requests go: an upstream, or some of its endpoints.
    pub struct Target short "upstream" {
        /// An upstream, by its name, or an address: `http://127.0.0.1:3000`, `https://app.internal`.
        upstream: Located<Destination> = required;
        /// Only to endpoints that have all of these labels.
        labels: Located<Labels> = default(Located::nowhere(Table::none()));
        /// What is done when no endpoint with these labels is usable.
        if_none: IfNone = default(IfNone::Fail);
    }
}

section! {
    /// A share of the traffic. The weight is enough where the name before it is an upstream's.
    pub struct Share short "weight" {
        /// The share, relative to the other shares.
        weight: Weight = required;
        /// The upstream; the one that the share is named after if left out.
        upstream: Option<Located<Name>> = optional;
        /// Only to endpoints that have all of these labels.
        labels: Located<Labels> = default(Located::nowhere(Table::none()));
        /// What is done when no endpoint with these labels is usable.
        if_none: IfNone = default(IfNone::Fail);
    }
}

words! {
    /// What is done when no endpoint with the labels is usable.
    pub enum IfNone {
        /// The request fails with `no_endpoint`.
        Fail = "fail";
        /// All endpoints of the upstream are used.
        Any = "any";
    }
}

impl Share {
    /// The upstream of a share of this name.
    pub fn upstream<'s>(&'s self, name: &'s Located<Name>) -> &'s Located<Name> {
        self.upstream.as_ref().unwrap_or(name)
    }
}
