//! Every refusal, in every version of MQTT, to the byte.

mod support;

use ringcast_door::{Anonymous, Authenticate, Bans, Claim, Denial, Limits, Refusal, Verdict};
use std::net::{IpAddr, Ipv4Addr};
use support::{CLEAN, Connect, Engine, Held, VERSIONS, answer, connack, get, hello};
use tokio::io::AsyncWriteExt;

/// Denies for the reason that the client identifier names, grants what it does not know.
struct ByName;

const DENIALS: [(&str, Denial, Refusal, u8, u8); 4] = [
    (
        "password",
        Denial::BadUserNameOrPassword,
        Refusal::BadUserNameOrPassword,
        4,
        0x86,
    ),
    (
        "not-authorized",
        Denial::NotAuthorized,
        Refusal::NotAuthorized,
        5,
        0x87,
    ),
    ("banned", Denial::Banned, Refusal::Banned, 5, 0x8A),
    (
        "unavailable",
        Denial::Unavailable,
        Refusal::ServerUnavailable,
        3,
        0x88,
    ),
];

impl Authenticate for ByName {
    fn authenticate(&self, claim: &Claim) -> Verdict {
        let denial = DENIALS.iter().find(|denial| denial.0 == &*claim.client_id);
        match denial {
            Some(denial) => Verdict::Denied(denial.1),
            None => Verdict::Granted(claim.user_name.clone()),
        }
    }

