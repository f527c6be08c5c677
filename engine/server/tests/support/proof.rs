//! What the referee has to say of clients that went through its recorder.

use super::PATIENCE;
use ringcast_referee::recorder::Recorder;
use ringcast_referee::{Referee, Rule, Scope, occasions};

/// The engine broke no rule, and these had their occasion. The feed publishes to
/// `own_topics`, where nobody is seen to do so.
pub(crate) fn assert_lawful(recorder: Recorder, own_topics: &[&str], tried: &[Rule]) {
    let events = recorder.stop().expect("the recording");
    let scope = Scope {
        own_topics: own_topics.iter().map(|&topic| topic.to_owned()).collect(),
        answer_nanos: Some(u64::try_from(PATIENCE.as_nanos()).expect("a minute")),
        ..Scope::whole()
    };
    let report = Referee::judge(scope, &events);
    if let Some(folder) = occasions::folder() {
        occasions::keep(&report, &folder).expect("occasions are kept");
    }
    assert!(report.violations().is_empty(), "{report}");
    assert_eq!(report.without_occasion(tried), [], "{report}");
}
