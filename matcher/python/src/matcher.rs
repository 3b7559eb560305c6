//! The class `Matcher`: many patterns behind a lock.
//!
//! Nobody waits for the lock with the GIL in hand: a reader waits behind a writer that waits, which may take as long as
//! another thread's match, and the whole interpreter would wait with it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use busway_matching::{InvalidEvent, Pattern, Scratches};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::{invalid_event, invalid_pattern};
use crate::known::Known;
use crate::text::text;

/// Ours: a shorter event is matched sooner than the GIL is given away and had again. With threads that take it from each
/// other after every event, two matched fewer events than one.
const RELEASE_BYTES_MIN: usize = 4_096;

/// Many event patterns, asked at once. Safe for use by several threads; matching an event of 4 KiB or more lets other
/// Python threads run. Without patterns it is false, as other containers are.
#[pyclass(module = "busway_matcher", frozen)]
#[derive(Default)]
pub struct Matcher {
    known: RwLock<Known>,
    scratches: Scratches,
}

#[pymethods]
impl Matcher {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Take a pattern in under `id`, in place of the one it had. Raises InvalidPattern, and then changes nothing.
    fn add(&self, py: Python<'_>, id: &Bound<'_, PyString>, pattern: &Bound<'_, PyAny>) -> PyResult<()> {
        let (name, pattern) = (id.to_str()?, text(pattern, "a pattern")?);
        // Before the lock is taken: the others need not wait for that.
        let pattern = py.detach(|| Pattern::parse(&pattern)).map_err(|wrong| invalid_pattern(py, wrong))?;
        // Not what was given: of a class of the caller's own it could lead back here, and never be freed.
        let id = PyString::new(py, name).unbind();
        // The id that was there is dropped with the GIL.
        drop(py.detach(|| Ok::<_, PyErr>(self.write()?.insert(name, id, pattern)))?);
        Ok(())
    }

    /// Forget an id; an unknown one changes nothing.
    fn remove(&self, py: Python<'_>, id: &Bound<'_, PyString>) -> PyResult<()> {
        if let Ok(name) = id.to_str() {
            drop(py.detach(|| Ok::<_, PyErr>(self.write()?.remove(name)))?);
        }
        Ok(())
    }

    /// The ids whose pattern matches, each once, in no promised order. Raises InvalidEvent.
    #[pyo3(name = "match")]
    fn find<'py>(&self, py: Python<'py>, event: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyString>>> {
        let event = &*text(event, "an event")?;
        let at_once = if event.len() < RELEASE_BYTES_MIN { self.known.try_read().ok() } else { None };
        let found = match at_once {
            Some(known) => self.with_found(&known, event, |rules| known.ids_of(py, rules)),
            None => {
                // Nothing of Python's is touched, and no lock kept, until the GIL is there again.
                let names = py.detach(|| {
                    let known = self.read()?;
                    Ok::<_, PyErr>(self.with_found(&known, event, |rules| known.names_of(rules)))
                })?;
                names.map(|names| names.iter().map(|name| PyString::new(py, name)).collect())
            }
        };
        found.map_err(|wrong| invalid_event(py, &wrong))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.ask(py, |known| known.rules.len())
    }

    /// Whether a pattern is kept under `id`.
    fn __contains__(&self, py: Python<'_>, id: &Bound<'_, PyAny>) -> PyResult<bool> {
        match id.cast::<PyString>().ok().and_then(|id| id.to_str().ok()) {
            Some(name) => self.ask(py, |known| known.rules.contains(name)),
            None => Ok(false),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let count = self.__len__(py)?;
        Ok(format!("<busway_matcher.Matcher of {count} pattern{}>", if count == 1 { "" } else { "s" }))
    }

    /// Bytes that the patterns take, about, and the room that matches have left for those to come. Room for patterns that
    /// were removed is kept for others.
    fn memory_bytes(&self, py: Python<'_>) -> PyResult<usize> {
        py.detach(|| Ok(self.read()?.bytes() + self.scratches.bytes()))
    }
}

impl Matcher {
    /// Only without the GIL, as `write`.
    fn read(&self) -> PyResult<RwLockReadGuard<'_, Known>> {
        self.known.read().map_err(broken)
    }

    fn write(&self) -> PyResult<RwLockWriteGuard<'_, Known>> {
        self.known.write().map_err(broken)
    }

    /// Ask what is answered at once.
    fn ask<T: Send>(&self, py: Python<'_>, question: impl Fn(&Known) -> T + Sync) -> PyResult<T> {
        match self.known.try_read() {
            Ok(known) => Ok(question(&known)),
            Err(_) => py.detach(|| Ok(question(&*self.read()?))),
        }
    }

    fn with_found<T>(&self, known: &Known, event: &[u8], then: impl FnOnce(&[u32]) -> T) -> Result<T, InvalidEvent> {
        self.scratches.lend(|scratch| known.rules.find(event, scratch).map(then))
    }
}

/// A change that panicked is half done, and what it left might miss events without a word.
fn broken<T>(_: PoisonError<T>) -> PyErr {
    PyRuntimeError::new_err("this matcher broke off in the middle of a change; make a new one")
}
