//! The command line: the only place that prints, reads the environment, and builds a [`Host`].
//!
//! [`Host`]: crate::host::Host

use std::ffi::OsString;
use std::path::PathBuf;

use ::schema::device::VmId;
use ::schema::name::{Domain, ImageName, SchoolName, VersionName};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

mod adopt;
mod exit;
mod explain;
mod forecast;
mod history;
mod log;
mod look;
mod manifest;
mod orders;
mod output;
mod pass;
mod rebranded;
mod rollback;
mod schema;
mod scrub;
mod simulate;
mod status;
mod validate;
mod vm;
mod watch;

pub use exit::Exit;
use output::Output;

const EXIT_CODES: &str = "Exit codes:
   0  converged, or everything left waits for a gate
   1  something failed, or not everything could be seen
   2  only with --detailed-exitcode on a dry run: changes are pending
   3  held by the guard against mass changes: a person has to decide
  64  wrong usage
  75  another pass is running";

/// Makes this linuxmuster.net server true to its state repo.
///
/// Without a command: one pass. It pulls the state repo, observes the server, plans the fewest
/// actions, does those whose time has come, and reports.
#[derive(Debug, Parser)]
#[command(name = "reconcile", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pass: PassArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Common {
    /// Settings of this server.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/linuxmuster/reconciler.yaml"
    )]
    config: PathBuf,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// When to use colours. NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto)]
    color: When,
    /// How logs are written, to standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// More of what happens; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Args)]
