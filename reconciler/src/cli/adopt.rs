//! `reconcile adopt`: the state repo of a server that is there already, and what its first dry run says.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::diagnostic::{self, Severity};
use schema::fleet::Fleet;
use schema::name::{Domain, SchoolName};
use serde_json::json;

use super::exit::WrongUsage;
use super::{Common, Exit, Format, Output, pass, validate};
use crate::adopt::{Adoption, Inventory, Names, adopt};
use crate::config::{Commands, Config, Paths, Repo, Reset};
use crate::host::{Host, Mode, inventory};
use crate::planning::{Desired, Preview, Server, in_force, preview};
use crate::report::style::{Color, count};
use crate::report::text;
use crate::report::text::Head;
use crate::report::title::Clock;
use crate::world::Senses as _;

/// What people say of the server.
pub(super) struct Wish<'a> {
    pub(super) out: &'a Path,
    pub(super) school: Option<&'a SchoolName>,
    pub(super) central: Option<&'a Domain>,
}

pub(super) fn run(
    common: &Common,
    wish: &Wish<'_>,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    // Whoever begins has no settings yet.
    let settings = if common.config.exists() {
        Some(pass::config(common, output)?)
    } else {
        None
    };
    let paths = settings
        .as_ref()
        .map_or_else(Paths::default, |config| config.paths.clone());
    let inventory = inventory::look(&paths)?;
    let names = Names {
        school: school(wish, settings.as_ref(), &inventory)?,
        central: wish.central.cloned(),
        time_zone: time_zone(),
    };
    let mut adoption = adopt(&inventory, &names);
    let written = write(wish.out, &mut adoption)?;
    let Some(fleet) = check(wish.out, output)? else {
        bail!("what is in {} is not valid", wish.out.display());
    };
    let server = Server::School(names.school.clone());
    let Some(desired) = Desired::of(&fleet, &server) else {
        bail!("{} has no school {}", wish.out.display(), names.school);
    };
    let host = Host::open(config(settings, server, paths), Mode::Look, now)?;
    let observed = pass::runtime()?.block_on(host.observe(&desired, &[]));
    let (blind, suspended) = (observed.blind_spots(), in_force(&desired, &observed));
    let school = names.school.to_string();
    let head = Head {
        server: &school,
        commit: None,
        problems: &[],
        blind: &blind,
        suspended: &suspended,
        clock: Clock {
            now: observed.at,
            zone: &desired.zone,
        },
    };
    let exit = if blind.is_empty() {
        Exit::Converged
    } else {
        Exit::Failed
    };
    let first = preview(&desired, observed);
    if output.format == Format::Json {
        output.json(&json!({
            "format_version": "1.0",
            "written": written,
            "left_out": adoption.left_out,
            "remarks": adoption.remarks,
            "plan": crate::report::json::plan(head, &first),
        }))?;
        return Ok(exit);
    }
    let rooms = desired.rooms.len();
    let mut said = format!(
        "{} written below {}: school {school}, {}, {}\n",
        count(written.len(), "file", "files"),
        wish.out.display(),
        count(rooms, "room", "rooms"),
        count(desired.classes.len(), "hardware class", "hardware classes"),
    );
    list(
        &mut said,
        "left out, and as it is until somebody writes it:",
        &adoption.left_out,
    );
    list(&mut said, "to be known:", &adoption.remarks);
    said += "\n";
    said += &dry_run(head, &first, output.color);
    output.text(&said)?;
    Ok(exit)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fleet begins with the zone of its first server"
)]
fn time_zone() -> String {
    let zone = TimeZone::system();
    zone.iana_name().unwrap_or("Europe/Berlin").to_owned()
}

/// What a first dry run would say.
fn dry_run(head: Head<'_>, first: &Preview, color: Color) -> String {
    if first.rounds.is_empty() && first.holds.is_empty() && head.blind.is_empty() {
        return "The first dry run plans nothing: the server is as these files say.\n".to_owned();
    }
    format!(
        "The first dry run says:\n\n{}",
        text::plan(head, first, color)
    )
}

fn list(said: &mut String, head: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    *said += &format!("\n{head}\n");
    for line in lines {
        *said += &format!("- {line}\n");
    }
}

/// What the school is to be called: as people say, as the settings say, or by the first part of its domain.
fn school(
    wish: &Wish<'_>,
    settings: Option<&Config>,
    inventory: &Inventory,
) -> anyhow::Result<SchoolName> {
    if let Some(school) = wish.school {
        return Ok(school.clone());
    }
    match settings.map(|config| &config.server) {
        Some(Server::School(school)) => return Ok(school.clone()),
        Some(Server::Central) => {
            let why = "this is the central server, which has no rooms; `--school` says otherwise";
            return Err(WrongUsage(why.to_owned()).into());
        }
        None => {}
    }
    let domain = inventory.setup.domain.as_str();
    let first = domain.split('.').next().unwrap_or(domain);
    first
        .parse()
        .map_err(|error| WrongUsage(format!("{error}; name the school with `--school`")).into())
}

/// Writes what is not there yet, and gives the paths. Nothing that is there is overwritten.
fn write(out: &Path, adoption: &mut Adoption) -> anyhow::Result<Vec<String>> {
    let mut files = adoption.files.clone();
    for (name, schema) in schema::json_schema::all() {
        let text = serde_json::to_string_pretty(&schema).context("cannot write JSON")? + "\n";
        files.insert(format!("schemas/{name}"), text);
    }
    let mut written = Vec::new();
    for (name, text) in &files {
        let path = out.join(name);
        if path.exists() {
            let found = fs::read_to_string(&path);
            // What holds for all schools was written with the first of them.
            if found.ok().as_ref() != Some(text) && name != "fleet.yaml" {
                let line = format!(
                    "{name} is there already and says something else: it was left as it is"
                );
                adoption.left_out.push(line);
            }
            continue;
        }
        let writing = || format!("cannot write {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(writing)?;
        }
        fs::write(&path, text).with_context(writing)?;
        written.push(name.clone());
    }
    Ok(written)
}

/// What lies in the folder, if it is valid. What is wrong with it is said.
fn check(out: &Path, output: &Output) -> anyhow::Result<Option<Fleet>> {
    let tree = validate::read(out)?;
    let loaded = schema::load(&tree);
    let errors = loaded.diagnostics.iter();
    for error in errors.filter(|diagnostic| diagnostic.severity == Severity::Error) {
        let color = output.color_on_stderr() == Color::On;
        output.line(&diagnostic::render(error, tree.text(&error.file), color));
    }
    Ok(loaded.fleet)
}

/// The settings, or those that a server has without any.
fn config(settings: Option<Config>, server: Server, paths: Paths) -> Config {
    let mut config = settings.unwrap_or_else(|| Config {
        server: server.clone(),
        repo: Repo {
            url: String::new(),
            branch: String::new(),
            key: None,
            known_hosts: None,
            user: String::new(),
            token_file: None,
            ca: None,
        },
        signers: None,
        release: None,
        smtp: None,
        proxmox: None,
        paths,
        commands: Commands::default(),
        reset: Reset::default(),
    });
    config.server = server;
    config
}
