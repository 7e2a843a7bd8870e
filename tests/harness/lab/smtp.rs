//! A mail server that keeps every mail as a file, or refuses them, or is down.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// What the mail server does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailFault {
    /// Takes it.
    None,
    /// Refuses it for now, with 450 at the end of the data.
    Later,
    /// Refuses it for good, with 550 at the recipient.
    Never,
    /// Is down: connections are refused.
    Down,
}

/// A running mail server; it ends when dropped.
#[derive(Debug)]
pub struct Smtp {
    /// Where it listens.
    pub address: SocketAddr,
    folder: PathBuf,
    fault: Arc<Mutex<MailFault>>,
    over: Arc<AtomicBool>,
}

impl Smtp {
    /// Starts a server on a free port of 127.0.0.1 that keeps its mails in `folder`.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self {
            address: listener.local_addr()?,
            folder: folder.to_owned(),
            fault: Arc::new(Mutex::new(MailFault::None)),
            over: Arc::new(AtomicBool::new(false)),
        };
        let (address, folder) = (server.address, server.folder.clone());
        let (fault, over) = (Arc::clone(&server.fault), Arc::clone(&server.over));
        thread::spawn(move || listen(listener, address, &folder, &fault, &over));
        Ok(server)
    }

    /// Sets what it does from now on.
    pub fn set_fault(&self, fault: MailFault) -> Result<()> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        let down = fault == MailFault::Down;
        let begin = Instant::now();
        while TcpStream::connect(self.address).is_err() != down {
            ensure!(
                begin.elapsed() < Duration::from_secs(5),
                "the mail server does not obey"
            );
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// All mails taken so far, in order, as they came over the wire, with LF.
    pub fn mails(&self) -> Result<Vec<String>> {
        let mut paths: Vec<_> = fs::read_dir(&self.folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        paths.sort();
        let read = |path: &PathBuf| fs::read_to_string(path).context("cannot read a mail");
        paths.iter().map(read).collect()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn listen(
    first: TcpListener,
    address: SocketAddr,
    folder: &Path,
    fault: &Arc<Mutex<MailFault>>,
    over: &AtomicBool,
) {
    let mut open = Some(first);
    while !over.load(Ordering::SeqCst) {
        let now = *fault.lock().unwrap_or_else(PoisonError::into_inner);
        if now == MailFault::Down {
            open = None;
        } else if open.is_none() {
            open = TcpListener::bind(address).ok();
        }
        if let Some(listener) = &open
            && listener.set_nonblocking(true).is_ok()
            && let Ok((client, _)) = listener.accept()
        {
            let (folder, fault) = (folder.to_owned(), Arc::clone(fault));
            thread::spawn(move || talk(client, &folder, &fault).ok());
            continue;
        }
        thread::sleep(Duration::from_millis(3));
    }
}

fn talk(client: TcpStream, folder: &Path, fault: &Mutex<MailFault>) -> Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut out = client.try_clone()?;
    let mut lines = BufReader::new(client);
    out.write_all(b"220 lab ESMTP\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let fault = *fault.lock().unwrap_or_else(PoisonError::into_inner);
        let word = line.split_whitespace().next().unwrap_or("").to_uppercase();
        let answer: &[u8] = match word.as_str() {
            "EHLO" => b"250-lab\r\n250 8BITMIME\r\n",
            "HELO" | "MAIL" | "RSET" | "NOOP" => b"250 OK\r\n",
            "RCPT" if fault == MailFault::Never => b"550 no such user\r\n",
            "RCPT" => b"250 OK\r\n",
            "DATA" if fault == MailFault::Never => b"554 no valid recipients\r\n",
            "DATA" => {
                out.write_all(b"354 go on\r\n")?;
                let mail = read_mail(&mut lines)?;
                if fault == MailFault::Later {
                    b"450 come back later\r\n"
                } else {
                    keep(folder, &mail)?;
                    b"250 OK\r\n"
                }
            }
            "QUIT" => {
                out.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => b"502 not here\r\n",
        };
        out.write_all(answer)?;
    }
}

fn read_mail(lines: &mut BufReader<TcpStream>) -> Result<String> {
    let mut mail = String::new();
    loop {
        let mut line = String::new();
        ensure!(
            lines.read_line(&mut line)? > 0,
            "the mail ends in the middle"
        );
        let line = line.trim_end_matches(['\r', '\n']);
        if line == "." {
            return Ok(mail);
        }
        mail += line.strip_prefix('.').unwrap_or(line);
        mail.push('\n');
    }
}

fn keep(folder: &Path, mail: &str) -> Result<()> {
    let file = tempfile::NamedTempFile::new_in(folder)?;
    fs::write(file.path(), mail)?;
    let order = jiff::Timestamp::now().as_nanosecond();
    file.persist(folder.join(format!("{order:030}.eml")))?;
    Ok(())
}
