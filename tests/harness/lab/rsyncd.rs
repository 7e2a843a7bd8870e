//! The central server's release module: a real `rsync --daemon` for each connection, behind a proxy that can fail.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// What goes wrong with the transfers of a [`ReleaseServer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferFault {
    /// Nothing.
    None,
    /// Connections are refused.
    Refuse,
    /// Each connection is reset after so many bytes from the server.
    CutAfter(u64),
    /// Each connection falls silent after so many bytes from the server, and stays open.
    StallAfter(u64),
}

/// A server of releases; it ends when dropped.
#[derive(Debug)]
pub struct ReleaseServer {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: PathBuf,
    fault: Mutex<TransferFault>,
    /// Bytes a second for each connection; 0 is without limit.
    rate: AtomicU64,
    sent: AtomicU64,
    connections: AtomicU64,
    over: AtomicBool,
}

impl Shared {
    fn fault(&self) -> TransferFault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

impl ReleaseServer {
    /// Starts to serve what the rsync configuration `config` says, on a free port of 127.0.0.1.
    pub fn start(config: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            config: config.to_owned(),
            fault: Mutex::new(TransferFault::None),
            rate: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        thread::spawn(move || listen(&state, address, listener));
        Ok(Self { address, shared })
    }

    /// Sets what goes wrong from now on, also with connections that are open already.
    pub fn set_fault(&self, fault: TransferFault) -> Result<()> {
        *self
            .shared
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
        let refuse = fault == TransferFault::Refuse;
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() != refuse {
            ensure!(
                begin.elapsed() < Duration::from_secs(5),
                "the release server does not obey"
            );
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Limits each connection to so many bytes a second; 0 is without limit.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.shared.rate.store(bytes_per_second, Ordering::SeqCst);
    }

    /// How many bytes were sent to clients so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// How many connections sent at least one byte to us.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for ReleaseServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

fn listen(shared: &Arc<Shared>, address: SocketAddr, first: TcpListener) {
    let mut open = Some(first);
    while !shared.is_over() {
        if shared.fault() == TransferFault::Refuse {
            open = None;
        } else if open.is_none() {
            open = TcpListener::bind(address).ok();
        }
        if let Some(listener) = &open
            && listener.set_nonblocking(true).is_ok()
            && let Ok((client, _)) = listener.accept()
        {
            let shared = Arc::clone(shared);
            thread::spawn(move || serve(&shared, client).ok());
            continue;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// One connection: client, this proxy, rsync on a socket of its own (rsync wants a real TCP peer).
fn serve(shared: &Arc<Shared>, client: TcpStream) -> Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(Duration::from_millis(100)))?;
    let meeting = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(meeting.local_addr()?)?;
    let far = OwnedFd::from(meeting.accept()?.0);
    near.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut rsync = Command::new("rsync")
        .arg("--daemon")
        .arg("--config")
        .arg(&shared.config)
        .stdin(Stdio::from(far.try_clone()?))
        .stdout(Stdio::from(far))
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start rsync")?;
    let upward = {
        let (shared, mut from, mut to) =
            (Arc::clone(shared), client.try_clone()?, near.try_clone()?);
        thread::spawn(move || {
            let mut first = true;
            copy(&shared, &mut from, &mut to, |shared, _| {
                if std::mem::take(&mut first) {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                }
                Flow::Go
            });
            to.shutdown(Shutdown::Write).ok();
        })
    };
    let mut sent = 0;
    let begin = Instant::now();
    let (mut from, mut to) = (near.try_clone()?, client.try_clone()?);
    copy(shared, &mut from, &mut to, |shared, bytes| {
        shared.sent.fetch_add(bytes, Ordering::SeqCst);
        sent += bytes;
        let rate = shared.rate.load(Ordering::SeqCst);
        if let Some(due) = (sent * 1000).checked_div(rate) {
            let due = Duration::from_millis(due);
            let ahead = due.saturating_sub(begin.elapsed());
            thread::sleep(ahead.min(Duration::from_secs(1)));
        }
        match shared.fault() {
            TransferFault::CutAfter(limit) if sent >= limit => Flow::Cut,
            TransferFault::Refuse => Flow::Cut,
            TransferFault::StallAfter(limit) if sent >= limit => Flow::Stall,
            _ => Flow::Go,
        }
    });
    // Ends both directions, so that neither the client nor the other thread waits for us.
    for stream in [&client, &near] {
        stream.shutdown(Shutdown::Both).ok();
    }
    upward.join().ok();
    rsync.kill().ok();
    rsync.wait()?;
    Ok(())
}

enum Flow {
    Go,
    Stall,
    Cut,
}

fn copy(
    shared: &Shared,
    from: &mut TcpStream,
    to: &mut TcpStream,
    mut after: impl FnMut(&Shared, u64) -> Flow,
) {
    let mut buffer = [0; 16 * 1024];
    while !shared.is_over() {
        let read = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(_) => return,
        };
        if to
            .write_all(buffer.get(..read).unwrap_or_default())
            .is_err()
        {
            return;
        }
        let mut flow = after(shared, u64::try_from(read).unwrap_or(0));
        while matches!(flow, Flow::Stall) && !shared.is_over() {
            thread::sleep(Duration::from_millis(20));
            flow = after(shared, 0);
        }
        if matches!(flow, Flow::Cut) {
            return;
        }
    }
}
