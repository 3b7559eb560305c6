//! JSON texts as Python has them.

use std::borrow::Cow;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// The bytes of a text. What may change while they are read is copied.
pub fn text<'a>(given: &'a Bound<'_, PyAny>, what: &str) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().into());
    }
    if let Ok(text) = given.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(text.as_bytes().into()),
            Err(_) => halves(text),
        };
    }
    match PyBuffer::<u8>::get(given) {
        Ok(buffer) => Ok(buffer.to_vec(given.py())?.into()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "{what} is JSON text, a str or bytes of any kind, not {}",
            given.get_type().name()?
        ))),
    }
}

/// A str that holds half a character is no UTF-8. It is read as far as that, and refused as other such texts are.
fn halves<'a>(text: &Bound<'_, PyString>) -> PyResult<Cow<'a, [u8]>> {
    let encoded = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(encoded.cast::<PyBytes>()?.as_bytes().to_vec().into())
}
