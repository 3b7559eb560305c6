//! Which of many event patterns an event matches, in one pass over its bytes.
//!
//! ```
//! use busway_matching::{Matcher, Scratch};
//!
//! let mut matcher = Matcher::default();
//! matcher.add("big", br#"{"detail":{"total":[{"numeric":[">",100]}]}}"#)?;
//! let mut scratch = Scratch::default();
//! let rules = matcher.find(br#"{"detail":{"total":150}}"#, &mut scratch)?;
//! assert_eq!(matcher.id(rules[0]).map(|id| &**id), Some("big"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod arrays;
mod blocks;
mod complexity;
mod condition;
mod decimal;
mod element_search;
mod event;
mod field_index;
mod field_set;
mod finding;
mod fold;
mod found;
mod hash;
mod index;
mod intervals;
mod lexer;
mod matcher;
mod names;
mod number;
mod operators;
mod pattern;
mod postings;
mod radix;
mod scopes;
mod scratch;
mod scratches;
#[cfg(test)]
mod seeded;
mod slab;
mod spots;
mod texts;
mod tree;
mod wildcard;

pub use event::InvalidEvent;
pub use matcher::Matcher;
pub use pattern::{InvalidPattern, Pattern};
pub use scratch::Scratch;
pub use scratches::Scratches;
