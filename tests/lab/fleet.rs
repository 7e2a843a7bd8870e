//! A lab with a fleet that works: an example's state repo with the lab's addresses and real digests, and
//! short ways to ask a server how it stands.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use harness::lab::{
    ConfigFacts, Content, Lab, Output, Pace, Release, Room, Server, ServerPaths, server_config,
};
use serde_json::Value;

/// The school of most tests.
pub(crate) const NORD: &str = "bs-nord";

/// A lab that follows one of the examples.
pub(crate) struct Fleet {
    /// The lab.
    pub(crate) lab: Lab,
}

/// What one run printed.
pub(crate) struct Run {
    /// Its exit code.
    pub(crate) exit: i32,
    /// Standard output as JSON.
    pub(crate) json: Value,
    /// Both outputs as text, for a test that fails.
    pub(crate) said: String,
}

/// A small image: 2 MiB of base, and a diff of 2 MiB.
pub(crate) fn image() -> Content {
    Content::base(1).base_size(2).with_diff(1)
}

impl Fleet {
    /// A school with these rooms, which are to be in `examples/small`, or are made with `mon, wed 18:00`.
    /// Its image 2026.10.1 is `content`, published and not there yet; no class file is written yet.
    pub(crate) fn small(rooms: impl IntoIterator<Item = Room>, content: &Content) -> Result<Self> {
        let fleet = Self::of("small", [(NORD, rooms.into_iter().collect())])?;
        // Waves of a day each have tests of their own.
        fleet.edit("fleet.yaml", |text| {
            format!("{text}defaults:\n  rollout: at_once\n  guard: {{ reimage_at_most: 100 % }}\n")
        })?;
        fleet.release("2026.10.1", content)?;
        fleet.commit("the first release", |_| Ok(()))?;
        Ok(fleet)
    }

    /// The fleet of an example with these schools.
    pub(crate) fn of<const N: usize>(
        example: &str,
        schools: [(&str, Vec<Room>); N],
    ) -> Result<Self> {
        let seed = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples")
            .join(example);
        // linbo-remote ends its session so long after it has sent a halt, whatever became of that.
        let pace = Pace {
            background_ms: 4000,
            ..Pace::default()
        };
        let mut builder = Lab::builder()
            .state_repo(seed)
            .pace(pace)
            .at("2026-11-23 12:00:00");
        for (school, rooms) in schools {
            builder = builder.school(school, rooms);
        }
        let fleet = Self {
            lab: builder.build()?,
        };
        let address = fleet.lab.central().rsync.address.to_string();
        fleet.edit("fleet.yaml", |text| {
            text.replace("images.musterstadt.example", &address)
        })?;
        for server in fleet.lab.servers() {
            for entry in fs::read_dir(server.paths.linbo())? {
                let path = entry?.path();
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                // What an administrator wrote is nobody else's; these classes are to be the reconciler's.
                if name.starts_with("start.conf.") {
                    fs::remove_file(path)?;
                }
            }
        }
        Ok(fleet)
    }

    /// Changes a file of the state repo's work clone, which has to become another.
    pub(crate) fn edit(&self, file: &str, edit: impl FnOnce(&str) -> String) -> Result<()> {
        let path = self.lab.repo().work().join(file);
        let before = fs::read_to_string(&path).with_context(|| file.to_owned())?;
        let after = edit(&before);
        ensure!(before != after, "{file} was not changed:\n{before}");
        fs::write(path, after)?;
        Ok(())
    }

    /// Commits what was edited, and `edit`, and pushes.
    pub(crate) fn commit(
        &self,
        message: &str,
        edit: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<String> {
        edit(self)?;
        self.lab.repo().commit(|_| Ok(()), message)
    }

    /// Publishes a version of `ubuntu` and writes it into the image's document, uncommitted.
    pub(crate) fn release(&self, version: &str, content: &Content) -> Result<Release> {
        let release = self.lab.central().publish("ubuntu", version, content)?;
        let mib = release.size.div_ceil(1 << 20);
        let line = format!(
            "  {version}: {{ manifest: \"sha256:{}\", size: {mib} MiB }}\n",
            release.manifest_sha256
        );
        self.edit("images/ubuntu.yaml", |text| {
            let begin = format!("  {version}:");
            let others = text.lines().filter(|old| !old.starts_with(&begin));
            let mut others: String = others.map(|old| format!("{old}\n")).collect();
            let at = others
                .find("versions:\n")
                .map_or(0, |at| at + "versions:\n".len());
            others.insert_str(at, &line);
            others
        })?;
        Ok(release)
    }

    /// The server of the school.
    pub(crate) fn nord(&self) -> Server {
        self.lab.server(NORD)
    }

    /// Writes the settings of all servers with these `reset` settings.
    pub(crate) fn settings(&self, reset: &str) -> Result<()> {
        self.lab
            .write_configs(|paths: &ServerPaths, facts: &ConfigFacts<'_>| {
                let text = server_config(paths, facts);
                text.replace("boot_timeout: 6 s, command_timeout: 20 s", reset)
            })
    }

