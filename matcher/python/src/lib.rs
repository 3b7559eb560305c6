//! The Python module `busway_matcher`: types and errors only; everything it knows is in `busway-matching`.

mod errors;
mod known;
mod matcher;
mod text;

use pyo3::prelude::*;

#[pymodule]
fn busway_matcher(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("InvalidPattern", module.py().get_type::<errors::InvalidPattern>())?;
    module.add("InvalidEvent", module.py().get_type::<errors::InvalidEvent>())?;
    module.add_class::<matcher::Matcher>()
}
