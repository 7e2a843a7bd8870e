//! Why a host did not get its image, in words that an administrator understands.
//!
//! # Invariants
//!
//! A cause is recognised by its text alone, so records of any age are understood as well as the
//! newest can be. The line that tells most decides, wherever it stands: LINBO prints `Cannot mount`
//! after every failed restore, whatever the reason was. Nothing recognised means no cause, never a
//! guess; the raw lines stay evidence in any case.

use serde::{Deserialize, Serialize};

use super::log::Phrase::{self, Alone, Around, Holds};
use super::log::fits;
use super::verdict::HostOutcome;

/// Why a host did not get its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The image does not fit on its partition.
    ImageTooBig,
    /// The system partition ran full while the image was unpacked.
    PartitionFull,
    /// The cache partition ran full.
    CacheFull,
    /// The cache partition cannot be used.
    CacheBroken,
    /// The partition of `start.conf` does not exist on the disk.
    NoPartition,
    /// `start.conf` has no operating system of the number that was asked for.
    NoSuchSystem,
    /// A partition could not be formatted.
    FormatFailed,
    /// LINBO reached no server.
    NoNetwork,
    /// The server refused to send a file.
    Refused,
    /// The torrent could not be loaded.
    TorrentFailed,
    /// Nobody seeds the torrent, so that the host waits for ever.
    NoSeed,
    /// No multicast was offered.
    NoMulticast,
    /// An image could not be downloaded.
    DownloadFailed,
    /// An image is there, but could not be mounted.
    NotMountable,
    /// The files of an image could not be written to the partition.
    RestoreFailed,
    /// LINBO could not update itself.
    LinboUpdate,
    /// The boot loader or the firmware's boot entry could not be written.
    BootNotWritten,
    /// Somebody or something broke the command off.
    Aborted,
    /// It applied something else than was wanted.
    OtherState,
    /// A command failed and did not say why.
    CommandFailed,
    /// An operating system runs.
    InUse,
    /// It was woken and booted its operating system, not LINBO.
    BootsSystem,
    /// Nothing is known by which it could be woken.
    NoMac,
    /// The magic packet could not be sent.
    NotWoken,
    /// It was woken and LINBO did not answer.
    NoAnswer,
    /// LINBO does not accept the server's key.
    KeyRefused,
    /// Its name has no address.
    NameUnknown,
    /// `linbo-remote` leaves it alone.
    NotForLinbo,
    /// A command of an earlier run still runs on it.
    Occupied,
    /// A command did not end in time.
    Overdue,
    /// The connection broke while the command ran.
    ConnectionLost,
    /// LINBO did not answer over SSH.
    NotReachable,
    /// Nothing shows how it ended.
    NoReport,
}

