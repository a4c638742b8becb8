//! Client of mailmesh: it follows the event stream through outages, tells failures by their reason, and verifies webhooks.

mod connection;
mod cursors;
mod errors;
mod follow;
mod rules;
mod webhooks;

/// The messages and clients of the contract, by package: `contract::mailmesh::vault::v1`.
#[allow(clippy::all, missing_docs)]
pub mod contract {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

pub use connection::{Connection, Key, Keyed, UrlError};
pub use cursors::{CursorStore, FileCursorStore, MemoryCursorStore};
pub use errors::Error;
pub use follow::{follow, FollowError};
pub use rules::Options;
pub use webhooks::{verify_webhook, KeyError, WebhookHeaders};
