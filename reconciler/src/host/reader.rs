//! Reading large files for their digest: fast, and without a trace in the page cache.
//!
//! # Invariants
//!
//! The page cache is left as a large file found it: an image of 20 GB would push out of it whatever the server works
//! with. Where neither the kernel nor the file system can do that, it is read as usual. One thread reads while another
//! one hashes, so that neither waits for the sum of both.

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::{ReadWriteFlags, preadv2};
use schema::digest::Digest;
use sha2::{Digest as _, Sha256};

/// What is read at a time: with less, more time is lost between two reads.
const BLOCK: usize = 4 << 20;
/// What a disk may ask of the address of a block that is read around the page cache.
const ALIGNED: usize = 4096;
/// Blocks that are read ahead of the hashing.
const AHEAD: usize = 4;

/// When reading ends early, and how fast it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits<'a> {
    /// It ends when somebody sets this.
    pub(super) stopped: &'a AtomicBool,
    /// So many bytes a second at the most.
    pub(super) per_second: Option<u64>,
    /// Where the bytes are to come from.
    pub(super) from: Origin,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From wherever they are.
    Anywhere,
    /// From the disk, where that can be done: what the page cache holds says nothing of it.
    Disk,
}

/// The size and the digest of a file, by all of its bytes.
///
/// # Errors
///
/// When it cannot be read, or reading was stopped.
pub(super) fn read(path: &Path, limits: Limits<'_>) -> io::Result<(u64, Digest)> {
    let file = File::open(path)?;
    let is_small = file.metadata()?.len() <= BLOCK as u64;
    let mut source = Source::of(path, file);
    match limits.from {
        Origin::Anywhere if is_small => return read_small(source.file, limits),
        Origin::Anywhere => {}
        Origin::Disk => source.fall_back()?,
    }
    let (full, filled) = sync_channel(AHEAD);
    let (empty, free) = channel();
    for _ in 0..AHEAD {
        // Who takes them is there until the end of this function.
        empty.send(Block::new()).ok();
    }
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut hasher = Sha256::new();
            for (block, count) in filled {
                let block: Block = block;
                hasher.update(block.bytes().get(..count).unwrap_or_default());
                // At the end of the file nobody wants it any more.
                empty.send(block).ok();
            }
            Digest::new(hasher.finalize().into())
        });
        let size = source.read_all(&free, &full, limits);
        drop((full, free));
        let digest = hashing.join();
        let digest = digest.map_err(|_| io::Error::other("hashing came to an end"))?;
        Ok((size?, digest))
    })
}

fn read_small(mut file: File, limits: Limits<'_>) -> io::Result<(u64, Digest)> {
    if limits.stopped.load(Ordering::Relaxed) {
        return Err(stopped());
    }
    let mut bytes = Vec::new();
    // It may have grown since.
    let size = file.read_to_end(&mut bytes)?;
    Ok((size as u64, Digest::new(Sha256::digest(&bytes).into())))
}

fn stopped() -> io::Error {
    io::Error::new(ErrorKind::Interrupted, "nobody waits for it any more")
}

/// A block at an address that a disk can read into by itself.
struct Block {
    bytes: Vec<u8>,
    from: usize,
}

impl Block {
    fn new() -> Self {
        let bytes = vec![0; BLOCK + ALIGNED];
        let from = bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        Self { bytes, from }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes
            .get(self.from..self.from + BLOCK)
            .unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let until = self.from + BLOCK;
        self.bytes.get_mut(self.from..until).unwrap_or_default()
    }
}

/// A file, and the way in which it is read.
struct Source<'a> {
    path: &'a Path,
    file: File,
    way: Way,
    done: u64,
}

/// Ways to read, the best first; each is tried when the kernel or the file system refuses the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What is in the page cache is taken from there, and nothing else stays in it (`RWF_DONTCACHE`, Linux 6.14).
    Uncached,
    /// From the disk (`O_DIRECT`).
    Direct,
    /// As usual.
    Plain,
}

/// `RWF_DONTCACHE` of `linux/fs.h`.
const DONTCACHE: ReadWriteFlags = ReadWriteFlags::from_bits_retain(0x80);

impl<'a> Source<'a> {
    const fn of(path: &'a Path, file: File) -> Self {
        Self {
            path,
            file,
            way: Way::Uncached,
            done: 0,
        }
    }

    /// Hands all blocks on, each with how much of it was filled.
    fn read_all(
        &mut self,
        free: &Receiver<Block>,
        full: &SyncSender<(Block, usize)>,
        limits: Limits<'_>,
    ) -> io::Result<u64> {
        let began = Instant::now();
        let gone = |_| io::Error::other("hashing came to an end");
        loop {
            if limits.stopped.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            let mut block = free.recv().map_err(io::Error::other)?;
            let count = self.read_block(block.bytes_mut())?;
            if count == 0 {
                return Ok(self.done);
            }
            self.done += count as u64;
            full.send((block, count)).map_err(gone)?;
            if let Some(per_second) = limits.per_second {
                let due = Duration::from_secs_f64(self.done as f64 / per_second.max(1) as f64);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
    }

    fn read_block(&mut self, block: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self.way {
                Way::Uncached => {
                    let into = &mut [IoSliceMut::new(block)];
                    preadv2(&self.file, into, self.done, DONTCACHE).map_err(io::Error::from)
                }
                Way::Direct | Way::Plain => self.file.read_at(block, self.done),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A file system that takes the flag and then refuses, or what follows a part of a block.
                Err(error) if is_refusal(&error) && self.way != Way::Plain => self.fall_back()?,
                read => return read,
            }
        }
    }

    fn fall_back(&mut self) -> io::Result<()> {
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
        let direct = || {
            File::options()
                .read(true)
                .custom_flags(flags)
                .open(self.path)
        };
        (self.file, self.way) = match self.way {
            Way::Uncached if let Ok(file) = direct() => (file, Way::Direct),
            Way::Uncached | Way::Direct | Way::Plain => (File::open(self.path)?, Way::Plain),
        };
        Ok(())
    }
}

/// Whether the kernel or the file system does not know a way to read.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidInput | ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests;
