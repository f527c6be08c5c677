//! Verifications that take long, and users that a file names.

mod support;

use ringcast_door::{
    Anonymous, Authenticate, Claim, Limits, Refusal, UserFile, UserFileError, Verdict,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Connect, Engine, Held, VERSIONS, connack, hello};
use tokio::io::AsyncWriteExt;

/// All of this runs on one thread but for the verification itself, which does not end
/// before everybody else is in.
#[tokio::test]
async fn a_verification_holds_nobody_else_up() {
    let (holder, held) = Held::new();
    let mut engine = Engine::open(Limits::default(), held);
    let other = engine.listen(Anonymous, 1);
    let _waiting = engine.send(&hello("a")).await;
    holder.begun().await;
    for number in 0..100 {
        let client_id = number.to_string();
        let mut client = support::connect(other).await;
        client.write_all(&hello(&client_id)).await.unwrap();
        let newcomer = engine.newcomer().await.newcomer;
        assert_eq!(*newcomer.received, hello(&client_id));
    }
    holder.let_go();
    assert_eq!(*engine.newcomer().await.newcomer.received, hello("a"));
    engine.settle().await;
}

/// Counts how many of it run at once.
struct Counting {
    running: AtomicU32,
    most: Arc<AtomicU32>,
}

impl Authenticate for Counting {
    fn authenticate(&self, _claim: &Claim) -> Verdict {
        let running = 1 + self.running.fetch_add(1, Ordering::SeqCst);
        self.most.fetch_max(running, Ordering::SeqCst);
        std::thread::yield_now();
        self.running.fetch_sub(1, Ordering::SeqCst);
        Verdict::Granted(None)
    }

    fn is_costly(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn so_many_verifications_run_at_once_and_all_have_their_turn() {
    let limits = Limits {
        verifications_max: 3.try_into().unwrap(),
        ..Limits::default()
    };
    let most = Arc::new(AtomicU32::new(0));
    let counting = Counting {
        running: AtomicU32::new(0),
        most: Arc::clone(&most),
    };
    let mut engine = Engine::open(limits, counting);
    let mut clients = Vec::new();
    for number in 0..200 {
        clients.push(engine.send(&hello(&number.to_string())).await);
    }
    for _ in &clients {
        engine.newcomer().await;
    }
    let most = most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} at once");
    engine.settle().await;
}

/// Fails as no implementation should.
struct Broken;

impl Authenticate for Broken {
    fn authenticate(&self, _claim: &Claim) -> Verdict {
        panic!("this one is meant to")
    }

    fn is_costly(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_verification_that_panics_grants_nothing_and_ends_nothing() {
    let mut engine = Engine::open(Limits::default(), Broken);
    let other = engine.listen(Anonymous, 1);
    for version in VERSIONS {
        let told = engine.answer_to(&Connect::new(version, "a").bytes()).await;
        assert_eq!(told, connack(version.1, Some(3), 0x88));
    }
    let mut client = support::connect(other).await;
    client.write_all(&hello("b")).await.unwrap();
    assert_eq!(*engine.newcomer().await.newcomer.received, hello("b"));
    engine.settle().await;
}

/// A file of users in a folder of its own, gone when dropped.
struct Users(PathBuf);

impl Users {
    fn new(test: &str, content: &str) -> Self {
        let folder = format!("ringcast-users-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
        let users = Self(folder);
        users.write(content);
        users
    }

    fn path(&self) -> PathBuf {
        self.0.join("users")
    }

    fn write(&self, content: &str) {
        fs::write(self.path(), content).expect("the folder is writable");
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Of `secret` and `swordfish`, with parameters that cost little, made by the reference
/// implementation: `argon2 saltsalt -id -t 1 -k 8 -p 1 -l 32 -e` and
/// `argon2 saltsalt -i -t 2 -k 16 -p 2 -l 32 -e`.
const ALICE: &str =
    "alice:$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$vk+JgWgZGbXHtEqPQPhzXbD+QxxkJR5Fq2AXLhDyYaY";
const BOB: &str =
    "bob:$argon2i$v=19$m=16,t=2,p=2$c2FsdHNhbHQ$/BXZnRhnASfFnMhbn4987VxED9GX4JI3mobYV7KVN9Y";

#[tokio::test]
async fn a_file_says_who_comes_in() {
    let users = Users::new("comes-in", &format!("# users\n\n{ALICE}\r\n{BOB}\n"));
    let file = UserFile::load(&users.path()).unwrap();
    let mut engine = Engine::open(Limits::default(), file);
    for version in VERSIONS {
        let connect = |user_name, password| {
            Connect {
                user_name,
                password,
                ..Connect::new(version, "a")
            }
            .bytes()
        };
        for (name, password) in [("alice", &b"secret"[..]), ("bob", b"swordfish")] {
            let _client = engine.send(&connect(Some(name), Some(password))).await;
            let newcomer = engine.newcomer().await.newcomer;
            assert_eq!(newcomer.user.as_deref(), Some(name));
        }
        let refused = connack(version.1, Some(4), 0x86);
        for (name, password) in [
            ("alice", Some(&b"Secret"[..])),
            ("alice", Some(b"")),
            ("alice", None),
            ("Alice", Some(b"secret")),
            ("bob", Some(b"secret")),
            ("bob", Some(b"")),
            ("carol", Some(b"secret")),
            // The password of the user who is verified in her place.
            ("carol", Some(b"swordfish")),
            ("", Some(b"secret")),
        ] {
            let told = engine.answer_to(&connect(Some(name), password)).await;
            assert_eq!(told, refused, "{version:?} {name} {password:?}");
        }
        let told = engine.answer_to(&connect(None, None)).await;
        assert_eq!(told, connack(version.1, Some(5), 0x87));
    }
    let counters = engine.counters();
    assert_eq!(counters.refused(Refusal::BadUserNameOrPassword), 27);
    assert_eq!(counters.refused(Refusal::NotAuthorized), 3);
    engine.settle().await;
}

fn claim(user_name: &str, password: &[u8]) -> Claim {
    Claim {
        client_id: "a".into(),
        user_name: Some(user_name.into()),
        password: Some(password.into()),
        peer: ([127, 0, 0, 1], 1).into(),
    }
}

#[test]
fn a_file_is_read_again_whole_or_not_at_all() {
    let users = Users::new("again", ALICE);
    let file = UserFile::load(&users.path()).unwrap();
    let comes_in = |name, password| {
        matches!(
            file.authenticate(&claim(name, password)),
            Verdict::Granted(_)
        )
    };
    assert!(comes_in("alice", b"secret") && !comes_in("bob", b"swordfish"));
    users.write(BOB);
    file.reload().unwrap();
    assert!(!comes_in("alice", b"secret") && comes_in("bob", b"swordfish"));
    users.write(&format!("{ALICE}\nbob\n"));
    assert!(matches!(
        file.reload(),
        Err(UserFileError::Line { line: 2, .. })
    ));
    assert!(
        !comes_in("alice", b"secret") && comes_in("bob", b"swordfish"),
        "as before"
    );
    users.write("");
    file.reload().unwrap();
    assert!(!comes_in("alice", b"secret") && !comes_in("bob", b"swordfish"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = UserFile::load(Path::new("/no/such/users")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/no/such/users can't be read: No such file or directory (os error 2)"
    );
}
