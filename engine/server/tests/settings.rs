//! `ringcast serve` and its settings: what is right, and every sentence about what is not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

struct Outcome {
    out: String,
    errors: String,
    is_content: bool,
}

fn serve(arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_ringcast"))
        .arg("serve")
        .args(arguments)
        .output()
        .unwrap();
    Outcome {
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
        is_content: output.status.success(),
    }
}

/// What is said of these assignments, a sentence to a line.
fn refused(assignments: &[&str]) -> String {
    let set = assignments
        .iter()
        .flat_map(|assignment| ["--set", assignment]);
    let arguments: Vec<_> = ["--check"].into_iter().chain(set).collect();
    let outcome = serve(&arguments);
    assert!(
        !outcome.is_content && outcome.out.is_empty(),
        "{assignments:?}"
    );
    let errors = outcome.errors.strip_prefix("ringcast: ").unwrap();
    errors.trim_end().to_owned()
}

/// A file that goes when the test ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: impl AsRef<[u8]>) -> Self {
        let name = format!("ringcast-settings-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn one_value_that_is_wrong() {
    let cases = [
        (
            "limits.conections=5",
            "--set: limits.conections is no setting; the nearest is limits.connections",
        ),
        ("clas=[]", "--set: clas is no setting; the nearest is class"),
        ("limits={}", ""),
        (
            "limits.deep.er=1",
            "--set: limits.deep.er is no setting; the nearest is limits.filters",
        ),
        (
            "limits.connections=\"many\"",
            "--set: limits.connections = \"many\" is not allowed; allowed is a whole number of \
             connections from 1 to 100000000",
        ),
        (
            "limits.connections=0",
            "--set: limits.connections = 0 is not allowed; allowed is a whole number of \
             connections from 1 to 100000000",
        ),
        (
            "limits.connections=100_000_001",
            "--set: limits.connections = 100000001 is not allowed; allowed is a whole number of \
             connections from 1 to 100000000",
        ),
        (
            "limits.topics=-1",
            "--set: limits.topics = -1 is not allowed; allowed is a whole number of topics from 1 \
             to 100000000",
        ),
        (
            "limits.topics=1.5",
            "--set: limits.topics = 1.5 is not allowed; allowed is a whole number of topics from 1 \
             to 100000000",
        ),
        (
            "limits.cohorts=none",
            "--set: limits.cohorts = \"none\" is not allowed; allowed is a whole number of cohorts \
             from 1 to 100000000, or \"auto\"",
        ),
        (
            "memory.ring_bytes=100_000",
            "--set: memory.ring_bytes = 100000 is not allowed; allowed is a whole number of bytes \
             from 65536 to 17179869184, a power of two",
        ),
        (
            "cores.idle=sleep",
            "--set: cores.idle = \"sleep\" is not allowed; allowed is \"spin\", \"adaptive\" or \
             \"park\", or \"auto\"",
        ),
        (
            "cores.shards=[]",
            "--set: cores.shards = [] is not allowed; allowed is a list of 1 to 60 numbers of \
             CPUs, or \"auto\"",
        ),
        (
            "auth.anonymous=yes",
            "--set: auth.anonymous = \"yes\" is not allowed; allowed is true or false",
        ),
        (
            "auth.users=5",
            "--set: auth.users = 5 is not allowed; allowed is a path, or \"\" for none",
        ),
        (
            "feed.kind=kafka",
            "--set: feed.kind = \"kafka\" is not allowed; allowed is \"none\", \"replay\", \
             \"synthetic\", \"shm\" or \"mqtt\"",
        ),
        (
            "feed.speed=0",
            "--set: feed.speed = 0 is not allowed; allowed is a number from 0.001 to 1000000, or \
             \"max\"",
        ),
        (
            "feed.files=a.csv",
            "--set: feed.files = \"a.csv\" is not allowed; allowed is a list of at most 1024 paths",
        ),
        (
            "listen.admin=localhost",
            "--set: listen.admin = \"localhost\" is not allowed; allowed is an address such as \
             \"127.0.0.1:9883\", or \"\" for none",
        ),
        (
            "log.level=loud",
            "--set: log.level = \"loud\" is not allowed; allowed is \"error\", \"warn\", \"info\", \
             \"debug\" or \"trace\"",
        ),
        (
            "limits.topics",
            "--set limits.topics has no value; allowed is KEY=VALUE, such as \
             limits.connections=1000",
        ),
    ];
    for (assignment, sentence) in cases {
        if sentence.is_empty() {
            let outcome = serve(&["--check", "--set", assignment]);
            assert!(outcome.is_content, "{}", outcome.errors);
        } else {
            assert_eq!(refused(&[assignment]), sentence);
        }
    }
}

