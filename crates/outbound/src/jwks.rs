//! The keys of an identity provider (RFC 7517), kept fresh.

use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use crate::client::HttpClient;
use crate::message::Request;
use crate::oidc::{self, Issuer};
use crate::source::{FetchError, Fetched, Freshness, OnEvent, Source, max_age};
use crate::url::Url;

/// The longest key set that is read. Large providers have some ten keys of 2 KiB.
const KEYS_MAX: usize = 256 * 1024;

/// Redirections that are followed.
const REDIRECTS_MAX: u8 = 3;

/// Where a key set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this URL.
    Url(Url),
    /// Where the description of this issuer says.
    Issuer(Issuer),
}

/// The keys of a provider as `T`, kept fresh.
pub type KeySource<T> = Source<T>;

/// Begins to fetch the keys at a place, without holding up the caller. What is received is made into `T` by `parse`,
/// whose errors are told to `on_event`; a set that cannot be parsed leaves the one before in use.
pub fn fetch<T: Send + Sync + 'static>(
    client: &HttpClient,
    place: Place,
    freshness: Freshness,
    parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    on_event: OnEvent,
) -> KeySource<T> {
    let (for_fetch, parse) = (client.clone(), Arc::new(parse));
    let place = Arc::new(Known { place, url: Mutex::new(None) });
    let fetch = Box::new(move || {
        let (client, place, parse) = (for_fetch.clone(), place.clone(), parse.clone());
        Box::pin(async move {
            let fetched = fetch_once(&client, &place, &*parse).await;
            if fetched.is_err() {
                place.forget();
            }
            fetched
        }) as _
    });
    Source::start(client, freshness, fetch, on_event)
}

/// A place, with the URL that it was found to mean, which is asked for again only after a failure.
struct Known {
    place: Place,
    url: Mutex<Option<Url>>,
}

impl Known {
    async fn url(&self, client: &HttpClient) -> Result<Url, FetchError> {
        let issuer = match &self.place {
            Place::Url(url) => return Ok(url.clone()),
            Place::Issuer(issuer) => issuer,
        };
        let known = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(url) = known {
            return Ok(url);
        }
        let url = oidc::fetch_once(client, issuer).await?.value.jwks;
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = Some(url.clone());
        Ok(url)
    }

    fn forget(&self) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn fetch_once<T>(
    client: &HttpClient,
    place: &Known,
    parse: &(dyn Fn(&[u8]) -> Result<T, String> + Send + Sync),
) -> Result<Fetched<T>, FetchError> {
    let url = place.url(client).await?;
    let request = Request::get(url).accept_json().redirects(REDIRECTS_MAX).body_max(KEYS_MAX);
    let response = client.call(request).await.map_err(FetchError::Call)?;
    if response.status != StatusCode::OK {
        return Err(FetchError::Status(response.status.as_u16()));
    }
    let value = parse(&response.body).map_err(|why| FetchError::Content(why.into()))?;
    Ok(Fetched { value, raw: response.body, max_age: max_age(&response.headers) })
}
