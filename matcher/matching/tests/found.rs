//! What fuzzing has found stays mended; the same files are put to the reference by `tests/unit/pattern/test_found.py`.

#[path = "../../fuzz/holding.rs"]
mod holding;

#[test]
fn what_was_found_stays_mended() -> std::io::Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/unit/pattern/found");
    for case in std::fs::read_dir(folder)? {
        holding::hold(&std::fs::read(case?.path())?);
    }
    Ok(())
}
