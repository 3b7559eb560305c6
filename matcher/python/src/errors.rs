//! What Python is told is wrong, in words and as attributes.

use busway_matching::{InvalidEvent as WrongEvent, InvalidPattern as WrongPattern};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

create_exception!(
    busway_matcher,
    InvalidPattern,
    PyValueError,
    "An event pattern that does not compile: `reason`, and either `path` or `position`."
);
create_exception!(
    busway_matcher,
    InvalidEvent,
    PyValueError,
    "A text that should be an event but is not a JSON object: `reason` and `position`."
);

pub fn invalid_pattern(py: Python<'_>, wrong: WrongPattern) -> PyErr {
    let error = InvalidPattern::new_err(wrong.to_string());
    let value = error.value(py);
    let told = value
        .setattr("reason", wrong.reason)
        .and_then(|()| value.setattr("path", wrong.path))
        .and_then(|()| value.setattr("position", wrong.at));
    told.err().unwrap_or(error)
}

pub fn invalid_event(py: Python<'_>, wrong: &WrongEvent) -> PyErr {
    let error = InvalidEvent::new_err(wrong.to_string());
    let value = error.value(py);
    let told = value.setattr("reason", wrong.reason).and_then(|()| value.setattr("position", wrong.at));
    told.err().unwrap_or(error)
}
