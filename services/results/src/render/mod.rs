//! Renderings of a run: a table for terminals, JSON lines for programs, a Markdown report for people who were not there.

mod caveats;
pub mod jsonl;
mod layout;
pub mod markdown;
pub mod table;
pub mod tail;

pub use jsonl::json_line;
pub use markdown::capture_report;
pub use table::{TableOptions, render_table, verdict_line};
pub use tail::tail_line;
