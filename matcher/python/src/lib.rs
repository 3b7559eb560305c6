//! The Python module `busway_matcher`: types and errors only; everything it knows is in `busway-matching`.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use busway_matching::{InvalidEvent as Wrong, InvalidPattern as WrongPattern, Matcher as Rules, Scratch};
use pyo3::create_exception;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

create_exception!(busway_matcher, InvalidPattern, PyValueError, "An event pattern that does not compile.");
create_exception!(
    busway_matcher,
    InvalidEvent,
    PyValueError,
    "Bytes that should be an event but are not a JSON object."
);

/// Ours: a shorter event is matched sooner than the GIL is given away and had again. With threads that take it from each
/// other after every event, two matched fewer events than one.
const RELEASE_BYTES_MIN: usize = 4_096;

/// The bytes of a JSON text that may come as bytes or as str.
fn text<'a>(given: &'a Bound<'_, PyAny>, what: &str) -> PyResult<&'a [u8]> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(bytes.as_bytes());
    }
    match given.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.as_bytes()),
        Err(_) => {
            Err(PyTypeError::new_err(format!("{what} is JSON text, bytes or str, not {}", given.get_type().name()?)))
        }
    }
}

/// Many event patterns, asked at once. Safe for use by several threads; matching an event of 4 KiB or more lets other
/// Python threads run.
#[pyclass(module = "busway_matcher", frozen)]
#[derive(Default)]
struct Matcher {
    known: RwLock<Known>,
    /// Room that a match has left; who finds it taken makes some of its own.
    scratch: Mutex<Scratch>,
}

/// The patterns, and their ids by the number of the rule, so that a match makes no new texts.
#[derive(Default)]
struct Known {
    rules: Rules,
    ids: Vec<Option<Py<PyString>>>,
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
        // Not what was given: of a class of the caller's own it could lead back here, and never be freed.
        let id = PyString::new(py, name).unbind();
        // Without the GIL: whoever holds the lock may be waiting for it. The id that was there is dropped with it.
        let before = py.detach(|| self.write().add(name, id, pattern));
        before.map(drop).map_err(|wrong| InvalidPattern::new_err(wrong.to_string()))
    }

    /// Forget an id; an unknown one changes nothing.
    fn remove(&self, py: Python<'_>, id: &str) {
        drop(py.detach(|| self.write().remove(id)));
    }

    /// The ids whose pattern matches, each once, in no promised order. Raises InvalidEvent.
    #[pyo3(name = "match")]
    fn find<'py>(&self, py: Python<'py>, event: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyString>>> {
        let event = text(event, "an event")?;
        let at_once = if event.len() < RELEASE_BYTES_MIN { self.known.try_read().ok() } else { None };
        let found = match at_once {
            Some(known) => self.with_found(&known, event, |rules| known.ids_of(py, rules)),
            None => {
                // Nothing of Python's is touched, and no lock kept, until the GIL is there again.
                let names = py.detach(|| {
                    let known = self.read();
                    self.with_found(&known, event, |rules| known.names_of(rules))
                });
                names.map(|names| names.iter().map(|name| PyString::new(py, name)).collect())
            }
        };
        found.map_err(|wrong| InvalidEvent::new_err(wrong.to_string()))
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        match self.known.try_read() {
            Ok(known) => known.rules.len(),
            Err(_) => py.detach(|| self.read().rules.len()),
        }
    }

    /// Bytes that the patterns take, about; room for those that were removed is kept for others.
    fn memory_bytes(&self, py: Python<'_>) -> usize {
        py.detach(|| {
            let known = self.read();
            known.rules.bytes() + known.ids.capacity() * size_of::<Option<Py<PyString>>>()
        })
    }
}

impl Matcher {
    /// Only without the GIL: a reader waits behind a writer that waits, which may be as long as another's match takes.
    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_found<T>(&self, known: &Known, event: &[u8], then: impl FnOnce(&[u32]) -> T) -> Result<T, Wrong> {
        let find = |scratch: &mut Scratch| known.rules.find(event, scratch).map(then);
        match self.scratch.try_lock() {
            Ok(mut scratch) => find(&mut scratch),
            Err(_) => find(&mut Scratch::default()),
        }
    }
}

impl Known {
    /// Gives the id that is dropped for this one.
    fn add(&mut self, name: &str, id: Py<PyString>, pattern: &[u8]) -> Result<Option<Py<PyString>>, WrongPattern> {
        let rule = self.rules.add(name, pattern)? as usize;
        if self.ids.len() <= rule {
            self.ids.resize_with(rule + 1, || None);
        }
        Ok(self.ids[rule].replace(id))
    }

    fn remove(&mut self, name: &str) -> Option<Py<PyString>> {
        let rule = self.rules.remove(name)?;
        self.ids.get_mut(rule as usize)?.take()
    }

    fn ids_of<'py>(&self, py: Python<'py>, rules: &[u32]) -> Vec<Bound<'py, PyString>> {
        let id_of = |&rule: &u32| self.ids.get(rule as usize)?.as_ref();
        rules.iter().filter_map(id_of).map(|id| id.bind(py).clone()).collect()
    }

    fn names_of(&self, rules: &[u32]) -> Vec<Arc<str>> {
        rules.iter().filter_map(|&rule| self.rules.id(rule)).cloned().collect()
    }
}

#[pymodule]
fn busway_matcher(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("InvalidPattern", module.py().get_type::<InvalidPattern>())?;
    module.add("InvalidEvent", module.py().get_type::<InvalidEvent>())?;
    module.add_class::<Matcher>()
}
