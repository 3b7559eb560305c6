//! The Python module `busway_matcher`: types and errors only; everything it knows is in `busway-matching`.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use busway_matching::{Matcher as Rules, Scratch};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

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

/// A text that may come as str or as bytes.
#[derive(FromPyObject)]
enum Text {
    Str(String),
    Bytes(Vec<u8>),
}

/// Many event patterns, asked at once. Safe for use by several threads; matching an event of 4 KiB or more lets other
/// Python threads run.
#[pyclass(module = "busway_matcher", frozen)]
#[derive(Default)]
struct Matcher {
    rules: RwLock<Rules>,
    /// Room that finished matches have left; as many as ever matched at the same time.
    scratch: Mutex<Vec<Scratch>>,
}

#[pymethods]
impl Matcher {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Take a pattern in under `id`, in place of the one it had. Raises InvalidPattern, and then changes nothing.
    fn add(&self, py: Python<'_>, id: &str, pattern: Text) -> PyResult<()> {
        let pattern = match pattern {
            Text::Str(text) => text.into_bytes(),
            Text::Bytes(bytes) => bytes,
        };
        // Without the GIL: whoever holds the lock may be waiting for it.
        py.detach(|| self.rules.write().unwrap_or_else(PoisonError::into_inner).add(id, &pattern))
            .map_err(|wrong| InvalidPattern::new_err(wrong.to_string()))
    }

    /// Forget an id; an unknown one changes nothing.
    fn remove(&self, py: Python<'_>, id: &str) {
        py.detach(|| self.rules.write().unwrap_or_else(PoisonError::into_inner).remove(id));
    }

    /// The ids whose pattern matches, each once, in no promised order. Raises InvalidEvent.
    #[pyo3(name = "match")]
    fn find<'py>(&self, py: Python<'py>, event: &[u8]) -> PyResult<Vec<Bound<'py, PyString>>> {
        let found =
            if event.len() < RELEASE_BYTES_MIN { self.ids_for(event) } else { py.detach(|| self.ids_for(event)) };
        let ids = found.map_err(|wrong| InvalidEvent::new_err(wrong.to_string()))?;
        Ok(ids.iter().map(|id| PyString::new(py, id)).collect())
    }

    fn __len__(&self) -> usize {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Bytes that the patterns take, about.
    fn memory_bytes(&self) -> usize {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).bytes()
    }
}

impl Matcher {
    fn ids_for(&self, event: &[u8]) -> Result<Vec<Arc<str>>, busway_matching::InvalidEvent> {
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = pool().pop().unwrap_or_default();
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let found = rules.find(event, &mut scratch);
        let ids = found.map(|found| found.iter().filter_map(|&rule| rules.id(rule)).cloned().collect());
        drop(rules);
        pool().push(scratch);
        ids
    }
}

#[pymodule]
fn busway_matcher(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("InvalidPattern", module.py().get_type::<InvalidPattern>())?;
    module.add("InvalidEvent", module.py().get_type::<InvalidEvent>())?;
    module.add_class::<Matcher>()
}