#[test]
fn listeners_that_are_wrong() {
    let allowed = "a list of at most 64, each an address such as \"127.0.0.1:1883\" or \
                   \"[::]:1883\", or a table { addr = \"127.0.0.1:1883\" }";
    for key in ["tls", "auth", "proxy", "profile"] {
        assert_eq!(
            refused(&[&format!(
                "listen.mqtt=[{{ addr = \"127.0.0.1:0\", {key} = true }}]"
            )]),
            format!(
                "--set: listen.mqtt asks for what is not built yet: {key}; allowed is {allowed}"
            )
        );
    }
    let cases = [
        (
            "listen.mqtt=[{ adr = \"127.0.0.1:0\" }]",
            "--set: listen.mqtt.adr is no setting; the nearest is listen.mqtt.addr".to_owned(),
        ),
        (
            "listen.mqtt=[{}]",
            format!("--set: listen.mqtt = [{{}}] is not allowed; allowed is {allowed}"),
        ),
        (
            "listen.mqtt=[\"127.0.0.1\"]",
            format!("--set: listen.mqtt = [\"127.0.0.1\"] is not allowed; allowed is {allowed}"),
        ),
        (
            "listen.mqtt=[\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "--set: listen.mqtt has 127.0.0.1:1 twice; allowed is once".into(),
        ),
        (
            "listen.web=[\"127.0.0.1:8083\"]",
            "--set: listen.web asks for what is not built yet: gateways; allowed is [], until \
             there are gateways"
                .into(),
        ),
        (
            "listen.mqtt=[\"127.0.0.1:9883\"]",
            "listen.admin = \"127.0.0.1:9883\" is an address of listen.mqtt, too; allowed is \
             another one, or \"\" for none"
                .into(),
        ),
    ];
    for (assignment, sentence) in cases {
        assert_eq!(refused(&[assignment]), sentence);
    }
    // Each picks its own port.
    let twice = "listen.mqtt=[\"127.0.0.1:0\", \"127.0.0.1:0\"]";
    assert!(serve(&["--check", "--set", twice]).is_content);
}

#[test]
fn nobody_is_let_in_from_elsewhere_unasked() {
    let sentence = |address: &str| {
        format!(
            "listen.mqtt has {address}, which others than this host can reach, and nothing says \
             who may come in; allowed is auth.users = \"FILE\", or auth.anonymous = true for \
             everybody"
        )
    };
    for address in [
        "0.0.0.0:1883",
        "[::]:1883",
        "192.0.2.1:1883",
        "[::ffff:192.0.2.1]:0",
    ] {
        let listen = format!("listen.mqtt=[\"{address}\"]");
        assert_eq!(refused(&[&listen]), sentence(address));
        let both = ["--check", "--set", &listen, "--set", "auth.anonymous=true"];
        assert!(serve(&both).is_content, "{address}");
    }
    for address in ["127.0.0.2:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        let listen = format!("listen.mqtt=[\"{address}\"]");
        assert!(
            serve(&["--check", "--set", &listen]).is_content,
            "{address}"
        );
    }
    let users = File::new("both", "");
    let users = format!("auth.users={}", users.name());
    assert_eq!(
        refused(&["auth.anonymous=true", &users]),
        "auth.anonymous = true lets everybody in and auth.users only those in its file; allowed is \
         one of the two"
    );
}

