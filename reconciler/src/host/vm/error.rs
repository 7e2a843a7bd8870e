//! Why a virtual machine cannot be seen, or is not as was asked.

use std::fmt;
use std::io;
use std::path::PathBuf;

use schema::device::VmId;
use schema::name::Domain;

use super::TAG;
use crate::host::process::ProcessError;

/// Why a virtual machine cannot be seen, or is not as was asked.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// There is no such machine.
    #[error("there is no VM {id} at {place}{hint}")]
    NotThere {
        /// Its number.
        id: VmId,
        /// The hypervisor.
        place: String,
        /// What else it may be.
        hint: &'static str,
    },
    /// It has no tag.
    #[error(
        "VM {id}{} at {place} is not ours: if it is meant, and no other machine, add the tag `{TAG}` to it",
        .name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default()
    )]
    NotOurs {
        /// Its number.
        id: VmId,
        /// Its name.
        name: Option<Domain>,
        /// The hypervisor.
        place: String,
    },
    /// Something else works with it, a backup say. That ends by itself.
    #[error("VM {id} is in use by Proxmox itself: {why}")]
    Locked {
        /// Its number.
        id: VmId,
        /// What Proxmox says.
        why: String,
    },
    /// Proxmox refuses.
    #[error("{place} refuses: {why}{}", .refusal.hint())]
    Refused {
        /// The hypervisor.
        place: String,
        /// What Proxmox says.
        why: String,
        /// Of which kind that is.
        refusal: Refusal,
    },
    /// It was tried and failed.
    #[error("Proxmox could not {order} VM {id}: {why}")]
    Failed {
        /// Its number.
        id: VmId,
        /// What was asked.
        order: &'static str,
        /// What Proxmox says.
        why: String,
    },
    /// It takes too long.
    #[error("Proxmox has not finished to {order} VM {id} after {minutes} min")]
    TooSlow {
        /// Its number.
        id: VmId,
        /// What was asked.
        order: &'static str,
        /// For how long it was waited.
        minutes: u64,
    },
    /// Proxmox says that it is done, and it is not so.
    #[error("Proxmox reported success, but VM {id} did not {order}")]
    Unmoved {
        /// Its number.
        id: VmId,
        /// What was asked.
        order: &'static str,
    },
    /// It cannot be reached.
    #[error("{place} cannot be reached: {why}")]
    Unreachable {
        /// The hypervisor.
        place: String,
        /// Why, with all causes.
        why: String,
    },
    /// It says something that cannot be understood.
    #[error("{place} said something that is not understood: {what}")]
    Strange {
        /// The hypervisor.
        place: String,
        /// What.
        what: String,
    },
    /// A file of the settings cannot be used.
    #[error("{setting}: {} cannot be used: {why}", .path.display())]
    File {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A program did not run.
    #[error(transparent)]
    Program(#[from] ProcessError),
}

/// Of which kind a refusal is, as far as that tells what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The token is not known, or no longer.
    Login,
    /// The token may not do that.
    Privilege,
    /// Something else.
    Other,
}

impl Refusal {
    const fn hint(self) -> &'static str {
        match self {
            Self::Login => "; is the token in proxmox.token_file whole, and not expired?",
            Self::Privilege => "; the token needs VM.Audit and VM.PowerMgmt on this VM",
            Self::Other => "",
        }
    }
}

impl VmError {
    /// Whether it ends by itself, so that it can be tried again soon.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Unreachable { .. })
    }

    pub(super) fn file(
        setting: &'static str,
        path: &std::path::Path,
        why: impl fmt::Display,
    ) -> Self {
        Self::File {
            setting,
            path: path.to_owned(),
            why: why.to_string(),
        }
    }

    pub(super) fn read(
        setting: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::file(setting, path, source)
    }

    /// What Proxmox says when it cannot do what was asked, sorted: a lock passes, and a machine that is not there does
    /// not come back by waiting.
    pub(super) fn said(id: VmId, order: &'static str, place: &str, why: &str) -> Self {
        let why = why.trim().trim_end_matches('.').to_owned();
        let is_lock = why.contains("is locked")
            || (why.contains("can't lock file") && why.contains("got timeout"));
        if is_lock {
            Self::Locked { id, why }
        } else if why.contains("does not exist") && why.contains(".conf") {
            Self::NotThere {
                id,
                place: place.to_owned(),
                hint: "",
            }
        } else {
            Self::Failed { id, order, why }
        }
    }
}
