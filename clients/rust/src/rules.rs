//! The rules of following, which are the same in every client: clients/README.md states them.

use std::time::Duration;

use tonic::Code;

use crate::contract::mailmesh::processor::v1::{event::Kind, stream_events_response::Step, Event};
use crate::contract::mailmesh::processor::v1::{EventFilter, EventView, StreamEventsRequest};
use crate::errors::Error;

const PASSING: [&str; 6] = [
    "OVERLOADED",
    "RATE_LIMITED",
    "READER_TOO_SLOW",
    "SERVICE_UNAVAILABLE",
    "SHUTTING_DOWN",
    "STORE_UNAVAILABLE",
];
/// The codes of a broken connection or of a proxy on the way, as far as no reason says more.
const BROKEN: [Code; 5] = [
    Code::Aborted,
    Code::Cancelled,
    Code::DeadlineExceeded,
    Code::Internal,
    Code::Unknown,
];
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
const MOST_DOUBLINGS: u32 = 16;

/// How to follow the stream.
pub struct Options<'a> {
    /// Where a follower without a saved cursor starts: "earliest" or "latest".
    pub start: &'a str,
    /// The events to receive; `None` means all that the key may see.
    pub filter: Option<EventFilter>,
    /// How much of each event to receive.
    pub view: EventView,
    /// The longest silence that is asked for, 1 to 60. After three times as long without a message the stream counts as broken.
    pub heartbeat_seconds: u32,
    /// The pause after the first failure in a row. It doubles up to `longest_pause`.
    pub first_pause: Duration,
    /// The bound of the pauses.
    pub longest_pause: Duration,
    /// Called when events after the cursor are gone, before reading continues from the oldest one. Without it, the failure ends
    /// following.
    pub on_gap: Option<Box<dyn FnMut(&Error) + Send + 'a>>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            start: "earliest",
            filter: None,
            view: EventView::Basic,
            heartbeat_seconds: 15,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            on_gap: None,
        }
    }
}

impl Options<'_> {
    pub(crate) fn silence(&self) -> Duration {
        3 * Duration::from_secs(u64::from(self.heartbeat_seconds))
    }

    pub(crate) fn request(&self, cursor: &str) -> StreamEventsRequest {
        StreamEventsRequest {
            cursor: cursor.to_owned(),
            filter: self.filter.clone(),
            view: self.view as i32,
            heartbeat_seconds: i32::try_from(self.heartbeat_seconds).unwrap_or(i32::MAX),
        }
    }

    /// Returns the pause after this many failures in a row; mailmesh may ask for a longer one.
    pub(crate) fn pause(&self, failures: u32, error: Option<&Error>) -> Duration {
        let doubled = self.first_pause * 2_u32.pow((failures - 1).min(MOST_DOUBLINGS));
        let pause = doubled
            .min(self.longest_pause)
            .mul_f64(0.5 + fastrand::f64() / 2.0);
        let asked = error
            .and_then(|error| error.retry_after)
            .unwrap_or_default();
        pause.max(asked.min(LONGEST_RETRY_AFTER))
    }

    /// Returns the cursor with which to open the stream again, or the failure that another attempt does not fix.
    pub(crate) fn cursor_after(&mut self, error: &Error, cursor: String) -> Result<String, Error> {
        if error.is_cursor_lost() {
            return match (&mut self.on_gap, error.oldest_cursor()) {
                (Some(on_gap), Some(oldest)) => {
                    on_gap(error);
                    Ok(oldest.to_owned())
                }
                _ => Err(error.clone()),
            };
        }
        if is_passing(error) {
            Ok(cursor)
        } else {
            Err(error.clone())
        }
    }
}

fn is_passing(error: &Error) -> bool {
    PASSING.contains(&error.reason.as_str())
        || error.code == Code::Unavailable
        || error.retry_after.is_some()
        || (error.reason.is_empty() && BROKEN.contains(&error.code))
}

/// Returns the position after a step, and its event unless it has none of a known kind.
pub(crate) fn read(step: Option<Step>) -> (String, Option<Event>) {
    match step {
        Some(Step::Event(event)) => {
            let is_known: Option<&Kind> = event.kind.as_ref();
            (event.position.clone(), is_known.is_some().then_some(event))
        }
        Some(Step::Heartbeat(beat)) => (beat.position, None),
        None => (String::new(), None),
    }
}