#[test]
fn a_file_of_users_that_can_not_be_used() {
    assert_eq!(
        refused(&["auth.users=/no/such/file"]),
        "auth.users: /no/such/file can't be read: No such file or directory (os error 2)"
    );
    let users = File::new("users", "# nobody\nalice\n");
    let sentence = refused(&[&format!("auth.users={}", users.name())]);
    let start = format!("auth.users: {}, line 2: has no colon", users.name());
    assert!(sentence.starts_with(&start), "{sentence}");
}

#[test]
fn a_recording_that_is_not_there() {
    assert_eq!(
        refused(&[
            "feed.kind=replay",
            "feed.files=[\"/dev/null\", \"/no/such.csv\"]"
        ]),
        "feed.files: /no/such.csv can't be read: No such file or directory (os error 2)"
    );
}

#[test]
fn values_that_do_not_go_together() {
    let cases: [(&[&str], &str); 9] = [
        (
            &["memory.ring_bytes=65536", "limits.packet_bytes_max=16_385"],
            "memory.ring_bytes = 65536 is too little for packets of limits.packet_bytes_max = \
             16385; allowed is room for 4 of them: 65540 or more",
        ),
        (
            &["memory.uplink_bytes=524_288"],
            "memory.uplink_bytes = 524288 is too little for packets of limits.packet_bytes_max = \
             262144; allowed is room for 4 of them: 1048576 or more",
        ),
        (
            &["memory.arena_bytes=524_288"],
            "memory.arena_bytes = 524288 is too little for packets of limits.packet_bytes_max = \
             262144; allowed is room for 4 of them: 1048576 or more",
        ),
        (
            &["memory.input_bytes=262_143"],
            "memory.input_bytes = 262143 is too little for packets of limits.packet_bytes_max = \
             262144; allowed is room for one of them: 262144 or more",
        ),
        (
            &["slow.lag_bytes=8_388_609"],
            "slow.lag_bytes = 8388609 reaches further back than what is kept, memory.arena_bytes = \
             16777216; allowed is half of that at most: 8388608",
        ),
        (
            &["feed.rate=5"],
            "feed.rate is of another kind of feed than feed.kind = \"none\"; allowed is to leave \
             it out, or the kind synthetic",
        ),
        (
            &["feed.kind=synthetic", "feed.loop=true"],
            "feed.loop is of another kind of feed than feed.kind = \"synthetic\"; allowed is to \
             leave it out, or the kind replay",
        ),
        (
            &["feed.kind=replay"],
            "feed.kind = \"replay\" needs feed.files; allowed is a list of recordings",
        ),
        (
            &["feed.kind=shm"],
            "feed.kind = \"shm\" needs feed.socket; allowed is the path of a Unix socket",
        ),
    ];
    for (assignments, sentence) in cases {
        assert_eq!(refused(assignments), sentence);
    }
    let fits = ["memory.ring_bytes=65536", "limits.packet_bytes_max=16_384"];
    let fits = ["--check", "--set", fits[0], "--set", fits[1]];
    assert!(serve(&fits).is_content);
}

#[test]
fn classes_that_are_wrong() {
    let cases = [
        (
            "5",
            "class is not allowed; allowed is a list of at most 1024 tables, each as [[class]] \
             with a filter",
        ),
        (
            "[{ qos_max = 0 }]",
            "class 1: it has no filter; allowed is a topic filter of MQTT",
        ),
        (
            "[{ filter = \"a\" }, { filter = \"#/a\" }]",
            "class 2: filter = \"#/a\" is not allowed; allowed is a topic filter of MQTT",
        ),
        (
            "[{ filter = 5 }]",
            "class 1: filter = 5 is not allowed; allowed is a topic filter of MQTT",
        ),
        (
            "[{ filter = \"a\", qos_max = 3 }]",
            "class 1: qos_max = 3 is not allowed; allowed is 0, 1 or 2",
        ),
        (
            "[{ filter = \"a\", retain = 1 }]",
            "class 1: retain = 1 is not allowed; allowed is true or false",
        ),
        (
            "[{ filter = \"a\", slow = \"wait\" }]",
            "class 1: slow = \"wait\" is not allowed; allowed is \"queue\", \"conflate\", \
             \"resync\", \"drop\" or \"disconnect\"",
        ),
        (
            "[{ filter = \"a\", qos = 0 }]",
            "class 1: qos is no setting; the nearest is slow",
        ),
    ];
    for (value, sentence) in cases {
        let sentence = format!("--set: {sentence}");
        assert_eq!(refused(&[&format!("class={value}")]), sentence);
    }
}