/// The first that any line fits counts, so what tells most comes first. The words of LINBO, of what
/// it runs and of SSH come before those with which a driver sums a host up.
const PATTERNS: [(Cause, Phrase); 60] = [
    (Cause::ImageTooBig, Holds("is bigger than partition")),
    (
        Cause::PartitionFull,
        Around("\"/mnt", "No space left on device"),
    ),
    (Cause::CacheFull, Holds("No space left on device")),
    (Cause::CacheFull, Holds("not enough disk space")),
    (Cause::CacheBroken, Holds("Failed to mount cache partition")),
    (Cause::NoPartition, Holds("is not a block device")),
    (
        Cause::NoSuchSystem,
        Holds("no operating system of this number"),
    ),
    (Cause::FormatFailed, Around("Formatting of ", "failed!")),
    (Cause::NoNetwork, Holds("Network is unreachable")),
    (Cause::NoNetwork, Holds("failed to connect to ")),
    (Cause::NoNetwork, Holds("error in socket IO (code 10)")),
    (Cause::NoNetwork, Holds("in data send/receive (code 30)")),
    (Cause::NoNetwork, Holds("daemon connection (code 35)")),
    (Cause::Refused, Holds("@ERROR")),
    (Cause::NoSeed, Around("[#", " SD:0 ")),
    (
        Cause::TorrentFailed,
        Around(".torrent", "could not be downloaded"),
    ),
    (
        Cause::TorrentFailed,
        Around(".hash", "could not be downloaded"),
    ),
    (Cause::TorrentFailed, Holds("errorCode=")),
    (Cause::TorrentFailed, Holds("(ERR):error occurred")),
    (Cause::TorrentFailed, Holds("(INPR):download in-progress")),
    (Cause::NoMulticast, Holds("no multicast download possible")),
    (Cause::DownloadFailed, Holds("could not be downloaded")),
    (Cause::DownloadFailed, Holds("rsync error:")),
    (Cause::DownloadFailed, Holds("does not exist.")),
    (
        Cause::LinboUpdate,
        Holds("Failed to download linbofs64.md5!"),
    ),
    (Cause::LinboUpdate, Holds("Checksums differ")),
    (Cause::LinboUpdate, Holds("Linbo & grub update failed!")),
    (Cause::NotMountable, Around("Mounting ", "failed!")),
    (Cause::NotMountable, Around("Connection to ", "failed!")),
    (Cause::NotMountable, Holds("is not connectable!")),
    (Cause::NotMountable, Holds("is not mountable")),
    (Cause::RestoreFailed, Around("Image sync of ", "failed!")),
    (Cause::RestoreFailed, Around("Restore with ", "failed!")),
    (Cause::RestoreFailed, Holds("Cannot mount ")),
    (Cause::Aborted, Holds("Aborted.")),
    (Cause::Aborted, Holds("Killing processes:")),
    (Cause::RestoreFailed, Alone("Error!")),
    (
        Cause::BootNotWritten,
        Holds("Failed to write EFI boot configuration"),
    ),
    (
        Cause::BootNotWritten,
        Holds("Failed to update linux EFI boot configuration"),
    ),
    (Cause::BootNotWritten, Around("Installing GRUB", "failed!")),
    (
        Cause::OtherState,
        Around("the host applied ", " was wanted"),
    ),
    (Cause::CommandFailed, Holds("ended with exit status")),
    (Cause::CommandFailed, Holds("linbo-remote went no further")),
    (
        Cause::BootsSystem,
        Holds("an operating system answers instead"),
    ),
    (Cause::InUse, Holds("runs an operating system")),
    (Cause::NoMac, Holds("no MAC address")),
    (Cause::NoMac, Holds("no valid MAC address")),
    (Cause::NotWoken, Holds("it could not be woken")),
    (Cause::KeyRefused, Holds("Permission denied (publickey")),
    (Cause::NameUnknown, Holds("Could not resolve hostname")),
    (Cause::NoAnswer, Holds("LINBO did not answer within")),
    (Cause::NoAnswer, Holds("LINBO was not online")),
    (Cause::NotForLinbo, Holds("linbo-remote skips it")),
    (
        Cause::Occupied,
        Holds("a command of an earlier pass still runs"),
    ),
    (
        Cause::Occupied,
        Holds("a session of linbo-remote is already there"),
    ),
    (Cause::Overdue, Holds("was still running after")),
    (Cause::Overdue, Holds("session was still there after")),
    (Cause::ConnectionLost, Holds("the connection broke")),
    (Cause::NotReachable, Holds("ssh: ")),
    (Cause::NotReachable, Holds("SSH could not reach")),
];

/// A line that sounds like a failure and is none: LINBO fills partitions with zeros before it makes
/// an image, until they are full.
const HARMLESS: &str = "zero.tmp";

impl Cause {
    /// All of them, in the order of their kinds.
    pub const ALL: [Self; 33] = [
        Self::ImageTooBig,
        Self::PartitionFull,
        Self::CacheFull,
        Self::CacheBroken,
        Self::NoPartition,
        Self::NoSuchSystem,
        Self::FormatFailed,
        Self::NoNetwork,
        Self::Refused,
        Self::TorrentFailed,
        Self::NoSeed,
        Self::NoMulticast,
        Self::DownloadFailed,
        Self::NotMountable,
        Self::RestoreFailed,
        Self::LinboUpdate,
        Self::BootNotWritten,
        Self::Aborted,
        Self::OtherState,
        Self::CommandFailed,
        Self::InUse,
        Self::BootsSystem,
        Self::NoMac,
        Self::NotWoken,
        Self::NoAnswer,
        Self::KeyRefused,
        Self::NameUnknown,
        Self::NotForLinbo,
        Self::Occupied,
        Self::Overdue,
        Self::ConnectionLost,
        Self::NotReachable,
        Self::NoReport,
    ];

