//! Where results go: data to standard output, messages to standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use super::{Exit, Format, When};
use crate::report::style::Color;

/// How and where results are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) color: Color,
    stderr: Color,
}

impl Output {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line is what reads the environment"
    )]
    pub(super) fn new(format: Format, when: When) -> Self {
        let wanted = |is_terminal: bool| {
            let on = match when {
                When::Always => true,
                When::Never => false,
                When::Auto => {
                    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                }
            };
            if on { Color::On } else { Color::Off }
        };
        Self {
            format,
            color: wanted(io::stdout().is_terminal()),
            stderr: wanted(io::stderr().is_terminal()),
        }
    }

    pub(super) const fn color_on_stderr(self) -> Color {
        self.stderr
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> anyhow::Result<Exit> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            // Whoever read the output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Converged),
            written => written
                .context("cannot write to standard output")
                .map(|()| Exit::Converged),
        }
    }

    pub(super) fn text(self, text: &str) -> anyhow::Result<()> {
        self.bytes(text.as_bytes()).map(|_| ())
    }

    pub(super) fn json(self, document: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(document).context("cannot write JSON")?;
        text.push('\n');
        self.text(&text)
    }

    pub(super) fn error(self, error: &anyhow::Error) {
        let head = match self.stderr {
            Color::On => "\u{1b}[1;31merror\u{1b}[0m",
            Color::Off => "error",
        };
        self.line(&format!("{head}: {error:#}"));
    }

    /// A line for people who watch; nobody is left to be told when it cannot be written.
    pub(super) fn line(self, line: &str) {
        writeln!(io::stderr().lock(), "{line}").ok();
    }
}
