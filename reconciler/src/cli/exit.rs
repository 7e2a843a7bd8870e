//! Exit codes, in one place.

use std::process::ExitCode;

use crate::host::lock::LockError;

/// What was asked for does not exist, or not here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongUsage(pub(super) String);

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Converged, or everything left waits for a gate.
    Converged,
    /// Something failed, or the observation is incomplete.
    Failed,
    /// Changes are pending (only with `--detailed-exitcode`).
    Pending,
    /// Held until a person has decided.
    Held,
    /// Wrong usage.
    Usage,
    /// Another pass is running.
    Locked,
}

impl Exit {
    /// Its number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Converged => 0,
            Self::Failed => 1,
            Self::Pending => 2,
            Self::Held => 3,
            Self::Usage => 64,
            Self::Locked => 75,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The exit code of an error.
pub(super) fn of(error: &anyhow::Error) -> Exit {
    if error.is::<WrongUsage>() {
        return Exit::Usage;
    }
    match error.downcast_ref::<LockError>() {
        Some(LockError::Held { .. }) => Exit::Locked,
        _ => Exit::Failed,
    }
}
