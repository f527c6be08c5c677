//! What the referee has to say of clients that went through its recorder.

use ringcast_referee::recorder::Recorder;
use ringcast_referee::{Private, Referee, Rule, Scope, occasions};
use std::time::Duration;

/// How long the engine may take for an answer, on a machine that has other things to do.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// The longest that a session outlives its connection by default.
const SESSION_EXPIRY_SECONDS_MAX: u32 = 86_400;

/// The engine broke no rule, and these had their occasion. The feed publishes to
/// `own_topics`, where nobody is seen to do so.
pub(crate) fn assert_lawful(recorder: Recorder, own_topics: &[&str], tried: &[Rule]) {
    assert_lawful_under(&[], recorder, own_topics, tried);
}

/// The same where settings may shorten the lives of sessions.
pub(crate) fn assert_lawful_under(
    settings: &[&str],
    recorder: Recorder,
    own_topics: &[&str],
    tried: &[Rule],
) {
    let expiry = |setting: &&str| {
        setting
            .strip_prefix("limits.session_expiry_seconds_max=")?
            .parse()
            .ok()
    };
    let kept = settings.iter().find_map(expiry);
    let events = recorder.stop().expect("the recording");
    let scope = Scope {
        own_topics: ["$SYS/#"]
            .iter()
            .chain(own_topics)
            .map(|&topic| topic.to_owned())
            .collect(),
        answer_nanos: Some(u64::try_from(ANSWER.as_nanos()).expect("it is short")),
        private: Some(Private {
            prefix: "user/".to_owned(),
            everything: Vec::new(),
        }),
        sessions_kept_secs: kept.or(Some(SESSION_EXPIRY_SECONDS_MAX)),
        ..Scope::whole()
    };
    let report = Referee::judge(scope, &events);
    if let Some(folder) = occasions::folder() {
        occasions::keep(&report, &folder).expect("occasions are kept");
    }
    assert!(report.violations().is_empty(), "{report}");
    assert_eq!(report.without_occasion(tried), [], "{report}");
}
