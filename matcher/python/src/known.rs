//! The patterns with what Python calls them.

use std::sync::Arc;

use busway_matching::{Matcher, Pattern};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The patterns, and their ids by the number of the rule, so that a match makes no new texts.
#[derive(Default)]
pub struct Known {
    pub rules: Matcher,
    ids: Vec<Option<Py<PyString>>>,
}

impl Known {
    /// Gives the id that is dropped for this one.
    pub fn insert(&mut self, name: &str, id: Py<PyString>, pattern: Pattern) -> Option<Py<PyString>> {
        let rule = self.rules.insert(name, pattern) as usize;
        if self.ids.len() <= rule {
            self.ids.resize_with(rule + 1, || None);
        }
        self.ids[rule].replace(id)
    }

    pub fn remove(&mut self, name: &str) -> Option<Py<PyString>> {
        let rule = self.rules.remove(name)?;
        self.ids.get_mut(rule as usize)?.take()
    }

    pub fn ids_of<'py>(&self, py: Python<'py>, rules: &[u32]) -> Vec<Bound<'py, PyString>> {
        let id_of = |&rule: &u32| self.ids.get(rule as usize)?.as_ref();
        rules.iter().filter_map(id_of).map(|id| id.bind(py).clone()).collect()
    }

    /// As `ids_of`, for who has no GIL.
    pub fn names_of(&self, rules: &[u32]) -> Vec<Arc<str>> {
        rules.iter().filter_map(|&rule| self.rules.id(rule)).cloned().collect()
    }

    pub fn bytes(&self) -> usize {
        self.rules.bytes() + self.ids.capacity() * size_of::<Option<Py<PyString>>>()
    }
}
