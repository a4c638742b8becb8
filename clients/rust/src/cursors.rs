//! Where a follower keeps its cursor.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use tokio::fs;
use tokio::io::AsyncWriteExt;

/// Keeps the cursor of one follower. After a crash, it has the old or the new cursor.
pub trait CursorStore {
    /// Returns the saved cursor, or an empty text when there is none.
    fn load(&mut self) -> impl Future<Output = io::Result<String>>;

    /// Replaces the saved cursor. Safe to call again.
    fn save(&mut self, cursor: &str) -> impl Future<Output = io::Result<()>>;
}

/// Keeps the cursor until the process ends.
#[derive(Default)]
pub struct MemoryCursorStore {
    /// The cursor.
    pub cursor: String,
}

impl CursorStore for MemoryCursorStore {
    async fn load(&mut self) -> io::Result<String> {
        Ok(self.cursor.clone())
    }

    async fn save(&mut self, cursor: &str) -> io::Result<()> {
        cursor.clone_into(&mut self.cursor);
        Ok(())
    }
}

/// Keeps the cursor in a file of one follower, which a crash leaves whole. The file's folder exists.
pub struct FileCursorStore {
    path: PathBuf,
}

impl FileCursorStore {
    /// Returns the store of a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl CursorStore for FileCursorStore {
    async fn load(&mut self) -> io::Result<String> {
        match fs::read_to_string(&self.path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            found => Ok(found?.trim().to_owned()),
        }
    }

    /// Puts a new file in the place of the old one, after its bytes are on disk.
    async fn save(&mut self, cursor: &str) -> io::Result<()> {
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(".new");
        let mut file = fs::File::create(&fresh).await?;
        file.write_all(cursor.as_bytes()).await?;
        file.sync_all().await?;
        fs::rename(&fresh, &self.path).await
    }
}
