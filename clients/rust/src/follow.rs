//! Follows the event stream through outages.

use std::fmt;
use std::io;

use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use crate::connection::Connection;
use crate::contract::mailmesh::processor::v1::event_service_client::EventServiceClient;
use crate::contract::mailmesh::processor::v1::{Event, StreamEventsResponse};
use crate::cursors::CursorStore;
use crate::errors::Error;
use crate::rules::{read, Options};

const MOST_REPLY_BYTES: usize = 16 << 20;

/// The end of following.
#[derive(Debug)]
pub enum FollowError<E> {
    /// A failure that another attempt does not fix, such as a refused key or a lost cursor.
    Call(Error),
    /// The cursor could not be loaded or saved.
    Store(io::Error),
    /// Processing failed.
    Processing(E),
}

impl<E: fmt::Display> fmt::Display for FollowError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(formatter),
            Self::Store(error) => write!(formatter, "the cursor store failed: {error}"),
            Self::Processing(error) => error.fmt(formatter),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for FollowError<E> {}

/// Gives the events behind the saved cursor to `process`, for ever.
///
/// It saves the cursor of an event after `process` has returned: an event whose processing failed is delivered again, with the same
/// id. Dropping the future ends following.
pub async fn follow<S: CursorStore, E>(
    connection: &Connection,
    store: &mut S,
    mut options: Options<'_>,
    mut process: impl AsyncFnMut(Event) -> Result<(), E>,
) -> Result<std::convert::Infallible, FollowError<E>> {
    let mut cursor = store.load().await.map_err(FollowError::Store)?;
    if cursor.is_empty() {
        options.start.clone_into(&mut cursor);
    }
    let mut failures = 0;
    loop {
        failures += 1;
        let mut end = None;
        match open(connection, &options, &cursor).await {
            Err(status) => end = status.map(Error::from),
            Ok(mut stream) => loop {
                match timeout(options.silence(), stream.message()).await {
                    Err(_) | Ok(Ok(None)) => break,
                    Ok(Err(status)) => {
                        end = Some(Error::from(status));
                        break;
                    }
                    Ok(Ok(Some(response))) => {
                        failures = 1;
                        let (position, event) = read(response.step);
                        if let Some(event) = event {
                            process(event).await.map_err(FollowError::Processing)?;
                        }
                        if !position.is_empty() {
                            store.save(&position).await.map_err(FollowError::Store)?;
                            cursor = position;
                        }
                    }
                }
            },
        }
        if let Some(error) = &end {
            cursor = options
                .cursor_after(error, cursor)
                .map_err(FollowError::Call)?;
        }
        sleep(options.pause(failures, end.as_ref())).await;
    }
}

/// Opens the stream once. The error is absent when the mesh is silent too long.
async fn open(
    connection: &Connection,
    options: &Options<'_>,
    cursor: &str,
) -> Result<Streaming<StreamEventsResponse>, Option<Status>> {
    let mut client =
        EventServiceClient::new(connection.streams()).max_decoding_message_size(MOST_REPLY_BYTES);
    match timeout(
        options.silence(),
        client.stream_events(options.request(cursor)),
    )
    .await
    {
        Err(_) => Err(None),
        Ok(opened) => opened.map(tonic::Response::into_inner).map_err(Some),
    }
}
