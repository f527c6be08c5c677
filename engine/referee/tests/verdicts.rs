//! For each rule a trace that breaks it, and its twin, which differs in that one thing
//! and breaks nothing.

mod support;

use ringcast_referee::{Private, Rule, What};
use support::*;

/// A case is a script with a switch. `true`: the server does what the rule forbids.
macro_rules! cases {
    ($($name:ident: $rule:ident, $script:expr;)*) => {
        $(#[test] fn $name() { check(Rule::$rule, $script); })*

        #[test]
        fn every_rule_has_a_case() {
            let cases = [$(Rule::$rule),*];
            for rule in Rule::ALL {
                assert!(cases.contains(rule), "{rule}");
            }
        }
    };
}

fn check(rule: Rule, script: fn(&mut Script, bool)) {
    let mut good = Script::new();
    script(&mut good, false);
    let report = good.judge();
    assert!(report.violations().is_empty(), "the good twin: {report}");
    assert!(
        report.occasions(rule) > 0,
        "the good twin gives no occasion"
    );
    let mut bad = Script::new();
    script(&mut bad, true);
    let report = bad.judge();
    let convicted: Vec<_> = report.violations().iter().map(|found| found.rule).collect();
    assert!(!convicted.is_empty(), "nobody was convicted");
    assert!(
        convicted.iter().all(|found| *found == rule),
        "others are convicted: {report}"
    );
}

const ANSWER: Option<u64> = Some(5 * SECOND);

cases! {
    form_flags: Form, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, pingreq());
        s.server(1, packet(if bad { 0xd1 } else { 0xd0 }, &[]));
    };
    form_length: Form, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, pingreq());
        s.server(1, if bad { vec![0xd0, 0x80, 0] } else { pingresp() });
    };
    form_type: Form, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, pingreq());
        s.server(1, if bad { pingreq() } else { pingresp() });
    };
    mqtt5_only_disconnect: Mqtt5Only, |s, bad| {
        s.join(1, &v4("a"));
        if bad { s.server(1, disconnect(0)); }
        s.event(1, What::ClosedByServer);
    };
    mqtt5_only_reason: Mqtt5Only, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, message(4, "t", "x").qos(1, 7));
        s.server(1, if bad { packet(0x40, &[0, 7, 0]) } else { puback(7) });
    };
    reason_code: ReasonCode, |s, bad| {
        s.join(1, &v5("a"));
        s.server(1, disconnect(if bad { 0x04 } else { 0x8b }));
    };
    reason_code_of_mqtt_3_1: ReasonCode, |s, bad| {
        s.join(1, &Connect { version: 3, ..v4("a") });
        s.client(1, subscribe(3, 1, &[("t", 1)], &[]));
        s.server(1, suback(3, 1, &[if bad { 0x80 } else { 0 }]));
    };
    size: Size, |s, bad| {
        s.join(1, &v5("a").with(four(39, 20)));
        s.subscribe(1, 5, 1, "t", 0);
        let payload = vec![b'x'; if bad { 15 } else { 14 }];
        s.client(1, message(5, "t", &payload));
        s.server(1, message(5, "t", &payload));
    };
    connack_first: ConnackFirst, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, [v4("a").bytes(), pingreq()].concat());
        if bad { s.server(1, pingresp()); }
        s.server(1, connack(4, false, 0, &[]));
        if !bad { s.server(1, pingresp()); }
    };
    connack_once: ConnackOnce, |s, bad| {
        s.join(1, &v4("a"));
        if bad { s.server(1, connack(4, false, 0, &[])); }
    };
    silent_after_disconnect: SilentAfterEnd, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, pingreq());
        if bad { s.server(1, disconnect(0x8b)); }
        s.server(1, pingresp());
        if !bad { s.server(1, disconnect(0x8b)); }
    };
    silent_after_refusal: SilentAfterEnd, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, v5("a").bytes());
        s.server(1, connack(5, false, 0x87, &[]));
        if bad { s.server(1, disconnect(0x87)); }
        s.event(1, What::ClosedByServer);
    };
    session_present_after_clean_start: SessionPresent, |s, bad| {
        s.join(1, &v5("a").kept());
        s.close(1);
        s.join_with(2, &v5("a"), bad);
    };
    session_present_of_a_stranger: SessionPresent, |s, bad| {
        s.join_with(1, &v5("a").kept(), bad);
    };
    session_present_after_its_end: SessionPresent, |s, bad| {
        s.join(1, &v4("a"));
        s.close(1);
        s.join_with(2, &v4("a").kept(), bad);
    };
    session_present_after_expiry: SessionPresent, |s, bad| {
        s.join(1, &v5("a").kept());
        s.close(1);
        s.wait(3603);
        s.join_with(2, &v5("a").kept(), bad);
    };
    session_present_after_half_a_close: SessionPresent, |s, bad| {
        s.join(1, &v5("a").kept());
        s.event(1, What::ClosedByClient);
        if bad { s.event(1, What::ClosedByServer); }
        s.wait(3603);
        s.join_with(2, &v5("a").kept(), true);
    };
    session_present_of_one_that_was_never_answered: SessionPresent, |s, bad| {
        s.join(1, &v5("a"));
        s.event(2, What::Opened);
        let kept = v5("a").kept();
        s.client(2, if bad { v5("a").bytes() } else { kept.bytes() });
        s.event(2, What::Reset);
        s.close(1);
        s.wait(3000);
        s.join_with(3, &kept, true);
        // Whatever that was, from here on it is known.
        s.close(3);
        s.join_with(4, &kept, true);
    };
    session_kept: SessionKept, |s, bad| {
        s.join(1, &v5("a").kept());
        s.close(1);
        s.wait(3500);
        s.join_with(2, &v5("a").kept(), !bad);
    };
    session_kept_through_a_takeover: SessionKept, |s, bad| {
        s.join(1, &v4("a").kept());
        s.join_with(2, &v4("a").kept(), !bad);
        s.event(1, What::ClosedByServer);
    };
    assigned_identifier: AssignedIdentifier, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, v5("").bytes());
        let assigned = string(18, "auto-1");
        s.server(1, connack(5, false, 0, if bad { &[] } else { &assigned }));
    };
    assigned_identifier_is_new: AssignedIdentifier, |s, bad| {
        s.join(1, &v5("auto-1"));
        s.event(2, What::Opened);
        s.client(2, v5("").bytes());
        let assigned = string(18, if bad { "auto-1" } else { "auto-2" });
        s.server(2, connack(5, false, 0, &assigned));
        s.event(1, What::ClosedByServer);
    };
    authentication: Authentication, |s, bad| {
        s.event(1, What::Opened);
        let method = string(21, "plain");
        s.client(1, v5("a").bytes());
        s.server(1, connack(5, false, 0, if bad { &method } else { &[] }));
    };
    response_information: ResponseInformation, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, v5("a").with(vec![25, u8::from(!bad)]).bytes());
        s.server(1, connack(5, false, 0, &string(26, "r/")));
    };
    problem_information: ProblemInformation, |s, bad| {
        s.join(1, &v5("a").with(vec![23, u8::from(!bad)]));
        s.client(1, message(5, "t", "x").qos(1, 7));
        let reason = string(31, "no");
        let mut body = vec![0, 7, 0x87, u8::try_from(reason.len()).unwrap()];
        body.extend(reason);
        s.server(1, packet(0x40, &body));
        s.join(2, &v5("b").with(vec![23, 0]));
        s.client(2, message(5, "t", "x").qos(1, 7));
        s.server(2, puback(7));
    };
    blame_for_the_receive_maximum: Blame, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, v5("a").bytes());
        s.server(1, connack(5, false, 0, &two(33, 2)));
        for id in 1..=(if bad { 2 } else { 3 }) {
            s.client(1, message(5, "t", "x").qos(1, id));
        }
        s.server(1, disconnect(0x93));
    };
    blame_for_size: Blame, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, v5("a").bytes());
        s.server(1, connack(5, false, 0, &four(39, 20)));
        s.client(1, message(5, "t", vec![b'x'; if bad { 14 } else { 15 }]));
        s.server(1, disconnect(0x95));
    };
    blame_for_silence: Blame, |s, bad| {
        s.join(1, &Connect { keep_alive: 10, ..v5("a") });
        s.wait(if bad { 12 } else { 15 });
        s.server(1, disconnect(0x8d));
    };
    blame_for_an_alias: Blame, |s, bad| {
        s.event(1, What::Opened);
        s.client(1, v5("a").bytes());
        s.server(1, connack(5, false, 0, &two(34, 2)));
        s.client(1, message(5, "t", "x").with(two(35, if bad { 2 } else { 3 })));
        s.server(1, disconnect(0x94));
    };
    keep_alive: KeepAlive, |s, bad| {
        s.join(1, &Connect { keep_alive: 10, ..v4("a") });
        s.wait(if bad { 18 } else { 15 });
        s.event(1, What::ClosedByServer);
    };
    takeover_goes_on: Takeover, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, pingreq());
        s.join(2, &v4("a"));
        s.wait(if bad { 3 } else { 1 });
        s.server(1, pingresp());
        s.event(1, What::ClosedByServer);
    };
    takeover_closes: Takeover, |s, bad| {
        s.scope.answer_nanos = ANSWER;
        s.join(1, &v4("a"));
        s.join(2, &v4("a"));
        if !bad { s.event(1, What::ClosedByServer); }
        s.wait(6);
        s.close(2);
    };
    fault_closes: FaultCloses, |s, bad| {
        s.scope.answer_nanos = ANSWER;
        s.join(1, &v4("a"));
        s.client(1, packet(0xc1, &[]));
        if !bad { s.event(1, What::ClosedByServer); }
        s.join(2, &v4("b"));
        s.wait(6);
        s.close(2);
    };
    answered: Answered, |s, bad| {
        s.scope.answer_nanos = ANSWER;
        s.join(1, &v4("a"));
        s.client(1, pingreq());
        if !bad { s.server(1, pingresp()); }
        s.wait(6);
        s.close(1);
    };
    answered_by_pubrel: Answered, |s, bad| {
        s.scope.answer_nanos = ANSWER;
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 2);
        s.client(1, message(4, "t", "x").qos(2, 1));
        s.server(1, pubrec(1));
        s.client(1, pubrel(1));
        s.server(1, pubcomp(1));
        s.server(1, message(4, "t", "x").qos(2, 1));
        s.client(1, pubrec(1));
        if !bad { s.server(1, pubrel(1)); }
        s.wait(6);
        s.close(1);
    };
    ack_asked: AckAsked, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, message(4, "t", "x").qos(1, 7));
        s.server(1, puback(if bad { 8 } else { 7 }));
    };
    ack_asked_of_the_kind: AckAsked, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, message(4, "t", "x").qos(2, 7));
        s.server(1, if bad { puback(7) } else { pubrec(7) });
    };
    ack_asked_once: AckAsked, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, pingreq());
        s.server(1, pingresp());
        if bad { s.server(1, pingresp()); }
    };
    ack_asked_on_this_connection: AckAsked, |s, bad| {
        s.join(1, &v4("a").kept());
        s.client(1, message(4, "t", "x").qos(1, 7));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        if !bad { s.client(2, message(4, "t", "x").qos(1, 7).dup()); }
        s.server(2, puback(7));
    };
    ack_asked_as_often_as_sent: AckAsked, |s, bad| {
        s.join(1, &v4("a").kept());
        s.client(1, message(4, "t", "x").qos(2, 7));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.client(2, message(4, "t", "x").qos(2, 7).dup());
        s.server(2, pubrec(7));
        s.client(2, pubrel(7));
        // What the first connection sent is answered here, too.
        s.server(2, pubrec(7));
        if bad { s.server(2, pubrec(7)); }
    };
    ack_asked_for_pubcomp: AckAsked, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, message(4, "t", "x").qos(2, 7));
        s.server(1, pubrec(7));
        if !bad { s.client(1, pubrel(7)); }
        s.server(1, pubcomp(7));
    };
    ack_order: AckOrder, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, message(5, "t", "x").qos(1, 7));
        s.client(1, message(5, "t", "y").qos(1, 3));
        for id in if bad { [3, 7] } else { [7, 3] } { s.server(1, puback(id)); }
    };
    ack_order_of_pubrel: AckOrder, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 2);
        for id in 1..=2 {
            s.client(1, message(4, "t", [id]).qos(2, id.into()));
        }
        for id in 1..=2 {
            s.server(1, message(4, "t", [id]).qos(2, id.into()));
        }
        for id in 1..=2 { s.client(1, pubrec(id)); }
        for id in if bad { [2, 1] } else { [1, 2] } { s.server(1, pubrel(id)); }
    };
    suback_count: SubackCodes, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, subscribe(5, 1, &[("t", 1), ("u", 1)], &[]));
        s.server(1, suback(5, 1, if bad { &[1] } else { &[1, 1] }));
    };
    suback_grant: SubackCodes, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, subscribe(4, 1, &[("t", 0)], &[]));
        s.server(1, suback(4, 1, &[u8::from(bad)]));
    };
    unsuback_count: SubackCodes, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, unsubscribe(5, 1, "t"));
        s.server(1, unsuback(5, 1, if bad { &[0, 0] } else { &[0x11] }));
    };
    identifier_free: IdentifierFree, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        if !bad { s.client(1, puback(9)); }
        s.server(1, message(4, "t", "y").qos(1, 9));
    };
    identifier_free_until_pubcomp: IdentifierFree, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "z").qos(2, 9));
        s.client(1, pubrec(9));
        s.server(1, pubrel(9));
        if !bad { s.client(1, pubcomp(9)); }
        s.server(1, message(4, "t", "x").qos(1, 9));
    };
    identifier_free_across_connections: IdentifierFree, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.server(2, message(4, "t", "x").qos(1, 9).dup());
        s.server(2, message(4, "t", "y").qos(1, if bad { 9 } else { 10 }));
    };
    dup_set: DupSet, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        let again = message(4, "t", "x").qos(1, 9);
        s.server(2, if bad { again } else { again.dup() });
    };
    dup_only_again: DupOnlyAgain, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.server(2, message(4, "t", "x").qos(1, 9).dup());
        let next = message(4, "t", "y").qos(1, 10);
        s.server(2, if bad { next.dup() } else { next });
    };
    dup_not_after_the_ack_was_handled: DupOnlyAgain, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        s.server(1, message(4, "t", "y").qos(1, 8));
        s.client(1, [puback(9), pingreq()].concat());
        if bad { s.server(1, pingresp()); }
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.server(2, message(4, "t", "x").qos(1, 9).dup());
    };
    resend_live: ResendLive, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        s.server(1, message(4, "t", "y").qos(1, 10));
        if bad { s.server(1, message(4, "t", "x").qos(1, 9).dup()); }
    };
    resend_same: ResendSame, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 9));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.server(2, message(4, "t", if bad { "y" } else { "x" }).qos(1, 9).dup());
    };
    resend_order: ResendOrder, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 10));
        s.server(1, message(4, "t", "y").qos(1, 9));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        let mut again = [("x", 10), ("y", 9)];
        if bad { again.reverse(); }
        for (payload, id) in again {
            s.server(2, message(4, "t", payload).qos(1, id).dup());
        }
    };
    resend_all: ResendAll, |s, bad| {
        s.scope.answer_nanos = ANSWER;
        three_messages(s);
        s.server(1, message(4, "t", "x").qos(1, 10));
        s.server(1, message(4, "t", "y").qos(1, 9));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.server(2, message(4, "t", "x").qos(1, 10).dup());
        if !bad { s.server(2, message(4, "t", "y").qos(1, 9).dup()); }
        s.wait(6);
        s.close(2);
    };
    pubrel_after_pubrec: PubrelAfterPubrec, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "z").qos(2, 9));
        if !bad { s.client(1, pubrec(9)); }
        s.server(1, pubrel(9));
    };
    publish_after_pubrel: PublishAfterPubrel, |s, bad| {
        three_messages(s);
        s.server(1, message(4, "t", "z").qos(2, 9));
        s.client(1, pubrec(9));
        if bad { s.server(1, pubrel(9)); }
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.server(2, message(4, "t", "z").qos(2, 9).dup());
    };
    receive_maximum: ReceiveMaximum, |s, bad| {
        s.join(1, &v5("a").with(two(33, 1)));
        s.subscribe(1, 5, 1, "t", 1);
        for payload in ["x", "y"] { s.client(1, message(5, "t", payload).qos(1, 1)); s.server(1, puback(1)); }
        s.server(1, message(5, "t", "x").qos(1, 1));
        if !bad { s.client(1, puback(1)); }
        s.server(1, message(5, "t", "y").qos(1, 2));
    };
    topic_alias_in_range: TopicAlias, |s, bad| {
        s.join(1, &v5("a").with(two(34, 3)));
        s.subscribe(1, 5, 1, "t", 0);
        s.client(1, message(5, "t", "x"));
        s.server(1, message(5, "t", "x").with(two(35, if bad { 4 } else { 3 })));
    };
    topic_alias_defined: TopicAlias, |s, bad| {
        s.join(1, &v5("a").with(two(34, 3)));
        s.subscribe(1, 5, 1, "t", 0);
        for payload in ["x", "y"] { s.client(1, message(5, "t", payload)); }
        s.server(1, message(5, "t", "x").with(two(35, 3)));
        s.server(1, message(5, "", "y").with(two(35, if bad { 2 } else { 3 })));
    };
    topic_alias_not_of_an_earlier_connection: TopicAlias, |s, bad| {
        s.join(1, &v5("a").kept().with(two(34, 3)));
        s.subscribe(1, 5, 1, "t", 0);
        for payload in ["x", "y"] { s.client(1, message(5, "t", payload)); }
        s.server(1, message(5, "t", "x").with(two(35, 3)));
        s.close(1);
        s.join_with(2, &v5("a").kept().with(two(34, 3)), true);
        s.server(2, message(5, if bad { "" } else { "t" }, "y").with(two(35, 3)));
    };
    subscribed: Subscribed, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, if bad { "u/+" } else { "+/v" }, 0);
        s.client(1, message(4, "t/v", "x"));
        s.server(1, message(4, "t/v", "x"));
    };
    subscribed_by_no_wildcard_to_a_dollar_topic: Subscribed, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, if bad { "#" } else { "$SYS/#" }, 0);
        s.server(1, message(4, "$SYS/up", "1"));
    };
    subscribed_no_more: Subscribed, |s, bad| {
        s.join(1, &v4("a"));
        s.join(2, &v4("b"));
        s.subscribe(1, 4, 1, "t", 0);
        if !bad { s.client(2, message(4, "t", "x")); }
        s.client(1, unsubscribe(4, 2, "t"));
        s.server(1, unsuback(4, 2, &[]));
        if bad { s.client(2, message(4, "t", "x")); }
        s.server(1, message(4, "t", "x"));
    };
    subscribed_not_where_refused: Subscribed, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, subscribe(4, 1, &[("t", 0)], &[]));
        s.server(1, suback(4, 1, &[if bad { 0x80 } else { 0 }]));
        s.client(1, message(4, "t", "x"));
        s.server(1, message(4, "t", "x"));
    };
    subscribed_in_this_session: Subscribed, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 0);
        s.close(1);
        s.join(2, &v4("a"));
        if !bad { s.subscribe(2, 4, 1, "t", 0); }
        s.client(2, message(4, "t", "x"));
        s.server(2, message(4, "t", "x"));
    };
    subscription_identifier: SubscriptionIdentifier, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe_with(1, 5, 1, "t", 0, &[11, 5]);
        s.subscribe_with(1, 5, 2, "u", 0, &[11, 6]);
        s.client(1, message(5, "t", "x"));
        s.server(1, message(5, "t", "x").with(vec![11, if bad { 6 } else { 5 }]));
    };
    subscription_identifier_missing: SubscriptionIdentifier, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe_with(1, 5, 1, "t", 0, &[11, 5]);
        s.client(1, message(5, "t", "x"));
        s.server(1, message(5, "t", "x").with(if bad { vec![] } else { vec![11, 5] }));
    };
    subscription_identifier_that_only_mqtt_5_can_say: SubscriptionIdentifier, |s, bad| {
        s.join(1, &v5("a").kept());
        s.subscribe_with(1, 5, 1, "t", 0, &[11, 5]);
        s.client(1, message(5, "t", "x"));
        s.server(1, message(5, "t", "x").with(if bad { vec![11, 6] } else { vec![11, 5] }));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.client(2, message(4, "t", "y"));
        s.server(2, message(4, "t", "y"));
    };
    qos_above_published: Qos, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 2);
        s.client(1, message(4, "t", "x").qos(1, 1));
        s.server(1, message(4, "t", "x").qos(if bad { 2 } else { 1 }, 1));
    };
    qos_above_granted: Qos, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, subscribe(4, 1, &[("$SYS/up", 2)], &[]));
        s.server(1, suback(4, 1, &[1]));
        s.server(1, message(4, "$SYS/up", "x").qos(if bad { 2 } else { 1 }, 1));
    };
    qos_below_both: Qos, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 1);
        s.client(1, message(4, "t", "x").qos(1, 1));
        let delivery = message(4, "t", "x");
        s.server(1, if bad { delivery } else { delivery.qos(1, 1) });
    };
    retain_flag_of_a_live_message: RetainFlag, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe(1, 5, 1, "t", 0x20);
        s.client(1, message(5, "t", "x").retain());
        let delivery = message(5, "t", "x");
        s.server(1, if bad { delivery.retain() } else { delivery });
    };
    retain_flag_as_published: RetainFlag, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe(1, 5, 1, "t", 0x28);
        s.client(1, message(5, "t", "x").retain());
        let delivery = message(5, "t", "x");
        s.server(1, if bad { delivery } else { delivery.retain() });
    };
    retain_flag_of_a_repeated_subscription: RetainFlag, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, message(5, "t", "x").retain());
        s.subscribe(1, 5, 1, "t", 0x10);
        s.server(1, message(5, "t", "x").retain());
        s.subscribe(1, 5, 2, "t", if bad { 0x10 } else { 0 });
        s.server(1, message(5, "t", "x").retain());
    };
    retain_flag_of_a_subscription_given_up_a_moment_ago: RetainFlag, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, message(5, "t", "x").retain());
        s.subscribe(1, 5, 1, "t", 0x10);
        s.server(1, message(5, "t", "x").retain());
        // Both are on their way before the first is answered.
        if !bad {
            s.client(1, unsubscribe(5, 2, "t"));
        }
        s.client(1, subscribe(5, 3, &[("t", 0x10)], &[]));
        if !bad {
            s.server(1, unsuback(5, 2, &[0]));
        }
        s.server(1, suback(5, 3, &[0]));
        s.server(1, message(5, "t", "x").retain());
    };
    retain_flag_of_a_subscription_given_up_on_the_connection_before: RetainFlag, |s, bad| {
        s.join(1, &v5("a").kept());
        s.client(1, message(5, "t", "x").retain());
        s.subscribe(1, 5, 1, "t", 0x10);
        s.server(1, message(5, "t", "x").retain());
        // It ends before the answer.
        if !bad {
            s.client(1, unsubscribe(5, 2, "t"));
        }
        s.close(1);
        s.join_with(2, &v5("a").kept(), true);
        s.subscribe(2, 5, 1, "t", 0x10);
        s.server(2, message(5, "t", "x").retain());
    };
    retain_flag_of_an_empty_message: RetainFlag, |s, bad| {
        s.join(1, &v4("a"));
        s.client(1, message(4, "t", "").retain());
        s.subscribe(1, 4, 1, "t", 0);
        let delivery = message(4, "t", "");
        s.server(1, if bad { delivery.retain() } else { delivery });
    };
    retain_flag_never_of_a_shared_subscription: RetainFlag, |s, bad| {
        s.join(1, &v5("a"));
        s.client(1, message(5, "t", "x").retain());
        s.subscribe(1, 5, 1, if bad { "$share/g/t" } else { "t" }, 0);
        s.server(1, message(5, "t", "x").retain());
    };
    retain_flag_of_what_was_not_retained: RetainFlag, |s, bad| {
        s.join(1, &v4("a"));
        let publish = message(4, "t", "x");
        s.client(1, if bad { publish } else { publish.retain() });
        s.subscribe(1, 4, 1, "t", 0);
        s.server(1, message(4, "t", "x").retain());
    };
    no_local: NoLocal, |s, bad| {
        s.join(1, &v5("a"));
        s.join(2, &v5("b"));
        s.subscribe(1, 5, 1, "t", 4);
        s.client(if bad { 1 } else { 2 }, message(5, "t", "x"));
        s.server(1, message(5, "t", "x"));
    };
    private: Private, |s, bad| {
        s.scope.private = Some(Private { prefix: "user/".into(), everything: vec!["root".into()] });
        s.scope.own_topics.push("user/#".into());
        for (number, user) in [(1, if bad { "eve" } else { "ada" }), (2, "root")] {
            s.join(number, &Connect { user: Some(user), ..v4(user) });
            s.subscribe(number, 4, 1, "user/ada/#", 0);
            s.server(number, message(4, "user/ada/order/X", "x"));
        }
    };
    published: Published, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 0);
        s.client(1, message(4, "t", "x"));
        s.server(1, message(4, "t", if bad { "X" } else { "x" }));
    };
    unchanged: Unchanged, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe(1, 5, 1, "t", 0);
        let (first, second) = (pair("k", "1"), pair("k", "2"));
        s.client(1, message(5, "t", "x").with(first.clone()).with(vec![1, 1]).with(second.clone()));
        let (first, second) = if bad { (second, first) } else { (first, second) };
        s.server(1, message(5, "t", "x").with(vec![1, 1]).with(first).with(second));
    };
    unchanged_and_complete: Unchanged, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe(1, 5, 1, "t", 0);
        s.client(1, message(5, "t", "x").with(string(3, "text")));
        s.server(1, message(5, "t", "x").with(if bad { vec![] } else { string(3, "text") }));
    };
    expiry: Expiry, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 0);
        s.join(2, &v5("b"));
        s.client(2, message(5, "t", "x").with(four(2, 10)));
        s.wait(if bad { 13 } else { 12 });
        s.server(1, message(4, "t", "x"));
    };
    expiry_remaining: Expiry, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe(1, 5, 1, "t", 0);
        s.client(1, message(5, "t", "x").with(four(2, 10)));
        s.wait(5);
        s.server(1, message(5, "t", "x").with(four(2, if bad { 8 } else { 7 })));
    };
    expiry_told: Expiry, |s, bad| {
        s.join(1, &v5("a"));
        s.subscribe(1, 5, 1, "t", 0);
        s.client(1, message(5, "t", "x").with(four(2, 10)));
        s.server(1, message(5, "t", "x").with(if bad { vec![] } else { four(2, 10) }));
    };
    order: Order, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 0);
        for payload in ["x", "y"] { s.client(1, message(4, "t", payload)); }
        for payload in if bad { ["y", "x"] } else { ["x", "y"] } {
            s.server(1, message(4, "t", payload));
        }
    };
    order_beside_a_newcomer: Order, |s, bad| {
        s.join(1, &v5("watches"));
        s.subscribe(1, 5, 1, "t", 0);
        s.join(2, &v5("a"));
        // Who takes over may have published before it is let in.
        if !bad {
            s.event(3, What::Opened);
            s.client(3, [v5("a").bytes(), message(5, "t", "first").bytes()].concat());
        } else {
            s.client(2, message(5, "t", "first"));
        }
        s.client(2, message(5, "t", "second"));
        s.server(1, message(5, "t", "second"));
        if !bad {
            s.server(2, disconnect(0x8e));
            s.event(2, What::ClosedByServer);
            s.server(3, connack(5, false, 0, &[]));
        }
        s.server(1, message(5, "t", "first"));
        s.client(2 + u64::from(!bad), message(5, "t", "third"));
        s.server(1, message(5, "t", "third"));
    };
    retained_order: RetainedOrder, |s, bad| {
        s.join(1, &v4("a"));
        s.join(2, &v4("b"));
        s.client(2, message(4, "t", "x").retain());
        s.client(1, subscribe(4, 1, &[("t", 0)], &[]));
        s.client(2, message(4, "t", "y").retain());
        s.server(1, suback(4, 1, &[0]));
        if bad { s.server(1, message(4, "t", "y")); }
        s.server(1, message(4, "t", "x").retain());
        if !bad { s.server(1, message(4, "t", "y")); }
    };
    once: Once, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 0);
        s.client(1, message(4, "t", "x"));
        s.server(1, message(4, "t", "x"));
        if bad { s.server(1, message(4, "t", "x")); }
    };
    once_unless_it_was_said_too_often_to_tell: Once, |s, bad| {
        s.join(1, &v4("a"));
        s.subscribe(1, 4, 1, "t", 0);
        s.client(1, message(4, "t", "first"));
        s.server(1, message(4, "t", "first"));
        let times = if bad { 256 } else { 257 };
        for _ in 0..times { s.client(1, message(4, "t", "x")); }
        for _ in 0..=times { s.server(1, message(4, "t", "x")); }
    };
    once_at_qos_2: Once, |s, bad| {
        s.join(1, &v4("a").kept());
        s.subscribe(1, 4, 1, "t", 0);
        s.client(1, message(4, "t", "x").qos(2, 7));
        s.close(1);
        s.join_with(2, &v4("a").kept(), true);
        s.client(2, message(4, "t", "x").qos(2, 7).dup());
        s.server(2, pubrec(7));
        s.server(2, message(4, "t", "x"));
        if bad { s.server(2, message(4, "t", "x")); }
    };
    once_for_each_subscription: Once, |s, bad| {
        s.join(1, &v4("a"));
        for (id, filter) in [(1, "t"), (2, if bad { "u" } else { "#" })] {
            s.subscribe(1, 4, id, filter, 0);
        }
        s.client(1, message(4, "t", "x"));
        for _ in 0..2 { s.server(1, message(4, "t", "x")); }
    };
    shared_once_at_qos_0: SharedOnce, |s, bad| {
        members(s);
        s.client(1, message(5, "t", "x"));
        s.server(1, message(5, "t", "x"));
        if bad { s.server(2, message(5, "t", "x")); }
    };
    shared_once_at_qos_1: SharedOnce, |s, bad| {
        members(s);
        s.client(1, message(5, "t", "x").qos(1, 1));
        s.server(1, message(5, "t", "x").qos(1, 1));
        s.client(1, pingreq());
        s.server(2, message(5, "t", "x").qos(1, 1));
        // The first member had been given up, or it had not.
        if bad { s.server(1, pingresp()); }
        s.event(1, What::ClosedByServer);
    };
    will_of_a_living_connection: WillEarly, |s, bad| {
        watched(s, &v4("b").will("w", b"gone"));
        s.client(2, pingreq());
        s.server(1, message(4, "w", "gone"));
        if bad { s.server(2, pingresp()); }
        s.event(2, What::ClosedByServer);
    };
    will_after_a_goodbye: WillEarly, |s, bad| {
        watched(s, &v5("b").will("w", b"gone"));
        if bad { s.client(2, disconnect(0)); }
        s.close(2);
        s.server(1, message(4, "w", "gone"));
    };
    will_after_no_goodbye: WillEarly, |s, bad| {
        let connect = v5("b").will("w", b"gone");
        // Only a session that was to last may be given another end.
        watched(s, &if bad { connect.kept() } else { connect });
        s.event(2, What::ToServer(b"\xE0\x07\0\x05\x11\0\0\0\x09".to_vec()));
        s.close(2);
        s.server(1, message(4, "w", "gone"));
    };
    will_before_its_delay: WillEarly, |s, bad| {
        let mut connect = v5("b").kept().will("w", b"gone");
        connect.will.as_mut().unwrap().2 = four(24, 20);
        watched(s, &connect);
        s.close(2);
        s.wait(if bad { 15 } else { 18 });
        s.server(1, message(4, "w", "gone"));
    };
    will_before_its_session_is_over: WillEarly, |s, bad| {
        s.scope.sessions_kept_secs = None;
        let mut connect = v5("b").kept().will("w", b"gone");
        connect.will.as_mut().unwrap().2 = four(24, 20);
        watched(s, &connect);
        s.close(2);
        s.server(1, message(4, "w", "gone"));
        // The server had dropped the session, or it had not.
        s.join_with(3, &v5("b").kept(), bad);
    };
    will_due: WillDue, |s, bad| {
        s.scope.answer_nanos = ANSWER;
        watched(s, &v4("b").will("w", b"gone"));
        s.event(2, What::Reset);
        if !bad { s.server(1, message(4, "w", "gone")); }
        s.wait(8);
        s.client(1, pingreq());
        s.server(1, pingresp());
    };
}

/// A lasting session "a" on connection 1, subscribed at QoS 2, that has published three
/// messages which are delivered later: "x" and "y" at QoS 1, "z" at QoS 2.
fn three_messages(s: &mut Script) {
    s.join(1, &v4("a").kept());
    s.subscribe(1, 4, 1, "t", 2);
    s.join(100, &v4("publisher"));
    s.client(100, message(4, "t", "x").qos(1, 1));
    s.client(100, message(4, "t", "y").qos(1, 2));
    // Two have published "x", so that its place in the order is open.
    s.join(101, &v4("other"));
    s.client(101, message(4, "t", "x").qos(1, 1));
    s.client(101, message(4, "t", "z").qos(2, 2));
    s.close(100);
    s.close(101);
}

/// Two members of one shared subscription.
fn members(s: &mut Script) {
    for (number, id) in [(1, "a"), (2, "b")] {
        s.join(number, &v5(id));
        s.subscribe(number, 5, 1, "$share/g/t", 1);
    }
}

/// Connection 1 watches "w", connection 2 has a will.
fn watched(s: &mut Script, connect: &Connect) {
    s.join(1, &v4("a"));
    s.subscribe(1, 4, 1, "w", 0);
    s.join(2, connect);
}
