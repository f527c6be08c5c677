//! A small crowd, for what it must be: everybody is welcomed, nothing is left of them, and
//! attackers are not in the way. What it measures means nothing here.

use std::process::Command;

#[test]
fn everybody_is_welcomed_and_nothing_is_left() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringcast-benches"))
        .args(["crowd", "--connections", "3000", "--rounds", "1"])
        .output()
        .expect("it can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let table = String::from_utf8_lossy(&output.stdout);
    for who in ["accept()", "door and lanes", "door, attacked"] {
        let row = table.lines().find(|line| line.contains(who));
        assert!(
            row.is_some_and(|row| row.contains("taken")),
            "{who}: {table}"
        );
    }
    // One end of each was in the server's lanes, and no descriptor is left.
    let descriptors = table.lines().find(|line| line.contains("descriptors"));
    let descriptors = descriptors.expect("they are counted");
    assert!(descriptors.contains(" 0.00 left (0.00 … 0.00)"), "{table}");
}
