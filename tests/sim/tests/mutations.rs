//! The list of deliberate bugs fits the sources.

use std::{fs, path::Path};

use ringmail_sim::mutations::list;

#[test]
fn every_mutation_fits_the_sources_and_changes_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let list = list();
    assert!(list.len() > 30, "{} mutations", list.len());
    let mut faults = Vec::new();
    for mutation in &list {
        let source = fs::read_to_string(root.join(&mutation.file)).unwrap_or_default();
        match mutation.applied(&source) {
            Ok(changed) if changed == source => {
                faults.push(format!("`{}`: no change", mutation.name))
            }
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
