//! Where the story plays: a lab, and what the audience sees of it.

use std::{
    fs,
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use jiff::{ToSpan as _, civil::Date};

use crate::lab::{Content, Lab, Release, Room, binary, copy_tree};

/// The release that the fleet begins with.
pub(super) const FIRST: &str = "2026.10.1";
/// The release that comes in the middle of the week: the same base, another diff.
pub(super) const SECOND: &str = "2026.11.1";
/// The school whose week is told.
pub(super) const NORD: &str = "bs-nord";
/// The other school.
pub(super) const SUED: &str = "bs-sued";

/// A day of the story, counted from the Friday on which it begins.
#[derive(Clone, Copy)]
pub(super) enum Day {
    Friday = 0,
    Monday = 3,
    Tuesday = 4,
    Wednesday = 5,
}

/// A lab with an audience.
pub(super) struct Stage {
    /// The Friday on which the story begins. It is yet to come, because files keep the machine's times and what is
    /// written in the story must not be older than they are.
    friday: Date,
    pub(super) lab: Lab,
    began: Instant,
    /// How many mails were shown.
    mails: usize,
}

impl Stage {
    /// Builds the lab: the central server, two schools with eight PCs, the small example as state repo.
    pub(super) fn build() -> Result<Self> {
        let began = Instant::now();
        let friday = jiff::Zoned::now()
            .date()
            .nth_weekday(1, jiff::civil::Weekday::Friday)?;
        let seed = tempfile::tempdir()?;
        write_state_repo(seed.path())?;
        let lab = Lab::builder()
            .state_repo(seed.path())
            .school(NORD, [Room::new("r101", 4), Room::new("r102", 2)])
            .school(SUED, [Room::new("edv1", 2)])
            .at(&format!("{friday} 14:00:00"))
            .build()?;
        for school in [NORD, SUED] {
            let linbo = lab.server(school).paths.linbo();
            fs::remove_file(linbo.join("start.conf.ubuntu-lab"))?;
        }
        // The port of the release server is known only now.
        let address = lab.central().rsync.address.to_string();
        let work = lab.repo().work();
        replace_in(
            &work.join("fleet.yaml"),
            "images.musterstadt.example",
            &address,
        )?;
        lab.repo()
            .commit(|_| Ok(()), "fleet: the central server's address")?;
        Ok(Self {
            friday,
            lab,
            began,
            mails: 0,
        })
    }

    /// Publishes a version as the build of images would leave it, without its manifest.
    pub(super) fn publish(&self, version: &str, diff: u32) -> Result<Release> {
        let content = Content::base(1).base_size(64).with_diff(diff);
        let release = self.lab.central().publish("ubuntu", version, &content)?;
        fs::remove_file(release.folder.join("manifest.json"))?;
        Ok(release)
    }

    /// Says how long all of it took.
    pub(super) fn end(&self) -> Result<()> {
        let seconds = self.began.elapsed().as_secs();
        say(&format!(
            "That was one week in {seconds} seconds. Nothing of it is left on this machine.\n"
        ))
    }

    /// Runs `reconcile` on a server at a time and shows both; what it printed has to come with this exit code.
    pub(super) fn run(
        &self,
        server: &str,
        (day, time): (Day, &str),
        arguments: &[&str],
        exit: i32,
    ) -> Result<String> {
        let date = self.friday.checked_add((day as i64).days())?;
        self.lab.set_time(&self.time(day, time)?)?;
        let handle = self.lab.server(server);
        let mut command = handle.command(&binary()?)?;
        command
            .arg("--config")
            .arg(handle.paths.config())
            .args(arguments);
        let prompt = format!("{} {time}  root@{server}#", date.strftime("%a %-d %b"));
        show(&prompt, arguments, &mut command, exit)
    }

    /// A time of the story as `--at` takes it.
    pub(super) fn time(&self, day: Day, time: &str) -> Result<String> {
        let date = self.friday.checked_add((day as i64).days())?;
        Ok(format!("{date} {time}"))
    }

    /// Runs `reconcile` in a colleague's work clone, or on the central server.
    pub(super) fn run_in(
        &self,
        folder: &Path,
        prompt: &str,
        arguments: &[&str],
        exit: i32,
    ) -> Result<String> {
        let mut command = self.lab.server("central").command(&binary()?)?;
        command.current_dir(folder).args(arguments);
        show(prompt, arguments, &mut command, exit)
    }

    /// Commits what was changed in the work clone and shows the change.
    pub(super) fn merge(&self, message: &str) -> Result<()> {
        self.lab.repo().commit(|_| Ok(()), message)?;
        let work = self.lab.repo().work();
        let shown = self.lab.repo().git(
            &work,
            &["show", "--format=%h %s", "--unified=0", "--no-color"],
        )?;
        say("A colleague merges:\n")?;
        let noise = ["diff ", "index ", "--- ", "@@ "];
        for line in shown.lines() {
            if !noise.iter().any(|head| line.starts_with(head)) {
                print(&indented(line))?;
            }
        }
        print("\n")
    }

    /// Shows the mails that came since the last look; there have to be so many.
    pub(super) fn mails(&mut self, number: usize) -> Result<Vec<String>> {
        let all = self.lab.smtp().mails()?;
        let new = all.get(self.mails..).unwrap_or_default().to_vec();
        self.mails = all.len();
        ensure!(
            new.len() == number,
            "{} mails came instead of {number}: {new:?}",
            new.len()
        );
        let mut bodies = Vec::new();
        for raw in &new {
            let mail = mail_parser::MessageParser::default()
                .parse(raw.as_bytes())
                .context("that is no mail")?;
            let subject = mail.subject().unwrap_or_default();
            let body = mail.body_text(0).unwrap_or_default();
            let to: Vec<_> = mail
                .to()
                .and_then(mail_parser::Address::as_list)
                .unwrap_or_default()
                .iter()
                .filter_map(|address| address.address())
                .collect();
            say("A mail:\n")?;
            print(&format!(
                "    To: {}\n    Subject: {subject}\n\n",
                to.join(", ")
            ))?;
            for line in body.trim_end().lines() {
                print(&indented(line))?;
            }
            print("\n")?;
            bodies.push(body.into_owned());
        }
        Ok(bodies)
    }
}

/// The small example with a second school, and with the first release as one that is yet to come.
fn write_state_repo(to: &Path) -> Result<()> {
    let example = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/small"));
    copy_tree(&example, to)?;
    let fleet = to.join("fleet.yaml");
    let mut text = fs::read_to_string(&fleet)?;
    text += "defaults:\n  rollout: at_once\n  guard: { reimage_at_most: 100 % }\n  power: { wake_per_minute: 60 }\n";
    fs::write(&fleet, text)?;
    let sued = to.join("schools").join(SUED);
    fs::create_dir_all(sued.join("rooms"))?;
    fs::write(
        sued.join("school.yaml"),
        "title: Berufsschule Süd\nserver: server.bs-sued.example\ndomain: bs-sued.example\n\
         reset: tue, thu 18:00\nimages: { ubuntu: stable }\n",
    )?;
    fs::write(sued.join("rooms/edv1.yaml"), "class: ubuntu-lab\n")?;
    Ok(())
}

/// Replaces a text that has to be in the file.
pub(super) fn replace_in(file: &Path, old: &str, new: &str) -> Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(text.contains(old), "{} does not say {old}", file.display());
    fs::write(file, text.replace(old, new))?;
    Ok(())
}

