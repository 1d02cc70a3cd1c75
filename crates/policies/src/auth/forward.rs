//! An HTTP service decides: nginx's `auth_request`, Traefik's `forwardAuth`, the Gateway API's `ExternalAuth` by HTTP.
//!
//! It is asked once for each request, with the method and URL of the settings and without the body. It gets the
//! request's own method, scheme, host, path with query and client as `X-Forwarded-Method`, `-Proto`, `-Host`,
//! `-Uri` and `-For`, the request's id as `X-Request-ID`, and those fields of the request that the settings name.
//! What a client sends under the names above is not passed on: the service can believe them.
//!
//! | the service says | the request |
//! | --- | --- |
//! | 2xx | passes, with the fields of the answer that the settings name; what clients send under those names is always removed |
//! | 3xx, 4xx | gets that status with the body and the fields of [`GIVEN`] |
//! | anything else, nothing in time, more than 64 KiB | is refused as `authorization_unavailable`, or passes if the settings say so |

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::HeaderName;
use tollgate_decision::Reason;
use tollgate_http1::edits::Edits;
use tollgate_outbound::{Error, HttpClient, Request, Response, Url};
use tollgate_policy::{Asked, Gate, Resolution, Wait};

use super::{Finding, IfUnreachable, Method, called};
use crate::Unusable;

/// The fields of a refusing answer that the client gets, beside `Content-Type`.
pub const GIVEN: [&str; 5] = ["location", "www-authenticate", "set-cookie", "cache-control", "retry-after"];

/// Bytes of the service's body that are read.
const BODY_MAX: usize = 64 * 1024;

/// How a service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the document calls the method.
    pub name: String,
    /// Where to ask.
    pub url: Url,
    /// By which method; nothing has a body.
    pub method: String,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// Fields of the request that it gets.
    pub request_headers: Vec<String>,
    /// Fields of its answer that the origin gets.
    pub response_headers: Vec<String>,
    /// The field of its answer that names the caller: the subject, and by it the consumer. The origin gets it only
    /// where `response_headers` has it, too.
    pub consumer_header: Option<String>,
    /// What happens when it cannot be asked.
    pub if_unreachable: IfUnreachable,
}

impl Settings {
    /// GET with the credentials that requests usually have: `Authorization` and `Cookie`; a second's time; nothing
    /// for the origin.
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        Self {
            name: name.into(),
            url,
            method: "GET".to_owned(),
            timeout: Duration::from_secs(1),
            request_headers: vec!["Authorization".to_owned(), "Cookie".to_owned()],
            response_headers: Vec::new(),
            consumer_header: None,
            if_unreachable: IfUnreachable::Deny,
        }
    }
}

/// The method.
#[derive(Debug)]
pub struct Forward {
    name: Arc<str>,
    client: HttpClient,
    url: Url,
    method: http::Method,
    timeout: Duration,
    request_headers: Box<[HeaderName]>,
    response_headers: Box<[HeaderName]>,
    consumer_header: Option<HeaderName>,
    if_unreachable: IfUnreachable,
}

/// What came of asking.
type Asking = Result<Response, Error>;

impl Forward {
    /// The method of these settings, which asks by this client.
    ///
    /// # Errors
    /// A name that cannot be one of a field or method, or of a field that is not the service's or the client's to say.
    pub fn new(settings: &Settings, client: HttpClient) -> Result<Self, Unusable> {
        called::check_names("response_headers", &settings.response_headers)?;
        called::check_names("consumer_header", settings.consumer_header.as_slice())?;
        let is_wrong =
            |name: &String| !called::may_be_said(name.as_bytes()) || called::is_ours_to_say(name.as_bytes());
        if let Some(index) = settings.request_headers.iter().position(is_wrong) {
            let problem = format!("`{}` cannot be passed on to a service", settings.request_headers[index]);
            return Err(Unusable::new("request_headers", index, problem));
        }
        let method = http::Method::from_bytes(settings.method.as_bytes())
            .ok()
            .filter(|method| *method != http::Method::CONNECT)
            .ok_or_else(|| Unusable::new("method", 0, "not a method that can be asked by"))?;
        Ok(Self {
            name: settings.name.as_str().into(),
            client,
            url: settings.url.clone(),
            method,
            timeout: settings.timeout,
            request_headers: names(&settings.request_headers),
            response_headers: names(&settings.response_headers),
            consumer_header: names(settings.consumer_header.as_slice()).into_iter().next(),
            if_unreachable: settings.if_unreachable,
        })
    }