struct PassArgs {
    /// Only show what a pass would do.
    #[arg(long)]
    dry_run: bool,
    /// Plan as if it were this time: `2026-11-23 18:05` in the school's time zone, or RFC 3339.
    #[arg(long, value_name = "TIME", requires = "dry_run", value_parser = look::at)]
    at: Option<look::At>,
    /// Exit with 2 when changes are pending.
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a state repo: all errors of all files at once. Needs no server.
    Validate {
        /// The folder of the state repo.
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Write the state repo of this server as it is, such that its first dry run plans nothing. Needs no settings.
    ///
    /// Rooms, hardware classes and images are taken from `devices.csv`, `start.conf.*` and LINBO's folder. What cannot
    /// be written is listed with its reason. No file in DIR is overwritten: adopt all schools into one folder.
    Adopt {
        /// The folder of the state repo.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// What the school is called there; as the settings say, or the first part of its domain.
        #[arg(long, value_name = "NAME")]
        school: Option<SchoolName>,
        /// The server that releases images.
        #[arg(long, value_name = "HOST")]
        central: Option<Domain>,
    },
    /// Rehearse a state repo: what would happen when, the peaks, what would be late or fail. Needs no server.
    ///
    /// The planner and the loop of a real pass, at all schools, in a simulated world that begins with
    /// empty servers.
    Simulate {
        /// The folder of the state repo.
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// How long.
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=104))]
        weeks: u16,
        /// What chance follows from: the same number gives the same rehearsal.
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
        /// How much goes wrong.
        #[arg(long, value_enum, default_value_t = simulate::Faults::None)]
        faults: simulate::Faults,
    },
    /// Print or write the JSON Schemas of the state repo, for editors.
    Schema {
        /// Write one file for each kind of document into this folder.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Show how this server stands: what is wrong, what waits.
    Status(status::Args),
    /// Show why a room, a host or an image is as it is, and what it waits for.
    Explain {
        #[command(subcommand)]
        what: explain::What,
        /// Explain as if it were this time: `2026-11-23 18:05` in the school's time zone, or RFC 3339.
        #[arg(long, global = true, value_name = "TIME", value_parser = look::at)]
        at: Option<look::At>,
    },
    /// Show the timetable of the coming days: what would be done when, if nothing went wrong and nothing was merged.
    ///
    /// On the central server: which school may download when, and how fast.
    Forecast {
        /// So many days.
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
        days: u16,
        /// Begin as if it were this time: `2026-11-23 18:05` in the school's time zone, or RFC 3339.
        #[arg(long, value_name = "TIME", value_parser = look::at)]
        at: Option<look::At>,
    },
    /// Show what was done.
    History {
        /// Show so many passes that did something.
        #[arg(long, value_name = "N", default_value_t = 10)]
        limit: usize,
        /// Show passes that had nothing to do as well.
        #[arg(long)]
        all: bool,
    },
    /// Stop all work on this server, or on a room, a host or an image of it. A running pass obeys within seconds;
    /// what it has begun on PCs is finished.
    Suspend {
        /// Why, for whoever reads a plan.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// When it ends by itself: `3 days`, `2026-11-27` for the end of that day, `2026-11-27 18:00` in the
        /// school's time zone, or RFC 3339. Without it you are reminded after two weeks.
        #[arg(long, value_name = "TIME", value_parser = orders::end)]
        until: Option<orders::End>,
        /// `room NAME`, `host NAME` or `image NAME`; the whole server without it.
        #[arg(value_name = "WHAT", num_args = 0..=2)]
        what: Vec<String>,
    },
    /// Let an image go back to a version that was there before, on this server alone. A running pass obeys within
    /// seconds.
    ///
    /// All PCs get it with their next reset, without waves. The version that the state repo names is not tried again
    /// until it names another one, or until `reconcile resume image NAME`. For all schools, merge a commit instead.
    Rollback {
        /// The image.
        #[arg(value_name = "IMAGE")]
        image: ImageName,
        /// The version that it goes back to. Without it: the one that lay in LINBO's folder before.
        #[arg(long, value_name = "VERSION")]
        to: Option<VersionName>,
        /// Why, for whoever reads a plan.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take an image that was moved into the domain of this school as this school's own version of what the state repo
    /// wants. The next pass puts it in place.
    ///
    /// In a VM, the image that was downloaded is moved into the domain and uploaded under another name, so that no PC
    /// loses the image that it has. What LINBO made of the upload is checked: size, base, machine account.
    Rebranded {
        /// The image.
        image: ImageName,
        /// The name under which it was uploaded.
        #[arg(long, value_name = "NAME")]
        from: ImageName,
    },
    /// End a suspension or a rollback, or declare failures to be resolved: hosts that stand still are tried
    /// again, a rollout that stopped goes on.
    ///
    /// What the state repo suspends ends there, or by a commit that takes it out.
    Resume {
        /// `room NAME`, `host NAME` or `image NAME`; the whole server without it.
        #[arg(value_name = "WHAT", num_args = 0..=2)]
        what: Vec<String>,
    },
    /// Read all files of the store slowly, to find those that the disk has damaged. What is wanted of them is then
    /// fetched again by the next passes.
    Scrub {
        /// How fast, in MiB per second.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        mib_per_second: u32,
    },
    /// Show a virtual machine as Proxmox has it, and whether it carries the tag by which it may be started and ended.
    /// Changes nothing.
    Vm {
        /// Its number.
        #[arg(value_name = "NUMBER")]
        id: VmId,
    },
    /// Write the manifest of a release folder, and print the lines for the state repo.
    ///
    /// The folder holds the files of one version, <IMAGE>/<VERSION>/<IMAGE>.qcow2 and so on, below the
    /// release module of the central server.
    Manifest {
        /// The folder of the version.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual pages, of this and of all commands, as roff.
    Man,
}

/// Runs the command line and returns the exit code. `now` is the clock, handed in so that there is
/// one place that asks it.
pub fn main(args: impl IntoIterator<Item = OsString>, now: fn() -> Timestamp) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told when even that cannot be written.
            error.print().ok();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Converged
            };
        }
    };
    let Cli {
        common,
        pass,
        command,
    } = cli;
    let output = Output::new(common.output, common.color);
    log::start(common.log_format, common.verbose, output.color_on_stderr());
    let result = match command {
        None => pass::run(&common, &pass, &output, now),
        Some(Command::Validate { dir }) => validate::run(&dir, &output),
        Some(Command::Adopt {
            out,
            school,
            central,
        }) => {
            let wish = adopt::Wish {
                out: &out,
                school: school.as_ref(),
                central: central.as_ref(),
            };
            adopt::run(&common, &wish, &output, now)
        }
        Some(Command::Simulate {
            dir,
            weeks,
            seed,
            faults,
        }) => simulate::run(&dir, weeks, seed, faults, &output, now()),
        Some(Command::Schema { out }) => schema::run(out.as_deref(), &output),
        Some(Command::Status(args)) => status::run(&common, &args, &output, now),
        Some(Command::Explain { what, at }) => explain::run(&common, &what, at, &output, now),
        Some(Command::Forecast { days, at }) => forecast::run(&common, days, at, &output, now),
        Some(Command::History { limit, all }) => history::run(&common, limit, all, &output, now()),
        Some(Command::Suspend {
            reason,
            until,
            what,
        }) => match orders::subject(&what) {
            Ok(what) => orders::suspend(&common, what, &reason, until, &output, now()),
            Err(why) => return usage(&why),
        },
        Some(Command::Rollback { image, to, reason }) => {
            let wish = rollback::Wish {
                image: &image,
                to: to.as_ref(),
                reason: &reason,
            };
            rollback::run(&common, &wish, &output, now)
        }
        Some(Command::Resume { what }) => match orders::subject(&what) {
            Ok(what) => orders::resume(&common, what, &output, now()),
            Err(why) => return usage(&why),
        },
        Some(Command::Rebranded { image, from }) => {
            rebranded::run(&common, &image, &from, &output, now)
        }
        Some(Command::Scrub { mib_per_second }) => scrub::run(&common, mib_per_second, &output),
        Some(Command::Vm { id }) => vm::run(&common, id, &output),
        Some(Command::Manifest { dir }) => manifest::run(&dir, &output),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "reconcile", &mut script);
            output.bytes(&script)
        }
        Some(Command::Man) => manual().and_then(|pages| output.bytes(&pages)),
    };
    result.unwrap_or_else(|error| {
        output.error(&error);
        exit::of(&error)
    })
}

/// The manual page, and behind it those of all commands that it names.
fn manual() -> anyhow::Result<Vec<u8>> {
    fn render(command: &clap::Command, pages: &mut Vec<u8>) -> std::io::Result<()> {
        clap_mangen::Man::new(command.clone()).render(pages)?;
        let commands = command.get_subcommands();
        let mut named = commands.filter(|command| command.get_name() != "help");
        named.try_for_each(|command| render(command, pages))
    }
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    render(&command, &mut pages)?;
    Ok(pages)
}

/// Says what is wrong with the arguments as clap would.
fn usage(why: &str) -> Exit {
    let error = Cli::command().error(clap::error::ErrorKind::ValueValidation, why);
    // Nobody is left to be told when even that cannot be written.
    error.print().ok();
    Exit::Usage
}
