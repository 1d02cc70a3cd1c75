//! The users of a file, which changes without a reload.

use std::sync::{Arc, PoisonError, RwLock};

use tollgate_credentials::password::{Decoy, Htpasswd};

/// Users beside those of consumers, and what is verified for those that nobody knows.
#[derive(Clone, Debug)]
pub struct Users {
    file: Option<Htpasswd>,
    decoy: Decoy,
}

impl Users {
    /// The users of a file. The decoy should cost what the hashes of the file and of consumers mostly cost:
    /// `Decoy::of` both.
    pub fn new(file: Option<Htpasswd>, decoy: Decoy) -> Self {
        Self { file, decoy }
    }

    pub(super) fn file(&self) -> Option<&Htpasswd> {
        self.file.as_ref()
    }

    pub(super) fn decoy(&self) -> &Decoy {
        &self.decoy
    }
}

/// The users in force. Watching the file is up to whoever has made it.
#[derive(Debug)]
pub struct UsersCell(RwLock<Arc<Users>>);

impl UsersCell {
    /// A cell with these.
    pub fn new(users: Users) -> Self {
        Self(RwLock::new(Arc::new(users)))
    }

    /// Puts others into force.
    pub fn set(&self, users: Users) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
    }

    /// The users in force.
    pub fn get(&self) -> Arc<Users> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