    /// What the service is asked.
    fn question(&self, asked: &Asked<'_>) -> Request {
        let mut request =
            Request::new(self.method.clone(), self.url.clone()).timeout(self.timeout).body_max(BODY_MAX);
        let client = asked.connection.client.to_string();
        for (name, value) in [
            ("x-forwarded-method", asked.method_bytes),
            ("x-forwarded-proto", asked.scheme().as_bytes()),
            ("x-forwarded-host", asked.authority),
            ("x-forwarded-uri", &called::target(asked)),
            ("x-forwarded-for", client.as_bytes()),
            ("x-request-id", asked.request_id),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request = request.header(HeaderName::from_static(name), value);
            }
        }
        for (name, value, _) in asked.fields.iter() {
            let wanted = self
                .request_headers
                .iter()
                .find(|wanted| name.eq_ignore_ascii_case(wanted.as_str().as_bytes()));
            if let (Some(wanted), Ok(value)) = (wanted, HeaderValue::from_bytes(value)) {
                request = request.header(wanted.clone(), value);
            }
        }
        request
    }

    fn answered(&self, asked: &Asked<'_>, gate: &mut Gate, answer: &Asking) -> Finding {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return called::unreachable(self.if_unreachable, &self.name, error.to_string()),
        };
        match response.status.as_u16() {
            200..=299 => {
                for name in &self.response_headers {
                    for value in response.headers.get_all(name) {
                        gate.request.add_with(name.as_str(), |out| out.extend_from_slice(value.as_bytes()));
                    }
                }
                let subject = self.consumer_header.as_ref().and_then(|name| response.header(name));
                Finding::Known(called::caller(asked, &self.name, subject))
            }
            300..=499 => Finding::Answer(Box::new(denied(response))),
            status => {
                let note = format!("the service answered {status}");
                called::unreachable(self.if_unreachable, &self.name, note)
            }
        }
    }
}

/// Names of fields, checked before.
fn names(names: &[String]) -> Box<[HeaderName]> {
    names.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
}

/// The client's answer where the service refuses.
fn denied(response: &Response) -> tollgate_policy::Answer {
    let mut answer = called::denial(response.status.as_u16(), response.body.to_vec());
    for name in GIVEN {
        for value in response.headers.get_all(name) {
            answer.fields.add_with(name, |out| out.extend_from_slice(value.as_bytes()));
        }
    }
    answer.content_type = response.header(&http::header::CONTENT_TYPE).map(str::to_owned);
    answer
}

impl Method for Forward {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn identify(&self, asked: &Asked<'_>, gate: &mut Gate, resolution: Option<Resolution>) -> Finding {
        match resolution.map(Resolution::downcast::<Asking>) {
            Some(Ok(answer)) => self.answered(asked, gate, &answer),
            _ => {
                let what = format!("the authorization service at {}", self.url.authority());
                Finding::Wait(Wait::new(what, self.client.call(self.question(asked))))
            }
        }
    }

    /// The service's own answers have their challenges.
    fn challenge(&self, _: Reason) -> Option<String> {
        None
    }

    fn remove_forged(&self, edits: &mut Edits) {
        self.response_headers.iter().for_each(|name| edits.remove(name.as_str()));
    }
}

#[cfg(test)]
mod tests;
