//! The planner's promises over random worlds, judged by an oracle that shares no code with it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod agenda;
mod announced;
mod audit;
mod cases;
mod gates;
mod guard;
mod images;
mod memory;
mod missed;
mod observed;
mod on_site;
mod oracle;
mod properties;
mod rebranded;
mod retention;
mod rollback;
mod rooms;
mod rows;
mod slots;
mod test_classes;
mod timetable;
mod tries;
mod turns;
mod wake;
