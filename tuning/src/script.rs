//! What would be done, as a shell script that an operator reads before running it. It
//! has the settings of network cards and interrupts too, which `apply` leaves alone.

use crate::apply::{Outcome, changes};
use crate::item::{Fix, Item, Look, Situation, Step};
use std::fmt::Write;

/// The script for these items. It keeps no journal: what was there before stands in
/// its comments.
#[must_use]
pub fn script<'i>(items: impl IntoIterator<Item = &'i Item>, situation: &Situation<'_>) -> String {
    let mut text = String::from(
        "#!/bin/sh\n# Written by ringcast-tune for this host and this target. It keeps no record of what\n# was there before: that stands in its comments.\nset -eu\n",
    );
    for item in items {
        let lines = match item.fix {
            Fix::Apply => match changes(item, situation) {
                Ok(changes) => changes
                    .iter()
                    .map(|change| {
                        let (was, path) = (change.from.trim(), &change.path);
                        match &change.to {
                            Some(to) => {
                                format!("# was: {was}\nprintf '%s\\n' '{}' > {path}", to.trim())
                            }
                            None => format!("# goes along: {path}, which was: {was}"),
                        }
                    })
                    .collect(),
                Err(Outcome::Refused(why)) => {
                    vec![format!("# left out: {}", why.replace('\n', " "))]
                }
                Err(_) => continue,
            },
            Fix::Script => match item.look(situation) {
                Look::Seen(seen) if !seen.is_well => {
                    let runs = seen.steps.iter().filter_map(|step| match step {
                        Step::Run(line) => Some(line.clone()),
                        _ => None,
                    });
                    [format!("# is: {}\n# wanted: {}", seen.current, seen.wanted)]
                        .into_iter()
                        .chain(runs)
                        .collect()
                }
                _ => continue,
            },
            Fix::Boot | Fix::Unit | Fix::Operator(_) => continue,
        };
        // A string takes whatever is written.
        let _ = write!(
            text,
            "\n# {}: {}\n{}\n",
            item.name,
            item.why,
            lines.join("\n")
        );
    }
    text
}
