//! Looking at a source again and again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::course::{Course, Look, Step};
use crate::found::Found;

/// A look that is under way.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Look> + Send + 'a>>;

/// Something that endpoints come from. A look may fail, and may take as long as it says itself: it has to end.
pub trait Source: fmt::Debug + Send + Sync {
    /// Looks at it. `last` is the last good list, for what can be learned only in part.
    fn look<'a>(&'a self, last: Option<&'a [Found]>) -> Looking<'a>;
}

/// Follows a source for ever, beginning when its course says so. `tell` hears what came of each look; `now_ms` is
/// milliseconds since the process started.
pub async fn follow(
    source: Arc<dyn Source>,
    course: Arc<Mutex<Course>>,
    now_ms: impl Fn() -> u64 + Send,
    mut tell: impl FnMut(Step) + Send,
) {
    loop {
        let (due, last) = {
            let course = course.lock().unwrap_or_else(PoisonError::into_inner);
            (course.due_ms(), course.list().cloned())
        };
        let wait = due.saturating_sub(now_ms());
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let look = source.look(last.as_deref()).await;
        let step = course.lock().unwrap_or_else(PoisonError::into_inner).take(look, now_ms());
        tell(step);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::{Looking, Source, follow};
    use crate::course::{Course, Look, OnEmpty, Rules, Step};
    use crate::found::Found;

    #[derive(Debug)]
    struct Scripted(Mutex<VecDeque<Look>>);

    impl Source for Scripted {
        fn look<'a>(&'a self, _: Option<&'a [Found]>) -> Looking<'a> {
            let next = self.0.lock().unwrap().pop_front();
            Box::pin(async move {
                match next {
                    Some(look) => look,
                    None => std::future::pending().await,
                }
            })
        }
    }

    fn list(fresh_ms: u64) -> Look {
        Look::List { found: Vec::new(), fresh_ms: Some(fresh_ms), problem: None }
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_taken_when_they_are_due() {
        let rules = Rules {
            soonest_ms: 1_000,
            latest_ms: 60_000,
            retry_first_ms: 1_000,
            retry_latest_ms: 30_000,
            on_empty: OnEmpty::Keep,
            max: 10,
        };
        let failed = || Look::Failed("timed out".into());
        let looks = [list(0), list(5_000), list(999_000), failed(), failed(), list(7_000)];
        let source = Arc::new(Scripted(Mutex::new(looks.into())));
        let course = Arc::new(Mutex::new(Course::new(rules, 3)));
        let start = Instant::now();
        let now_ms = move || start.elapsed().as_millis() as u64;
        let (tell, mut told) = mpsc::unbounded_channel::<(u64, Step)>();
        let task = tokio::spawn(follow(source, course, now_ms, move |step| {
            let _ = tell.send((now_ms(), step));
        }));
        let mut before = 0;
        for (least, most) in
            [(0, 0), (1_000, 1_101), (5_000, 5_501), (60_000, 66_001), (500, 1_001), (1_000, 2_001)]
        {
            let (at, _) = told.recv().await.unwrap();
            let waited = at - before;
            assert!((least..=most).contains(&waited), "{waited} is not from {least} to {most}");
            before = at;
        }
        task.abort();
    }
}
