//! Tests beside the settings: requests, and what must become of them.

use super::{Destination, TextMatch};
use crate::section::{section, words};
use crate::setting::Many;
use crate::source::Located;
use crate::table::Table;
use crate::units::{ClaimPath, ClaimValue, FieldValue, HeaderName, HttpUrl, IpAddress, MethodName};
use crate::units::{Name, ScopeName, StatusRange};

section! {
    /// A test of the document: a made-up request, and what must become of it. `tollgate check` runs all tests.
    pub struct Test {
        /// What it is called.
        name: Located<String> = required;
        /// The request.
        request: TestRequest = required;
        /// Who sends it; a stranger if left out.
        caller: Option<Box<TestCaller>> = optional;
        /// What must become of it.
        expect: Located<TestExpectation> = required;
    }
}

section! {
    /// A made-up request. A URL alone is a GET.
    pub struct TestRequest short "url" {
        /// The method.
        method: MethodName = default(MethodName::get());
        /// The URL, with the host: `https://shop.example.com/orders?id=1`.
        url: Located<HttpUrl> = required;
        /// Header fields.
        headers: Table<HeaderName, FieldValue> = default(Table::none());
        /// The client's address.
        address: IpAddress = default(IpAddress::documentation());
    }
}

section! {
    /// Who sends a request: authentication finds this, whatever the request shows.
    pub struct TestCaller short "consumer" {
        /// A consumer.
        consumer: Option<Located<Name>> = optional;
        /// Claims of its token.
        claims: Table<ClaimPath, Many<ClaimValue>> = default(Table::none());
        /// Scopes of its token.
        scopes: Many<ScopeName> = default(Many::none());
    }
}

section! {
    /// What must become of a request. What is left out may be anything.
    pub struct TestExpectation {
        /// The name of its route.
        route: Option<Located<Name>> = optional;
        /// The status of Tollgate's own answer: `403`, `4xx`.
        status: Option<StatusRange> = optional;
        /// The [reason](reasons.md) of that answer.
        reason: Option<Located<String>> = optional;
        /// Where it is sent: an upstream or an address, as in `to`.
        upstream: Option<Located<Destination>> = optional;
        /// Header fields: of the answer, or of the request that is sent on.
        headers: Table<HeaderName, Located<TextMatch>> = default(Table::none());
    }
}

words! {
    /// What failed tests do to a document.
    pub enum OnFailedTests {
        /// It is refused: the old one goes on.
        Refuse = "refuse";
        /// It runs, with a warning.
        Warn = "warn";
    }
}

impl TestExpectation {
    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.route.is_none()
            && self.status.is_none()
            && self.reason.is_none()
            && self.upstream.is_none()
            && self.headers.is_empty()
    }
}