    /// The school as it stands after its first night: class files and image in place, no host reset yet.
    pub(crate) fn settle(&self) -> Result<()> {
        let run = pass(&self.nord(), "2026-11-23 22:05:00")?;
        ensure!(run.exit == 0, "{}", run.said);
        Ok(())
    }

    /// The texts of the mails so far, decoded: subject, and body with its evidence.
    pub(crate) fn mails(&self) -> Result<Vec<(String, String)>> {
        let parse = |mail: String| {
            let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes())?;
            Some((
                parsed.subject()?.to_owned(),
                parsed.body_text(0)?.into_owned(),
            ))
        };
        let mails = self.lab.smtp().mails()?.into_iter();
        mails
            .map(|mail| parse(mail.clone()).with_context(|| mail))
            .collect()
    }
}

/// One pass at `at`.
pub(crate) fn pass(server: &Server, at: &str) -> Result<Run> {
    ask(server, &[], at)
}

/// What a dry run at `at` plans.
pub(crate) fn dry_run(server: &Server, at: &str) -> Result<Run> {
    ask(server, &["--dry-run"], at)
}

/// Any run with JSON as its output.
pub(crate) fn ask(server: &Server, arguments: &[&str], at: &str) -> Result<Run> {
    let arguments: Vec<_> = arguments
        .iter()
        .copied()
        .chain(["--output", "json"])
        .collect();
    read(server.run(&arguments, at)?)
}

/// What a run with JSON as its output printed.
pub(crate) fn read(output: Output) -> Result<Run> {
    let said = format!(
        "exit {}\n{}\n{}",
        output.status, output.stderr, output.stdout
    );
    let json = serde_json::from_str(&output.stdout).with_context(|| said.clone())?;
    Ok(Run {
        exit: output.status,
        json,
        said,
    })
}

impl Run {
    /// Everything in a list of the document as one text.
    pub(crate) fn text(&self, list: &str) -> String {
        let items = self.json[list].as_array().into_iter().flatten();
        let lines = items.flat_map(|item| {
            let details = item["details"].as_array().into_iter().flatten();
            std::iter::once(&item["title"])
                .chain(details)
                .filter_map(Value::as_str)
                .map(|line| format!("{line}\n"))
        });
        lines.collect()
    }
}

/// One pass of the history.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What was done and how it ended, by the step's identity: `done`, `paused`, `failed: <why>`, `cut off`.
    pub(crate) steps: Vec<(String, String)>,
    /// What became of each host: `applied`, `failed: <why>` and so on.
    pub(crate) hosts: BTreeMap<String, String>,
}

/// What `reconcile history` knows, oldest first.
pub(crate) fn history(server: &Server, at: &str) -> Result<Vec<Past>> {
    let run = ask(server, &["history", "--all", "--limit", "100"], at)?;
    ensure!(run.exit == 0, "{}", run.said);
    let passes = run.json["passes"]
        .as_array()
        .with_context(|| run.said.clone())?;
    let past = |pass: &Value| Past {
        steps: pass["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|step| (word(&step["id"]), ending(&step["result"])))
            .collect(),
        hosts: pass["hosts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|host| (word(&host[0]), ending(&host[1])))
            .collect(),
    };
    Ok(passes.iter().map(past).collect())
}

/// The last pass of the history.
pub(crate) fn last(server: &Server, at: &str) -> Result<Past> {
    Ok(history(server, at)?.pop().unwrap_or_default())
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A result or an outcome in one line.
fn ending(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return value.as_str().unwrap_or("cut off").to_owned();
    };
    let Some((kind, about)) = object.iter().next() else {
        return String::new();
    };
    match about["why"].as_str() {
        Some(why) => format!("{kind}: {why}"),
        None => kind.clone(),
    }
}