#[test]
fn a_cpu_that_is_not_there() {
    let sentence = refused(&["cores.shards=[8191]"]);
    let start = "cores.shards has CPU 8191, which this process may not use; allowed are ";
    assert!(sentence.starts_with(start), "{sentence}");
    assert!(refused(&["cores.ingest=8191"]).starts_with("cores.ingest has CPU 8191"));
}

#[test]
fn a_file_is_told_by_its_name_and_everything_in_it_at_once() {
    let file = File::new(
        "wrong.toml",
        "[limits]\nconections = 5\ntopics = \"all\"\n[foo]\n[log]\nlevel = \"loud\"\n",
    );
    let outcome = serve(&["--config", file.name(), "--set", "log.level=warn"]);
    let name = file.name();
    assert_eq!(
        outcome.errors,
        format!(
            "ringcast: {name}: limits.topics = \"all\" is not allowed; allowed is a whole number \
             of topics from 1 to 100000000\n\
             {name}: foo is no setting; the nearest is log\n\
             {name}: limits.conections is no setting; the nearest is limits.connections\n"
        )
    );
    assert!(!outcome.is_content);
}

#[test]
fn a_file_that_is_none() {
    let file = File::new("none.toml", "[limits\n");
    let outcome = serve(&["--config", file.name()]);
    let start = format!(
        "ringcast: {} is not TOML: TOML parse error at line 1",
        file.name()
    );
    assert!(outcome.errors.starts_with(&start), "{}", outcome.errors);
    let outcome = serve(&["--config", "/no/such/file.toml"]);
    assert_eq!(
        outcome.errors,
        "ringcast: /no/such/file.toml can't be read: No such file or directory (os error 2)\n"
    );
    let sentence = refused(&["limits.topics=[1"]);
    assert!(
        sentence.starts_with("--set limits.topics is not TOML: "),
        "{sentence}"
    );
}

#[test]
fn what_is_printed_is_a_file_that_prints_the_same() {
    let given = File::new(
        "given.toml",
        "[limits]\nconnections = 77\n[feed]\nkind = \"synthetic\"\nrate = 9\n\
         [[class]]\nfilter = \"a/#\"\nslow = \"drop\"\n",
    );
    let first = serve(&[
        "--config",
        given.name(),
        "--print-config",
        "--set",
        "log.level=warn",
    ]);
    assert_eq!((first.errors.as_str(), first.is_content), ("", true));
    for line in [
        "connections = 77",
        "rate = 9",
        "level = \"warn\"",
        "slow = \"drop\"",
    ] {
        assert!(
            first.out.lines().any(|found| found == line),
            "{line}\n{}",
            first.out
        );
    }
    assert!(
        !first.out.contains("loop = "),
        "a key of another kind of feed"
    );
    let printed = File::new("printed.toml", &first.out);
    let second = serve(&["--config", printed.name(), "--print-config", "--check"]);
    assert_eq!(second.out, first.out);
    assert_eq!(
        (second.errors.as_str(), second.is_content),
        ("the settings are right\n", true)
    );
}

/// Nothing that is in the environment is a setting.
#[test]
fn the_environment_is_not_looked_at() {
    let printed = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringcast"));
        command.args(["serve", "--print-config"]).env(name, "7");
        command.output().unwrap().stdout
    };
    let plain = printed("SOMETHING_ELSE");
    for name in [
        "RINGCAST_LIMITS_CONNECTIONS",
        "LIMITS_CONNECTIONS",
        "RINGCAST_CONFIG",
    ] {
        assert_eq!(printed(name), plain, "{name}");
    }
}
