use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::access::{AccessLogs, Captured, LogSink, sample_entry};

fn ready(subscription: &mut Subscription) -> Option<String> {
    match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(line) => Some(String::from_utf8(line.unwrap()).unwrap()),
        Poll::Pending => None,
    }
}

#[test]
fn subscribers_get_what_they_asked_for_while_they_are_there() {
    let logs = AccessLogs::default();
    let mut sink = LogSink::new(logs.handle());
    let captured = Captured::default();
    let entry = sample_entry(&captured);
    assert!(!sink.is_wanted());
    let mut all = logs.tail().subscribe(Filter::default()).unwrap();
    let mut failed = logs.tail().subscribe(Filter::from_pairs([("status", "5xx")]).unwrap()).unwrap();
    assert!(sink.is_wanted());
    sink.write(&entry);
    sink.write(&Entry { status: 503, ..entry });
    for (subscription, statuses) in [(&mut all, &[200, 503][..]), (&mut failed, &[503])] {
        for status in statuses {
            let line = ready(subscription).unwrap();
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["http.response.status_code"], *status, "{line}");
        }
        assert_eq!(ready(subscription), None);
    }
    drop(all);
    sink.write(&entry);
    drop(failed);
    assert!(!sink.is_wanted());
    sink.write(&entry);
}

#[test]
fn a_slow_subscriber_loses_lines_and_is_told_how_many() {
    let logs = AccessLogs::default();
    let mut sink = LogSink::new(logs.handle());
    let mut slow = logs.tail().subscribe(Filter::default()).unwrap();
    let captured = Captured::default();
    const LINES: u64 = 10_000;
    for _ in 0..LINES {
        sink.write(&sample_entry(&captured));
    }
    let first = ready(&mut slow).unwrap();
    let value: serde_json::Value = serde_json::from_str(&first).unwrap();
    let dropped = value["tail.dropped"].as_u64().unwrap();
    let (mut lines, mut bytes) = (0, 0);
    while let Some(line) = ready(&mut slow) {
        (lines, bytes) = (lines + 1, bytes + line.len());
    }
    assert_eq!(dropped + lines, LINES);
    assert!(bytes <= BYTES_MAX && bytes > BYTES_MAX / 2, "{bytes}");
    sink.write(&sample_entry(&captured));
    assert!(ready(&mut slow).unwrap().contains("request_id"), "there is room again");
}

#[test]
fn there_may_be_only_so_many_subscribers() {
    let tail = Tail::default();
    let mut all: Vec<_> = (0..SUBSCRIBERS_MAX).map(|_| tail.subscribe(Filter::default()).unwrap()).collect();
    assert_eq!(tail.subscribe(Filter::default()).err(), Some(TooManySubscribers));
    all.pop();
    assert!(tail.subscribe(Filter::default()).is_ok());
}

#[test]
fn who_waits_is_woken_by_a_line_and_by_the_end() {
    #[derive(Default)]
    struct Flag(AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(flag.clone());
    let mut cx = Context::from_waker(&waker);
    let logs = AccessLogs::default();
    let mut sink = LogSink::new(logs.handle());
    let mut subscription = logs.tail().subscribe(Filter::default()).unwrap();
    assert!(pin!(subscription.next()).poll(&mut cx).is_pending());
    sink.write(&sample_entry(&Captured::default()));
    assert!(flag.0.swap(false, Ordering::SeqCst));
    assert!(matches!(pin!(subscription.next()).poll(&mut cx), Poll::Ready(Some(_))));
    assert!(pin!(subscription.next()).poll(&mut cx).is_pending());
    logs.tail().close();
    assert!(flag.0.load(Ordering::SeqCst));
    assert!(matches!(pin!(subscription.next()).poll(&mut cx), Poll::Ready(None)));
    assert!(!sink.is_wanted());
}
