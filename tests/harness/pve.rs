//! A Proxmox VE on loopback: the real schema and wording of its API, machines without anything in them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Two nodes. Machine 2001 on the second one is off and carries the tag; machine 100 on the first one is a server that
/// runs and carries none. It ends with its value.
#[derive(Debug)]
pub struct Pve {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: TempDir,
    /// Where the API is.
    pub url: String,
    /// The certificate that it is to be judged by.
    pub ca: PathBuf,
    /// The fingerprint of its certificate, as Proxmox shows it.
    pub fingerprint: String,
    /// The token, in a file that only its owner reads.
    pub token_file: PathBuf,
}

impl Pve {
    /// Starts one whose tasks take so many real seconds for one of theirs.
    ///
    /// # Errors
    ///
    /// When it does not start; it is installed by `make packages`.
    pub fn start(time_scale: f64) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = root.join("../target/pve");
        ensure!(
            installed.is_dir(),
            "{} is not there: run `make packages`",
            installed.display()
        );
        let folder = tempfile::tempdir()?;
        let mut process = Command::new("python3")
            .arg(root.join("harness/pve/serve.py"))
            .arg(folder.path())
            .arg(time_scale.to_string())
            .env("PYTHONPATH", &installed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3")?;
        let input = process.stdin.take().context("its input")?;
        let mut output = BufReader::new(process.stdout.take().context("its output")?);
        let begun = line(&mut output)?;
        let text = |key: &str| begun[key].as_str().context("a text").map(str::to_owned);
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, text("token")? + "\n")?;
        let der = text("der")?;
        let bytes = der.as_bytes().chunks(2);
        let bytes = bytes.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
        let digest = Sha256::digest(bytes.collect::<Result<Vec<u8>>>()?);
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Self {
            url: format!("https://127.0.0.1:{}", begun["port"]),
            ca: text("ca")?.into(),
            fingerprint: pairs.join(":"),
            token_file,
            process,
            input,
            output,
            folder,
        })
    }

    /// Calls a method of the model, as in `fail`.
    ///
    /// # Errors
    ///
    /// When there is no such method, or it refuses.
    pub fn call(&mut self, method: &str, arguments: &Value) -> Result<()> {
        self.tell(&json!({ "call": method, "args": arguments }))?;
        Ok(())
    }

    /// Changes what a machine is, and says whether it runs.
    ///
    /// # Errors
    ///
    /// When there is no such machine.
    pub fn set(&mut self, vm: u32, values: &Value) -> Result<String> {
        let status = self.tell(&json!({ "vm": vm, "set": values }))?;
        Ok(status.as_str().unwrap_or_default().to_owned())
    }

    /// What was asked since the last time: method and path.
    ///
    /// # Errors
    ///
    /// When something was asked with parameters that the API does not know.
    pub fn asked(&mut self) -> Result<Vec<String>> {
        let found = self.tell(&json!({ "requests": true }))?;
        ensure!(found["strange"] == json!([]), "{}", found["strange"]);
        let asked = found["asked"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(asked
            .iter()
            .map(|pair| format!("{} {}", text(&pair[0]), text(&pair[1])))
            .collect())
    }

    /// A folder that lives as long.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn tell(&mut self, order: &Value) -> Result<Value> {
        writeln!(self.input, "{order}")?;
        self.input.flush()?;
        let answer = line(&mut self.output)?;
        if let Some(error) = answer.get("error") {
            bail!("{order}: {error}");
        }
        Ok(answer["said"].clone())
    }
}

impl Drop for Pve {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> Result<Value> {
    let mut text = String::new();
    output.read_line(&mut text)?;
    ensure!(!text.is_empty(), "it has ended");
    Ok(serde_json::from_str(&text)?)
}
