//! Faults of the reconciler itself, made on purpose: each breaks one promise, so that a test can show
//! that the check notices.

/// What a world does wrong that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The senses always find something to do. Breaks promise 1.
    Restless,
    /// The journal forgets what became of hosts. Breaks promise 2: hosts are reset again.
    ForgetsHosts,
    /// Exit status 0 is taken for success. Breaks promise 2: what was not reset counts as fresh.
    BelievesZero,
    /// Downloads end well and leave nothing. Breaks promise 2: it never converges.
    NeverDownloads,
    /// A dry run writes a file. Breaks promise 3.
    DryRunWrites,
    /// The same question is answered in two ways. Breaks promise 3.
    Fickle,
    /// The senses tell a wrong time. Breaks promise 4.
    WrongTime,
    /// Days of exams are forgotten. Breaks promise 4.
    ForgetsExams,
    /// What the state repo suspends is forgotten. Breaks promise 4.
    ForgetsSuspensions,
    /// What people ordered on the server is forgotten. Breaks promise 4.
    ForgetsOrders,
    /// What people went back from is forgotten. Breaks promise 4.
    ForgetsRollbacks,
    /// The first day of a rollout is forgotten. Breaks promise 4.
    ForgetsFirstDay,
    /// Nobody asks whether somebody works at a host. Breaks promise 4.
    IgnoresPeople,
    /// Nobody reads which state an image is in, so that no wave is waited for. Breaks promise 4.
    OpensAllWaves,
    /// Failures are taken for resolved, so that no rollout stops. Breaks promise 4.
    NeverStops,
    /// Hosts are woken all at once. Breaks promise 5.
    WakesAllAtOnce,
    /// Nobody knows of any budget of power. Breaks promise 5.
    OverlooksBudgets,
    /// Everybody downloads as soon as his window is open. Breaks promise 5.
    OverlooksSlots,
    /// A download takes more of the line than it was granted. Breaks promise 5.
    TakesTheLine,
    /// What was downloaded is not compared with its digest. Breaks promise 6.
    NoVerification,
    /// The old base is removed before the new one is there. Breaks promise 7.
    BaseRemovedFirst,
    /// The new base is put beside the old diff. Breaks promise 7.
    ForeignDiff,
    /// The set before the live one is overlooked. Breaks promise 7: the last good version is deleted.
    ForgetsThePrevious,
    /// What is deleted is not compared with what other versions need. Breaks promise 7.
    DeletesShared,
    /// Any commit is taken. Breaks promise 8.
    AcceptsAnyCommit,
    /// Nobody looks who signed a commit. Breaks promise 8.
    TakesAnySignature,
    /// Programs are run by a shell. Breaks promise 9.
    Shell,
    /// The journal forgets what people were told. Breaks promise 10.
    ForgetsLetters,
    /// Letters are taken for sent that were not. Breaks promise 10.
    TellsNobody,
}
