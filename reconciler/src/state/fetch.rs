//! Fetches one branch, with nobody to ask and no patience without end.
//!
//! libgit2 blocks, and its own time limits are process-wide and out of reach of safe code. So the
//! transfer runs in a thread of its own that this one watches: when nothing arrives for too long
//! the thread is told to stop and left behind. It can do no harm later: it only adds objects, and
//! the reference is moved here, after it has delivered. It keeps the clone locked until it ends.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use git2::{
    AutotagOption, Cred, CredentialType, Direction, ErrorClass, ErrorCode, FetchOptions, Oid,
    RemoteCallbacks, RemoteRedirect,
};

use super::error::StateError;
use super::remote::{self, Credentials, Place, Remote, Target};
use super::{Cache, CommitId, TIP, trust};

const SIZE_LIMIT: usize = 2 << 30;
const BRANCHES_SHOWN: usize = 20;

pub(super) fn fetch(cache: &Cache, remote: &Remote) -> Result<CommitId, StateError> {
    let target = remote.target()?;
    if let Credentials::Key { key_file, .. } = &remote.credentials {
        remote::check_closed(key_file)?;
    }
    let lock = Arc::new(cache.lock()?);
    cache.clean()?;

    let watch = Arc::new(Watch::new());
    let (sender, receiver) = mpsc::channel();
    let transfer = Transfer {
        cache: cache.clone(),
        remote: remote.clone(),
        target,
        watch: Arc::clone(&watch),
        _lock: Arc::clone(&lock),
    };
    thread::Builder::new()
        .name("git-fetch".to_owned())
        .spawn(move || {
            // The receiver may have given up; then nobody needs the result.
            sender.send(transfer.run()).ok();
        })
        .map_err(|source| StateError::Disk {
            path: cache.dir().into(),
            doing: "start the thread that fetches into",
            source: source.into(),
        })?;
    let tip = wait(remote, &watch, &receiver)??;

    cache.sync()?;
    let repo = cache.repo()?;
    let id = CommitId::from_oid(tip);
    cache.commit(&repo, &id)?;
    repo.reference(TIP, tip, true, "fetch")
        .map_err(|error| cache.disk("write", error))?;
    drop(lock);
    Ok(id)
}

fn wait<T>(remote: &Remote, watch: &Watch, receiver: &mpsc::Receiver<T>) -> Result<T, StateError> {
    let gave_up = |what, after| StateError::TimedOut {
        place: remote.place(),
        what,
        after,
    };
    loop {
        let deadline = remote.deadline.saturating_sub(watch.start.elapsed());
        let stall = remote.stall.saturating_sub(watch.silent());
        let (what, limit) = if deadline < stall {
            ("the fetch was not done", remote.deadline)
        } else {
            ("nothing arrived", remote.stall)
        };
        match receiver.recv_timeout(deadline.min(stall)) {
            Ok(result) => return Ok(result),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(gave_up("the fetch broke off", watch.start.elapsed()));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let late = watch.start.elapsed() >= remote.deadline;
                if late || watch.silent() >= remote.stall {
                    watch.stopped.store(true, Ordering::Relaxed);
                    return Err(gave_up(what, limit));
                }
            }
        }
    }
}

/// What the transfer and its watcher share.
struct Watch {
    start: Instant,
    /// Milliseconds from the start to the last sign of life.
    alive: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            alive: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Notes a sign of life; false when the transfer should stop.
    fn go_on(&self) -> bool {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.alive.store(now, Ordering::Relaxed);
        !self.stopped.load(Ordering::Relaxed)
    }

    fn silent(&self) -> Duration {
        let alive = Duration::from_millis(self.alive.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(alive)
    }
}

struct Transfer {
    cache: Cache,
    remote: Remote,
    target: Target,
    watch: Arc<Watch>,
    _lock: Arc<File>,
}

impl Transfer {
    fn run(&self) -> Result<Oid, StateError> {
        let repo = self.cache.repo()?;
        let fault = RefCell::new(None);
        let wanted = format!("refs/heads/{}", self.remote.branch);
        let mut git_remote = repo
            .remote_anonymous(&self.remote.url)
            .map_err(|error| self.transport(error, &fault))?;

        let connected =
            git_remote.connect_auth(Direction::Fetch, Some(self.callbacks(&fault)), None);
        let mut connection = connected.map_err(|error| self.transport(error, &fault))?;
        let heads = connection
            .list()
            .map_err(|error| self.transport(error, &fault))?;
        let tip = heads
            .iter()
            .find(|head| head.name() == wanted)
            .map(git2::RemoteHead::oid);
        let Some(tip) = tip else {
            let branches = heads
                .iter()
                .filter_map(|head| head.name().strip_prefix("refs/heads/"))
                .map(super::plain_line)
                .take(BRANCHES_SHOWN)
                .collect();
            return Err(StateError::BranchMissing {
                place: self.remote.place(),
                branches,
            });
        };
        if repo.refname_to_id(TIP).is_ok_and(|have| have == tip) {
            return Ok(tip);
        }

        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks(&fault))
            .download_tags(AutotagOption::None)
            .update_fetchhead(false)
            .follow_redirects(RemoteRedirect::None);
        // The right-hand side only has to be a valid name: `download` moves no reference.
        connection
            .remote()
            .download(&[format!("+{wanted}:{TIP}")], Some(&mut options))
            .map_err(|error| self.download(error, &fault))?;
        Ok(tip)
    }

