//! Tests that need no process and no network: seconds, not minutes.

mod fast {
    mod engine;
    mod planning;
    mod plans;
}
