//! The page of metrics. Of very many routes it is hundreds of megabytes, and anybody may ask for it: so it is made
//! away from the control thread, behind the workers, and there are never many of them.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio::time::timeout;
use tollgate_runtime::process::in_background;

use crate::problem::Problem;

/// How many pages there are at once, those that clients have not taken yet among them.
const PAGES_MAX: usize = 4;
/// For another client to take its page.
const PATIENCE: Duration = Duration::from_secs(5);

static PLACES: Semaphore = Semaphore::const_new(PAGES_MAX);

/// A page, which has its place until its last byte is on the way.
struct Page {
    text: String,
    _place: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Makes a page when there is a place for it.
pub(crate) async fn page(make: impl FnOnce() -> String + Send + 'static) -> Result<Bytes, Problem> {
    // Nobody closes the semaphore.
    let Ok(Ok(place)) = timeout(PATIENCE, PLACES.acquire()).await else {
        let detail = format!("{PAGES_MAX} others are being read, and none was taken in time");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
    let failed = |problem: &str| {
        let detail = format!("cannot make the page: {problem}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    };
    let (done, made) = oneshot::channel();
    // Where the client has gone meanwhile nobody waits for it, but it has its place until it is made.
    let work = move || {
        let mut text = make();
        // It has grown by doubling, and may lie here for a while.
        text.shrink_to_fit();
        drop(done.send(Page { text, _place: place }));
    };
    in_background("metrics", work).map_err(|error| failed(&error.to_string()))?;
    made.await.map(Bytes::from_owner).map_err(|_| failed("that panicked"))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::IntoResponse;

    use super::{PAGES_MAX, page};

    #[tokio::test(start_paused = true)]
    async fn pages_that_nobody_takes_do_not_add_up() {
        let mut pages = Vec::new();
        for number in 0..PAGES_MAX {
            pages.push(page(move || number.to_string()).await.unwrap());
        }
        let refused = page(|| unreachable!("there is no place")).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        // A part of a page that is still to be sent keeps its place.
        let part = pages.pop().unwrap().slice(..1);
        assert!(page(|| unreachable!("there is no place")).await.is_err());
        drop(part);
        assert_eq!(page(|| "last".to_owned()).await.unwrap(), "last");
    }
}