    fn callbacks<'a>(&'a self, fault: &'a RefCell<Option<StateError>>) -> RemoteCallbacks<'a> {
        let offered = Cell::new(false);
        let mut callbacks = RemoteCallbacks::new();
        callbacks
            .credentials(move |_url, user, allowed| {
                self.credentials(user, allowed, &offered)
                    .map_err(|error| keep(fault, error))
            })
            .certificate_check(move |cert, _host| {
                self.watch.go_on();
                trust::judge(&self.remote, &self.target, cert).map_err(|error| keep(fault, error))
            })
            .sideband_progress(|_text| self.watch.go_on())
            .transfer_progress(move |progress| {
                if progress.received_bytes() > SIZE_LIMIT {
                    let place = self.remote.place();
                    keep(
                        fault,
                        StateError::TooLarge {
                            place,
                            limit: SIZE_LIMIT,
                        },
                    );
                    return false;
                }
                self.watch.go_on()
            });
        callbacks
    }

    /// libgit2 asks again and again while the server says no: each secret is offered once.
    fn credentials(
        &self,
        user: Option<&str>,
        allowed: CredentialType,
        offered: &Cell<bool>,
    ) -> Result<Cred, StateError> {
        self.watch.go_on();
        let ssh_user = match &self.target {
            Target::Ssh {
                user: Some(user), ..
            } => user,
            _ => user.unwrap_or("git"),
        };
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(ssh_user).map_err(|_| self.refused());
        }
        if offered.replace(true) {
            return Err(self.refused());
        }
        match &self.remote.credentials {
            Credentials::Token { user, token_file }
                if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) =>
            {
                let token = remote::read_secret(token_file)?;
                Cred::userpass_plaintext(user, &token).map_err(|_| self.refused())
            }
            Credentials::Key { key_file, .. } if allowed.contains(CredentialType::SSH_KEY) => {
                Cred::ssh_key(ssh_user, None, key_file, None).map_err(|_| self.refused())
            }
            _ => Err(self.refused()),
        }
    }

    fn refused(&self) -> StateError {
        let credentials = match &self.remote.credentials {
            Credentials::None => "none are configured".to_owned(),
            Credentials::Token { user, token_file } => {
                format!("user {user}, token in {}", token_file.display())
            }
            Credentials::Key { key_file, .. } => format!("SSH key {}", key_file.display()),
        };
        StateError::Authentication {
            place: self.remote.place(),
            credentials,
        }
    }

    /// Sorts what went wrong while talking to the remote.
    fn transport(&self, error: git2::Error, fault: &RefCell<Option<StateError>>) -> StateError {
        if let Some(fault) = fault.take() {
            return fault;
        }
        let place = self.remote.place();
        match (error.code(), error.class()) {
            (ErrorCode::Auth, _) => self.refused(),
            (ErrorCode::Certificate, _) => certificate(place, &error),
            (_, ErrorClass::Ssl) if error.message().contains("certificate") => {
                certificate(place, &error)
            }
            (_, ErrorClass::Http) => match error.message().rsplit(' ').next() {
                Some("401" | "403") => self.refused(),
                Some(status) if status.starts_with('5') => StateError::Unreachable {
                    place,
                    source: error,
                },
                _ => StateError::NoRepo {
                    place,
                    source: error,
                },
            },
            (_, ErrorClass::Net) if error.message().starts_with("cannot redirect") => {
                StateError::NoRepo {
                    place,
                    source: error,
                }
            }
            (ErrorCode::Owner, _) => StateError::NoRepo {
                place,
                source: error,
            },
            (_, ErrorClass::Ssh) if error.message().contains("does not appear to be a git") => {
                StateError::NoRepo {
                    place,
                    source: error,
                }
            }
            _ => StateError::Unreachable {
                place,
                source: error,
            },
        }
    }

    /// Sorts what went wrong while objects were written here.
    fn download(&self, error: git2::Error, fault: &RefCell<Option<StateError>>) -> StateError {
        match error.class() {
            ErrorClass::Os | ErrorClass::Odb | ErrorClass::Filesystem | ErrorClass::NoMemory
                if fault.borrow().is_none() =>
            {
                self.cache.disk("write", error)
            }
            _ => self.transport(error, fault),
        }
    }
}

fn certificate(place: Place, error: &git2::Error) -> StateError {
    StateError::Certificate {
        place,
        problem: error.message().to_owned(),
    }
}

/// Keeps the typed error where it can be found again, and makes one that stops libgit2.
fn keep(fault: &RefCell<Option<StateError>>, error: StateError) -> git2::Error {
    let stop = git2::Error::new(ErrorCode::User, ErrorClass::Callback, "stopped");
    fault.borrow_mut().get_or_insert(error);
    stop
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "a test may panic")]

    use super::*;

    #[test]
    fn patience_ends_and_the_transfer_is_told_so() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(600));
        for (stall, deadline, expected) in [
            (short, long, "nothing arrived"),
            (long, short, "the fetch was not done"),
        ] {
            let remote = Remote {
                stall,
                deadline,
                ..Remote::new("/x", "main", Credentials::None)
            };
            let watch = Watch::new();
            let (_sender, receiver) = mpsc::channel::<()>();
            match wait(&remote, &watch, &receiver) {
                Err(StateError::TimedOut { what, after, .. }) => {
                    assert_eq!((what, after), (expected, short));
                }
                other => panic!("{other:?}"),
            }
            assert!(!watch.go_on());
        }
    }

    #[test]
    fn signs_of_life_are_waited_for() {
        let remote = Remote {
            stall: Duration::from_millis(500),
            ..Remote::new("/x", "main", Credentials::None)
        };
        let watch = Watch::new();
        let (sender, receiver) = mpsc::channel();
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                while watch.start.elapsed() < remote.stall * 2 {
                    thread::yield_now();
                    watch.go_on();
                }
                sender.send(7).ok();
            });
            wait(&remote, &watch, &receiver)
        });
        assert!(matches!(result, Ok(7)), "{result:?}");
    }
}
