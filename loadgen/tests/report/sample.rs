//! A run made by hand: so many shares of a load, each the same but for its latencies.

use hdrhistogram::Histogram;
use ringcast_loadgen::results::{
    Correctness, Floor, Health, Host, Latencies, Memory, Message, Process, Results, Run, Search,
    SearchStep, Second, Subscriber, Totals,
};
use std::collections::BTreeMap;

/// Deliveries of each share, all in the seconds 1 and 3.
const DELIVERIES: u64 = 20_000;

/// The whole run: two processes with a share each.
pub(crate) fn whole() -> Results {
    let mut results = process(0, &[0]);
    let other = process(1, &[1]);
    results.merge(&other).expect("parts of one run");
    results.floor = Some(Floor {
        rate: 1_000.0,
        payload_bytes: 128,
        response: latencies([8_000, 9_000, 25_000]),
    });
    results.memory = Some(Memory {
        connections: 1_000,
        generator_bytes: 512_000,
        server_bytes: Some(1_048_576),
        kernel_bytes: Some(8_601_600),
    });
    results
}

/// What a process counts whose load are these shares.
pub(crate) fn process(number: u32, shares: &[u64]) -> Results {
    let count = shares.len() as u64;
    let mut results = Results::new(Run {
        id: "5f3a9c".to_owned(),
        started_unix_millis: 1_764_446_400_000,
        scenario: "one-to-many".to_owned(),
        scenario_toml: "# Ticks & <all>\nrate = 1000\nsubscribers = 1000\n".to_owned(),
        targets: vec!["127.0.0.1:1883".to_owned()],
    });
    results.hosts.push(Host {
        name: "hive".to_owned(),
        kernel: "Linux 6.18.0 x86_64".to_owned(),
        processor: "AMD EPYC 9B14".to_owned(),
        processors_allowed: 2,
        governors: vec!["performance".to_owned()],
        memory_bytes: 24 << 30,
        load_average: "0.07".to_owned(),
        descriptors_max: 20_000,
        loopback_steering: "0".to_owned(),
        sysctls: BTreeMap::from([("net.core.somaxconn".to_owned(), "4096".to_owned())]),
    });
    results.processes.push(Process {
        number,
        host: "hive".to_owned(),
        pid: 4_000 + number,
        version: "0.1.0".to_owned(),
        revision: Some("0123456789ab+".to_owned()),
        command_line: vec!["ringcast-loadgen".to_owned(), "one-to-many".to_owned()],
        processors: vec![number],
        connections_opened: 500 * count,
        delivered: DELIVERIES * count,
        health: health(count),
    });
    results.totals = Totals {
        elapsed_nanos: 4_000_000_000,
        publishing_nanos: 2_000_000_000,
        connections_asked: 500 * count,
        connections_opened: 500 * count,
        connect_nanos: 250_000_000,
        subscriptions: 500 * count,
        published: 20 * count,
        delivered: DELIVERIES * count,
        bytes_sent: 3_200 * count,
        bytes_received: DELIVERIES * 160 * count,
        pings: 500 * count,
        pings_answered: 500 * count,
        ..Totals::default()
    };
    let response = shares
        .iter()
        .flat_map(|share| (0..DELIVERIES).map(move |n| 100_000 + n * 100 * (share + 1)));
    results.response = latencies(response.clone());
    results.service = latencies(response.map(|nanos| nanos - 5_000));
    results.connect = latencies(
        shares
            .iter()
            .flat_map(|share| (0..500).map(move |n| 1_000_000 + n * 1_000 * (share + 1))),
    );
    results.seconds = (0..4).map(|at| second(at, shares)).collect();
    results.messages = vec![Message {
        publisher: 0,
        sequence: 7,
        deliveries: 500 * count,
        intended_nanos: 1_000_000_000,
        first_nanos: 1_000_100_000 + shares[0] * 1_000,
        last_nanos: 1_002_000_000 + shares[count as usize - 1] * 1_000,
    }];
    results.correctness = Correctness {
        subscribers: 500 * count,
        due: DELIVERIES * count,
        slowest: shares.iter().max().map(|share| subscriber("slow", *share)),
        fastest: shares.iter().min().map(|share| subscriber("fast", *share)),
        ..Correctness::default()
    };
    results
}

fn health(count: u64) -> Health {
    Health {
        due: 20 * count,
        sent: 20 * count,
        late: 0,
        late_after_nanos: 1_000_000,
        timer_slip: latencies((0..count).flat_map(|_| [2_000, 3_000, 40_000])),
        threads: count as u32,
        thread_nanos: 4_000_000_000 * count,
        busy_nanos: 1_000_000_000 * count,
        cpu_nanos: 3_900_000_000 * count,
        resident_bytes_max: 5_242_880 * count,
    }
}

/// Deliveries in the seconds 1 and 3 only: a stall in between.
fn second(at: u64, shares: &[u64]) -> Second {
    let count = shares.len() as u64;
    let half = DELIVERIES / 2;
    let is_served = at % 2 == 1;
    let response = shares
        .iter()
        .flat_map(|share| (0..half).map(move |n| 100_000 + n * 100 * at * (share + 1)));
    Second {
        connections: 500 * count,
        published: if is_served { 10 * count } else { 0 },
        delivered: if is_served { half * count } else { 0 },
        late: 0,
        wrong: 0,
        response: match is_served {
            true => latencies(response),
            false => Latencies::default(),
        },
    }
}

fn subscriber(name: &str, share: u64) -> Subscriber {
    Subscriber {
        client: format!("{name}-{share}"),
        delivered: 40,
        response_mean_nanos: 1_000_000 + share * 1_000,
    }
}

/// A search whose second step was too much.
pub(crate) fn search() -> Search {
    let step = |rate: f64, nanos: u64| SearchStep {
        rate,
        achieved: rate,
        response: latencies([nanos]),
        passed: nanos < 1_000_000,
    };
    Search {
        percentile: 99.0,
        limit_nanos: 1_000_000,
        steps: vec![
            step(1_000.0, 200_000),
            step(4_000.0, 9_000_000),
            step(2_000.0, 700_000),
        ],
    }
}

/// These, counted.
pub(crate) fn latencies(nanos: impl IntoIterator<Item = u64>) -> Latencies {
    let mut histogram = Histogram::new(3).expect("three digits are allowed");
    for nanos in nanos {
        histogram.record(nanos).expect("it grows");
    }
    Latencies::pack(&histogram)
}
