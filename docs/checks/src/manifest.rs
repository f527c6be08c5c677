//! What a manifest says about the crates it uses: every dependency has a comment
//! above it that says why, and its version comes from the workspace.

use crate::Defects;

/// Checks the dependency lines of one `Cargo.toml`. `[workspace.dependencies]`
/// is only the list of versions: the reasons stand with those who have them.
#[must_use]
pub fn check(name: &str, manifest: &str) -> Defects {
    let in_workspace = !manifest.lines().any(|line| line == "[workspace]");
    let mut defects = Defects::new();
    let mut inside = false;
    let mut above = "";
    for (index, line) in manifest.lines().enumerate() {
        let explained = above.starts_with('#');
        above = line;
        if let Some(section) = line.strip_prefix('[') {
            inside = section.ends_with("dependencies]") && section != "workspace.dependencies]";
            if section.contains("dependencies.") {
                defects.push(format!(
                    "{name}:{}: write this dependency as one line of its section",
                    index + 1
                ));
            }
        } else if inside && line.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            if !explained {
                defects.push(format!(
                    "{name}:{}: no comment right above `{line}` that says why it is there",
                    index + 1
                ));
            }
            if in_workspace && !line.contains("workspace = true") {
                defects.push(format!(
                    "{name}:{}: `{line}` must take its version from [workspace.dependencies]",
                    index + 1
                ));
            }
        }
    }
    defects
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[package]
name = \"x\"

[dependencies]
# Why it is there.
one.workspace = true
# Why this one is.
two = { workspace = true, features = [
    \"f\",
] }

[lints]
workspace = true
";

    #[test]
    fn explained_dependencies_pass() {
        assert!(check("m", GOOD).is_empty());
    }

    #[test]
    fn an_unexplained_dependency_is_named() {
        let defects = check("m", &GOOD.replace("# Why this one is.\n", ""));
        assert_eq!(defects.len(), 1);
        assert!(defects[0].starts_with("m:7: no comment right above `two"));
    }

    #[test]
    fn a_version_of_its_own_is_named_except_outside_the_workspace() {
        let own = GOOD.replace("one.workspace = true", "one = \"1\"");
        assert!(check("m", &own)[0].contains("[workspace.dependencies]"));
        assert!(check("m", &format!("[workspace]\n{own}")).is_empty());
    }

    #[test]
    fn a_dependency_as_a_section_is_named() {
        assert_eq!(check("m", "[dependencies.one]\nversion = \"1\"\n").len(), 1);
    }

    #[test]
    fn target_specific_and_development_dependencies_count() {
        for section in [
            "dev-dependencies",
            "build-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            let manifest = format!("[{section}]\none.workspace = true\n");
            assert_eq!(check("m", &manifest).len(), 1, "{section}");
        }
    }
}
