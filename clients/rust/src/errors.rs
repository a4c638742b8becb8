//! The failures of calls, by the reason that mailmesh gives.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};

use crate::contract::google::rpc;

/// A call that failed.
#[derive(Debug, Clone)]
pub struct Error {
    /// A name of the catalogue `ErrorReason` without its prefix, or of a later one. Empty when the failure is not mailmesh's own: a
    /// broken connection, a proxy on the way.
    pub reason: String,
    /// The code of gRPC.
    pub code: Code,
    /// The text for a person.
    pub message: String,
    /// The values that the reason's entry in the catalogue names.
    pub metadata: HashMap<String, String>,
    /// The pause that mailmesh asks for.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// Returns whether events after the cursor are gone; reading can continue from `oldest_cursor`.
    pub fn is_cursor_lost(&self) -> bool {
        matches!(
            self.reason.as_str(),
            "CURSOR_EXPIRED" | "CURSOR_EPOCH_CHANGED"
        )
    }

    /// Returns the oldest cursor that is still served, if the cursor is lost.
    pub fn oldest_cursor(&self) -> Option<&str> {
        self.metadata
            .get("oldest_cursor")
            .map(String::as_str)
            .filter(|cursor| !cursor.is_empty())
    }

    /// Returns whether the API key is unknown, expired or revoked.
    pub fn is_key_refused(&self) -> bool {
        matches!(self.reason.as_str(), "API_KEY_INVALID" | "KEY_REVOKED")
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let mut error = Self {
            reason: String::new(),
            code: status.code(),
            message: status.message().to_owned(),
            metadata: HashMap::new(),
            retry_after: None,
        };
        // Details that are none come from a proxy on the way: the code says all then.
        let details = rpc::Status::decode(status.details())
            .map(|told| told.details)
            .unwrap_or_default();
        for detail in details {
            match detail.type_url.rsplit('/').next() {
                Some("google.rpc.ErrorInfo") if error.reason.is_empty() => {
                    error.read_info(&detail.value)
                }
                Some("google.rpc.RetryInfo") => error.read_retry(&detail.value),
                _ => {}
            }
        }
        error
    }
}

impl Error {
    fn read_info(&mut self, value: &[u8]) {
        if let Ok(info) = rpc::ErrorInfo::decode(value) {
            if info.domain == "mailmesh" {
                (self.reason, self.metadata) = (info.reason, info.metadata);
            }
        }
    }

    fn read_retry(&mut self, value: &[u8]) {
        if let Ok(retry) = rpc::RetryInfo::decode(value) {
            self.retry_after = retry
                .retry_delay
                .map(|delay| Duration::try_from(delay).unwrap_or_default());
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => write!(formatter, "{:?}: {}", self.code, self.message),
            reason => write!(formatter, "{reason}: {}", self.message),
        }
    }
}

impl std::error::Error for Error {}
