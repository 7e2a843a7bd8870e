//! The journal on disk: lines of JSON, appended and durable before anything is begun.
//!
//! # Invariants
//!
//! A record is there whole or not at all, whatever ends the program. A line that was torn off at the
//! end is cut before the next one is written. What cannot be read is set aside with all of its bytes
//! and the file is rebuilt from the lines that can; that never ends a pass. Events that this version
//! does not know are kept byte for byte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{files, state_file};
use crate::planning::Record;
use crate::planning::journal::lines::Contents;

mod compact;

const NAME: &str = "journal.jsonl";
/// From this size on, old records are dropped when the journal is opened.
const LARGE: usize = 8 << 20;
/// How long every record is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the journal {}", .path.display())]
pub struct JournalError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The journal of one server, open for appending. The pass lock has to be held.
#[derive(Debug)]
pub struct JournalFile {
    path: PathBuf,
    end: Mutex<End>,
}

/// The end of the journal.
#[derive(Debug)]
struct End {
    file: File,
    /// The bytes of all whole records.
    length: u64,
    /// Whether there may be more than that, which has to be cut off first.
    torn: bool,
}

impl JournalFile {
    /// Opens `<state>/journal.jsonl`, which is made when it is missing, and gives all of its records,
    /// oldest first, and what people should know of its state. `now` names what is set aside.
    ///
    /// # Errors
    ///
    /// When the disk does not let it be read, made or repaired. What it holds is never an error.
    pub fn open(
        state: &Path,
        now: Timestamp,
    ) -> Result<(Self, Vec<Record>, Vec<String>), JournalError> {
        let path = state.join(NAME);
        let error = |doing| {
            let path = path.clone();
            move |source| JournalError {
                doing,
                path,
                source,
            }
        };
        fs::create_dir_all(state).map_err(error("make the folder of"))?;
        let (bytes, mut warnings) = match read(&path) {
            Ok(bytes) => (bytes, Vec::new()),
            Err(Unread::NoFile) => {
                let aside = state_file::set_aside(&path, now).map_err(error("set aside"))?;
                let warning = format!(
                    "{} is no file; it is now {}",
                    path.display(),
                    aside.display()
                );
                (None, vec![warning])
            }
            Err(Unread::Io(source)) => return Err(error("read")(source)),
        };
        let made = bytes.is_none();
        let bytes = bytes.unwrap_or_default();
        let Contents {
            mut lines,
            corrupt,
            torn,
        } = Contents::of(&bytes);
        let mut rewrite = false;
        if let Some(first) = corrupt.first() {
            let aside = state_file::keep_aside(&path, now).map_err(error("set aside"))?;
            warnings.push(format!(
                "{}: {} of {} lines are no records (line {first} is the first); the file is kept as {} and the journal goes on with the others",
                path.display(),
                corrupt.len(),
                corrupt.len() + lines.len(),
                aside.display()
            ));
            rewrite = true;
        }
        if torn > 0 {
            warnings.push(torn_warning(&path, torn));
        }
        if bytes.len() > LARGE
            && let Some(kept) = compact::without_old(&lines, KEPT)
        {
            lines = kept;
            rewrite = true;
        }
        let mut length = bytes.len() - torn;
        if rewrite {
            let mut whole = Vec::with_capacity(bytes.len());
            for line in &lines {
                whole.extend_from_slice(line.text);
                whole.push(b'\n');
            }
            length = whole.len();
            state_file::replace(&path, &whole).map_err(error("rewrite"))?;
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(error("open"))?;
        if !rewrite {
            file.set_len(length as u64).map_err(error("repair"))?;
            // A last line that lacks nothing but its end is whole.
            if length > 0 && bytes.get(length - 1) != Some(&b'\n') {
                file.write_all(b"\n").map_err(error("repair"))?;
                length += 1;
            }
            file.sync_all().map_err(error("repair"))?;
        }
        if made {
            files::sync_folder(state).map_err(error("make"))?;
        }
        let records = lines.into_iter().map(|line| line.record).collect();
        let end = Mutex::new(End {
            file,
            length: length as u64,
            torn: false,
        });
        Ok((Self { path, end }, records, warnings))
    }

    /// The records of a journal that nobody writes to through this: nothing on the disk is changed, so
    /// a dry run may use it while a pass runs.
    ///
    /// # Errors
    ///
    /// When the disk does not let it be read.
    pub fn read(state: &Path) -> Result<(Vec<Record>, Vec<String>), JournalError> {
        let path = state.join(NAME);
        let bytes = match read(&path) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(Unread::NoFile) => {
                return Ok((
                    Vec::new(),
                    vec![format!("{} is no file and is ignored", path.display())],
                ));
            }
            Err(Unread::Io(source)) => {
                return Err(JournalError {
                    doing: "read",
                    path,
                    source,
                });
            }
        };
        let Contents {
            lines,
            corrupt,
            torn,
        } = Contents::of(&bytes);
        let mut warnings = Vec::new();
        if let Some(first) = corrupt.first() {
            let (count, path) = (corrupt.len(), path.display());
            warnings.push(format!(
                "{path}: {count} lines are no records and are ignored (line {first} is the first)"
            ));
        }
        if torn > 0 {
            warnings.push(torn_warning(&path, torn));
        }
        Ok((
            lines.into_iter().map(|line| line.record).collect(),
            warnings,
        ))
    }

    /// Writes one record; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it may not be: then it does not count, and the next record takes its place.
    pub fn append(&self, record: &Record) -> Result<(), JournalError> {
        let error = |source| JournalError {
            doing: "write to",
            path: self.path.clone(),
            source,
        };
        let mut line = serde_json::to_vec(record).map_err(|source| error(source.into()))?;
        line.push(b'\n');
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        end.append(&line).map_err(error)
    }
}

impl End {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.cut()?;
        self.torn = true;
        if let Err(error) = self
            .file
            .write_all(line)
            .and_then(|()| self.file.sync_data())
        {
            // If this fails too, the next record or the next pass cuts it off.
            drop(self.cut());
            return Err(error);
        }
        self.torn = false;
        self.length += line.len() as u64;
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        Ok(())
    }
}

fn torn_warning(path: &Path, torn: usize) -> String {
    format!(
        "{}: the last line was cut off in the middle and does not count ({torn} bytes): the program was ended or the disk was full while it was written",
        path.display()
    )
}

enum Unread {
    /// It is a folder or the like.
    NoFile,
    Io(io::Error),
}

/// All bytes of a file; none when it is not there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Unread> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(Unread::NoFile),
        Ok(_) => {}
        // A link that leads nowhere has to go as well.
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_ok() => {
            return Err(Unread::NoFile);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unread::Io(error)),
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map(|_| Some(bytes)).map_err(Unread::Io)
}

#[cfg(test)]
mod tests;