/// Shows a command and what it prints, as it prints it.
fn show(prompt: &str, arguments: &[&str], command: &mut Command, exit: i32) -> Result<String> {
    let typed: String = arguments.iter().map(|argument| quoted(argument)).collect();
    print(&format!("{prompt} reconcile{typed}\n"))?;
    // What runs sees a pipe; the audience may sit at a terminal all the same.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !no_color {
        command.args(["--color", "always"]);
    }
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("cannot start reconcile")?;
    // The command keeps the ends that write; only without them does the reader come to an end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut all = String::new();
    for line in BufReader::new(reader).lines() {
        let line = line?;
        print(&indented(&line))?;
        all += &line;
        all.push('\n');
    }
    let status = child.wait()?.code();
    if exit != 0 {
        print(&format!("    (exit code {exit})\n"))?;
    }
    print("\n")?;
    ensure!(
        status == Some(exit),
        "reconcile {} ended with {status:?} instead of {exit}",
        arguments.join(" ")
    );
    Ok(all)
}

/// An argument as one types it in a shell, after a space.
fn quoted(argument: &str) -> String {
    if argument.contains(' ') {
        format!(" '{argument}'")
    } else {
        format!(" {argument}")
    }
}

fn indented(line: &str) -> String {
    if line.is_empty() {
        "\n".to_owned()
    } else {
        format!("    {line}\n")
    }
}

/// Begins a chapter.
pub(super) fn chapter(title: &str) -> Result<()> {
    print(&format!("\n== {title}\n\n"))
}

/// Tells the audience something.
pub(super) fn say(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print")
}
