//! Logs, to standard error. Nothing parses them: the truth is in the journal.

use tracing_subscriber::filter::EnvFilter;

use super::LogFormat;
use crate::report::style::Color;

pub(super) fn start(format: LogFormat, verbose: u8, color: Color) {
    let level = match verbose {
        0 => "warn",
        1 => "reconciler=info,warn",
        _ => "reconciler=debug,info",
    };
    let filter = EnvFilter::new(level);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(color == Color::On);
    // A second subscriber in one process is a test's, and the first one stays.
    let started = match format {
        LogFormat::Text => builder.compact().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.ok();
}