    /// What the lines of a log tell, if they tell anything.
    #[must_use]
    pub fn recognise<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let lines: Vec<&str> = lines.into_iter().map(str::trim).collect();
        let told = |phrase: &Phrase| {
            lines.iter().enumerate().any(|(index, line)| {
                let next = lines.get(index + 1).copied().unwrap_or_default();
                fits(phrase, line, next) && !line.contains(HARMLESS)
            })
        };
        let found = PATTERNS.iter().find(|(_, phrase)| told(phrase));
        found.map(|(cause, _)| *cause)
    }

    /// Whether a line may tell of a cause: what is worth keeping of a log.
    #[must_use]
    pub fn is_told_by(line: &str) -> bool {
        Self::recognise([line]).is_some()
    }

    /// The cause of an outcome; none when it went well.
    #[must_use]
    pub fn of(outcome: &HostOutcome) -> Option<Self> {
        if matches!(outcome, HostOutcome::InUse { .. }) {
            return None;
        }
        let why = outcome.why()?;
        let named = Self::ALL
            .into_iter()
            .find(|cause| why.starts_with(cause.meaning()));
        let lines = || {
            [why]
                .into_iter()
                .chain(outcome.evidence().iter().map(String::as_str))
        };
        named
            .or_else(|| Self::recognise(lines()))
            .or_else(|| matches!(outcome, HostOutcome::Unknown { .. }).then_some(Self::NoReport))
    }

    /// What it means, in words that end no sentence.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::ImageTooBig => "the image is bigger than its partition on the host",
            Self::PartitionFull => "the system partition of the host ran full",
            Self::CacheFull => "the cache partition of the host is full",
            Self::CacheBroken => "the cache partition of the host could not be mounted",
            Self::NoPartition => "a partition of start.conf is not on the disk of the host",
            Self::NoSuchSystem => "start.conf on the host has no operating system of this number",
            Self::FormatFailed => "a partition of the host could not be formatted",
            Self::NoNetwork => "LINBO on the host did not reach the server",
            Self::Refused => "the server refused to send a file to the host",
            Self::TorrentFailed => "the host could not load the image by torrent",
            Self::NoSeed => "nobody seeds the torrent that the host waits for",
            Self::NoMulticast => "the server offered no multicast for the image",
            Self::DownloadFailed => "the host could not download the image",
            Self::NotMountable => "the image could not be mounted on the host",
            Self::RestoreFailed => "the image could not be written to the partition of the host",
            Self::LinboUpdate => "LINBO on the host could not update itself",
            Self::BootNotWritten => "the boot loader of the host could not be written",
            Self::Aborted => "the command on the host was broken off",
            Self::OtherState => "the host applied another state of the image than was wanted",
            Self::CommandFailed => "LINBO's command failed and did not say why",
            Self::InUse => "an operating system runs on the host: it may be in use",
            Self::BootsSystem => "the host was woken and started its operating system, not LINBO",
            Self::NoMac => "no MAC address is known to wake the host by",
            Self::NotWoken => "the magic packet could not be sent",
            Self::NoAnswer => "the host was woken, and LINBO did not answer",
            Self::KeyRefused => "LINBO on the host does not accept the server's key",
            Self::NameUnknown => "the name of the host has no address",
            Self::NotForLinbo => "linbo-remote leaves the host alone",
            Self::Occupied => "an earlier command still runs on the host",
            Self::Overdue => "the command on the host did not end in time",
            Self::ConnectionLost => "the connection to the host broke",
            Self::NotReachable => "LINBO on the host did not answer over SSH",
            Self::NoReport => "nothing shows how it ended on the host",
        }
    }

    /// What an administrator can do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::ImageTooBig => {
                "make the partition in the hardware class larger than the image's disk, and partition and format the host anew; or build the image on a smaller partition"
            }
            Self::PartitionFull => {
                "make the system partition in the hardware class larger, and partition and format the host anew"
            }
            Self::CacheFull => {
                "take images that nobody needs out of the hardware class, or make the cache partition larger than all of its images and one download together; then initialise the cache or format it"
            }
            Self::CacheBroken => {
                "check that `Cache` in the hardware class names an existing partition, and format the cache on the host; if it fails again, test the disk"
            }
            Self::NoPartition => {
                "compare the disk of the host with the partitions of its hardware class: it was never partitioned by it, or its disk has another name or is broken"
            }
            Self::NoSuchSystem => {
                "the host read an older or another start.conf than the server has: check its hardware class in devices.csv, and let it boot LINBO anew"
            }
            Self::FormatFailed => "partition the host anew; if it fails again, test the disk",
            Self::NoNetwork => {
                "check the cable, the switch port and the address of the host, and that rsync answers on the server"
            }
            Self::Refused => {
                "look for the reason in rsync's log on the server: rights in LINBO's folder, a full disk, too many connections"
            }
            Self::TorrentFailed => {
                "check that the torrent is seeded (`linbo-torrent status`), and that its .torrent and .hash are of the image that lies there"
            }
            Self::NoSeed => {
                "check that the seeder runs on the server (`linbo-torrent status`) and that the tracker knows the torrent; restart it with `linbo-torrent restart`"
            }
            Self::NoMulticast => {
                "start linbo-multicast on the server, or set another download type"
            }
            Self::DownloadFailed => {
                "check that the image and its .info are in LINBO's folder and readable, that the network holds, and that the cache of the host has room"
            }
            Self::NotMountable => {
                "the copy in the host's cache is damaged or incomplete: initialise its cache; if other hosts say the same, check the image on the server"
            }
            Self::RestoreFailed => {
                "format the system partition of the host and sync again; if other hosts say the same, check the image; otherwise test the disk"
            }
            Self::LinboUpdate => {
                "run update-linbofs on the server, and let the host boot LINBO anew"
            }
            Self::BootNotWritten => {
                "the image itself was written; check that the host starts, its firmware's settings, and the EFI partition of its hardware class"
            }
            Self::Aborted => {
                "somebody worked at the host, or a second command was sent to it: reset it again"
            }
            Self::OtherState => {
                "the image on the server was exchanged meanwhile, or the host kept an older copy: reset it again; if it stays, initialise its cache"
            }
            Self::CommandFailed => {
                "read the lines below, and LINBO's log of the host on the server"
            }
            Self::InUse => "nothing has to be done if it was in use; otherwise switch it off",
            Self::BootsSystem => {
                "set the boot order of the host to network first, and autostart of its hardware class to no"
            }
            Self::NoMac => {
                "enter the MAC address of the host in devices.csv, and import the devices"
            }
            Self::NotWoken => {
                "check that wakeonlan is installed on the server and that its network has a broadcast route"
            }
            Self::NoAnswer => {
                "check power, cable and switch port, Wake-on-LAN in the firmware, and the MAC address in devices.csv"
            }
            Self::KeyRefused => {
                "run update-linbofs on the server, so that LINBO gets the key of root, and let the host boot LINBO anew"
            }
            Self::NameUnknown => "check the row of the host in devices.csv, and import the devices",
            Self::NotForLinbo => {
                "set the PXE flag of the host in devices.csv to 1, and import the devices"
            }
            Self::Occupied => {
                "it is tried again when that ends; a session that hangs can be ended with `tmux kill-session`"
            }
            Self::Overdue => {
                "look at what the host was doing: a torrent without a seed waits for ever; a slow disk or line needs a longer `command_timeout` in the settings"
            }
            Self::ConnectionLost => {
                "check cable, switch and power of the host: it went off, or its network did"
            }
            Self::NotReachable => "check that the host is in LINBO, and its cable and address",
            Self::NoReport => "look at LINBO's log of the host on the server; it is tried again",
        }
    }

    /// Whether the host may well have its image all the same.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::BootNotWritten)
    }
}

#[cfg(test)]
mod tests;