    fn is_costly(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn denials_have_their_codes() {
    let engine = Engine::open(Limits::default(), ByName);
    for (client_id, _, refusal, return_code, reason) in DENIALS {
        for (number, version) in (1..).zip(VERSIONS) {
            let connect = Connect::new(version, client_id).bytes();
            let expected = connack(version.1, Some(return_code), reason);
            assert_eq!(
                engine.answer_to(&connect).await,
                expected,
                "{client_id} {version:?}"
            );
            assert_eq!(engine.counters().refused(refusal), number);
        }
    }
    engine.settle().await;
}

#[tokio::test]
async fn faults_have_the_answer_of_their_version() {
    let engine = Engine::open(Limits::default(), Anonymous);
    let level = |level| Connect::new(("MQTT", level), "a").bytes();
    let with = |version, flags, client_id| {
        let connect = Connect::new(version, client_id);
        Connect { flags, ..connect }.bytes()
    };
    let [v31, v311, v5] = VERSIONS;
    let long = "123456789012345678901234";
    let method = Connect {
        properties: b"\x15\0\x05SCRAM",
        ..Connect::new(v5, "a")
    };
    let cases: [(&str, Vec<u8>, &[u8], Refusal); 16] = [
        (
            "level 3 of MQTT",
            level(3),
            b"\x20\x02\0\x01",
            Refusal::ProtocolVersion,
        ),
        (
            "level 6",
            level(6),
            b"\x20\x03\0\x84\0",
            Refusal::ProtocolVersion,
        ),
        (
            "a bridge's level",
            level(0x84),
            b"\x20\x02\0\x01",
            Refusal::ProtocolVersion,
        ),
        (
            "no id, 3.1",
            with(v31, CLEAN, ""),
            b"\x20\x02\0\x02",
            Refusal::ClientIdentifier,
        ),
        (
            "long id, 3.1",
            with(v31, CLEAN, long),
            b"\x20\x02\0\x02",
            Refusal::ClientIdentifier,
        ),
        (
            "no id, to keep",
            with(v311, 0, ""),
            b"\x20\x02\0\x02",
            Refusal::ClientIdentifier,
        ),
        (
            "reserved flag, 3.1.1",
            with(v311, 1, "a"),
            b"",
            Refusal::Malformed,
        ),
        (
            "reserved flag, 5",
            with(v5, 1, "a"),
            b"\x20\x03\0\x81\0",
            Refusal::Malformed,
        ),
        (
            "will flags, 5",
            with(v5, 8, "a"),
            b"\x20\x03\0\x81\0",
            Refusal::Malformed,
        ),
        (
            "a method",
            method.bytes(),
            b"\x20\x03\0\x8C\0",
            Refusal::AuthenticationMethod,
        ),
        (
            "another name",
            Connect::new(("MQTX", 5), "a").bytes(),
            b"",
            Refusal::Malformed,
        ),
        (
            "no CONNECT",
            b"\x30\x03\0\x01a".to_vec(),
            b"",
            Refusal::Malformed,
        ),
        ("no packet", b"\0\0".to_vec(), b"", Refusal::Malformed),
        (
            "an endless length",
            b"\x10\xFF\xFF\xFF\xFF".to_vec(),
            b"",
            Refusal::Malformed,
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"",
            Refusal::Malformed,
        ),
        ("TLS", tls_hello(), b"", Refusal::Malformed),
    ];
    for (name, sent, expected, refusal) in cases {
        let before = engine.counters().refused(refusal);
        if expected.is_empty() {
            support::closed(&mut engine.send(&sent).await).await;
        } else {
            assert_eq!(engine.answer_to(&sent).await, expected, "{name}");
        }
        assert_eq!(engine.counters().refused(refusal), before + 1, "{name}");
    }
    engine.settle().await;
}

/// The beginning of what a TLS 1.3 client says first. As MQTT its first byte is a
/// CONNECT with odd flags, three bytes long.
fn tls_hello() -> Vec<u8> {
    let mut hello = vec![
        0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03,
    ];
    hello.resize(517, 0xA5);
    hello
}

/// The answer to a CONNECT that is too large depends on the version, and not on which
/// bytes of it have come yet.
#[tokio::test(start_paused = true)]
async fn a_connect_that_is_too_large_is_refused_before_it_is_there() {
    let limits = Limits {
        connect_bytes_max: 300,
        ..Limits::default()
    };
    let engine = Engine::open(limits, Anonymous);
    let password = [0; 1000];
    for version in VERSIONS {
        let connect = Connect {
            user_name: Some("a"),
            password: Some(&password),
            ..Connect::new(version, "a")
        };
        let connect = connect.bytes();
        for cut in 1..40 {
            let mut client = engine.send(&connect[..cut]).await;
            support::quiesce().await;
            let (header, version_bytes) = (3, 9);
            assert_eq!(support::is_waiting(&client), cut < header + version_bytes);
            // It may have been closed already, where nothing is answered.
            let _ = client.write_all(&connect[cut..40]).await;
            match version.1 {
                5 => assert_eq!(answer(client).await, b"\x20\x03\0\x95\0"),
                _ => support::closed(&mut client).await,
            }
        }
    }
    let refused = engine.counters().refused(Refusal::PacketTooLarge);
    assert_eq!(refused, 3 * 39);
    let unknown = Connect::new(("MQTT", 4), &"x".repeat(400)).bytes();
    let other = [&unknown[..9], &[9], &unknown[10..]].concat();
    assert_eq!(
        engine.answer_to(&other).await,
        b"\x20\x03\0\x84\0",
        "level 9"
    );
    engine.settle().await;
}

#[tokio::test]
async fn who_is_banned_is_told() {
    let mut engine = Engine::open(Limits::default(), ByName);
    let by_address = Bans {
        addresses: [IpAddr::V4(Ipv4Addr::LOCALHOST)].into(),
        ..Bans::default()
    };
    let by_id = Bans {
        client_ids: ["a".into()].into(),
        ..Bans::default()
    };
    let by_user = Bans {
        users: ["mallory".into()].into(),
        ..Bans::default()
    };
    for bans in [by_address, by_id, by_user] {
        engine.door.set_bans(bans.clone());
        for version in VERSIONS {
            let connect = Connect {
                user_name: Some("mallory"),
                ..Connect::new(version, "a")
            };
            let expected = connack(version.1, Some(5), 0x8A);
            let told = engine.answer_to(&connect.bytes()).await;
            assert_eq!(told, expected, "{bans:?} {version:?}");
        }
    }
    assert_eq!(engine.counters().refused(Refusal::Banned), 9);
    // Those who are not on the list that is left come in, and so do all once it is empty.
    let other = Connect {
        user_name: Some("bob"),
        ..Connect::new(VERSIONS[2], "a")
    };
    let _bob = engine.send(&other.bytes()).await;
    assert_eq!(
        engine.newcomer().await.newcomer.user.as_deref(),
        Some("bob")
    );
    engine.door.set_bans(Bans::default());
    let other = Connect {
        user_name: Some("mallory"),
        ..other
    };
    let _mallory = engine.send(&other.bytes()).await;
    assert_eq!(
        engine.newcomer().await.newcomer.user.as_deref(),
        Some("mallory")
    );
    engine.settle().await;
}

#[tokio::test]
async fn who_comes_when_too_many_wait_for_their_verification_is_told() {
    let limits = Limits {
        verifications_max: 1.try_into().unwrap(),
        verifications_waiting_max: 1,
        ..Limits::default()
    };
    let (holder, held) = Held::new();
    let mut engine = Engine::open(limits, held);
    let waiting = [
        engine.send(&hello("a")).await,
        engine.send(&hello("b")).await,
    ];
    let connects = VERSIONS.map(|version| (version.1, Connect::new(version, "c").bytes()));
    for (round, (level, connect)) in connects.iter().cycle().take(5).enumerate() {
        let told = engine.answer_to(connect).await;
        assert_eq!(told, connack(*level, Some(3), 0x89), "round {round}");
    }
    for _ in &waiting {
        holder.let_go();
        engine.newcomer().await;
    }
    assert_eq!(engine.counters().refused(Refusal::ServerBusy), 5);
    engine.settle().await;
}

#[tokio::test]
async fn a_home_that_is_gone_is_told() {
    let mut engine = Engine::open(Limits::default(), Anonymous);
    engine.shards.clear();
    for version in VERSIONS {
        let told = engine.answer_to(&Connect::new(version, "a").bytes()).await;
        assert_eq!(told, connack(version.1, Some(3), 0x88), "{version:?}");
    }
    assert_eq!(engine.counters().refused(Refusal::ServerUnavailable), 3);
    engine.settle().await;
}

/// A reset would destroy the answer: so there is none, however much the client has sent
/// that nobody read.
#[tokio::test]
async fn an_answer_survives_input_behind_connect() {
    let engine = Engine::open(Limits::default(), ByName);
    let mut sent = hello("password");
    sent.resize(100_000, 0x30);
    assert_eq!(engine.answer_to(&sent).await, b"\x20\x03\0\x86\0");
    engine.settle().await;
}

/// And who never ends, nor stops sending, is closed all the same.
#[tokio::test(start_paused = true)]
async fn who_was_refused_has_a_second_to_leave() {
    let engine = Engine::open(Limits::default(), ByName);
    let refused_at = tokio::time::Instant::now();
    let client = engine.send(&hello("password")).await;
    support::quiesce().await;
    assert_eq!(
        get(&engine.counters().newcomers),
        1,
        "the client did not end"
    );
    engine.settle().await;
    let lingered = refused_at.elapsed().as_millis();
    assert!((1000..1010).contains(&lingered), "{lingered}");
    assert_eq!(answer(client).await, b"\x20\x03\0\x86\0");

    let mut talker = engine.send(&hello("password")).await;
    let talk = [0x30; 8192];
    let told = async { while talker.write_all(&talk).await.is_ok() {} };
    support::within(told).await;
    engine.settle().await;
}
