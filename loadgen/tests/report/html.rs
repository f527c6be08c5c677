//! The page, taken apart.

use crate::sample::{latencies, process, whole};
use ringcast_loadgen::report::Html;
use ringcast_loadgen::results::{EarlyEnd, Latencies, Results, Run, Second};
use roxmltree::{Document, Node, ParsingOptions};

fn with_page(results: &Results, look: impl FnOnce(&Document<'_>)) {
    let text = Html(results).to_string();
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    match Document::parse_with_options(&text, options) {
        Ok(page) => look(&page),
        Err(error) => panic!("the page is not well-formed: {error}\n{text}"),
    }
}

fn all<'a>(page: &'a Document<'_>, tag: &str) -> Vec<Node<'a, 'a>> {
    let nodes = page
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/1999/xhtml", tag)));
    nodes.collect()
}

/// The plots: their titles, and the series of each.
fn plots(page: &Document<'_>) -> Vec<(String, Vec<String>)> {
    let figures = all(page, "svg").into_iter().map(|svg| {
        let paths = svg
            .descendants()
            .filter(|node| node.tag_name().name() == "path");
        let names = paths.map(|path| {
            path.attribute("data-name")
                .expect("it has a name")
                .to_owned()
        });
        let title = svg.attribute("aria-label").expect("it has a title");
        (title.to_owned(), names.collect())
    });
    figures.collect()
}

/// The path of a series.
fn path(page: &Document<'_>, plot: &str, series: &str) -> String {
    let mut svgs = all(page, "svg").into_iter();
    let svg = svgs.find(|svg| svg.attribute("aria-label") == Some(plot));
    let mut nodes = svg.expect("the plot is there").descendants();
    let path = nodes.find(|node| node.attribute("data-name") == Some(series));
    let path = path.and_then(|path| path.attribute("d"));
    path.expect("the series is there").to_owned()
}

/// The points of a series: each is where a line begins, or goes to.
fn points(page: &Document<'_>, plot: &str, series: &str) -> Vec<(f64, f64)> {
    let path = path(page, plot, series);
    let points = path.split(['M', 'L']).skip(1).map(|point| {
        let point = point.trim_end_matches("h0");
        let (x, y) = point.split_once(',').expect("a point");
        let number = |text: &str| text.parse().expect("a number");
        (number(x), number(y))
    });
    points.collect()
}

#[test]
fn every_series_is_there() {
    with_page(&whole(), |page| {
        let expected: [(&str, &[&str]); 5] = [
            (
                "Latency by percentile",
                &["response", "service", "connect", "floor"],
            ),
            ("Response time", &["p50", "p99", "p99.9", "max"]),
            ("Deliveries per second", &["delivered"]),
            ("Publishes per second", &["published", "late"]),
            ("Connections", &["open"]),
        ];
        let expected = expected.map(|(title, names)| {
            (
                title.to_owned(),
                names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect::<Vec<_>>(),
            )
        });
        assert_eq!(plots(page), expected);
        // All seconds, and of response times those that have some.
        assert_eq!(points(page, "Connections", "open").len(), 4);
        assert_eq!(points(page, "Deliveries per second", "delivered").len(), 4);
        assert_eq!(points(page, "Response time", "p99").len(), 2);
        // No line leads over a second without any.
        let path = path(page, "Response time", "p99");
        assert_eq!(path.matches('L').count(), 0, "{path}");
    });
}

#[test]
fn what_is_more_is_higher_and_what_is_later_further_right() {
    with_page(&whole(), |page| {
        let delivered = points(page, "Deliveries per second", "delivered");
        assert!(delivered.is_sorted_by(|a, b| a.0 < b.0), "{delivered:?}");
        // The seconds 1 and 3 have deliveries, the others none; the axis is at 234.
        assert_eq!((delivered[0].1, delivered[2].1), (234.0, 234.0));
        assert!(
            delivered[1].1 < 100.0 && delivered[3].1 < 100.0,
            "{delivered:?}"
        );
        let response = points(page, "Latency by percentile", "response");
        assert!(
            response.is_sorted_by(|a, b| a.0 <= b.0 && a.1 >= b.1),
            "{response:?}"
        );
    });
}

#[test]
fn pointing_at_a_second_tells_its_values() {
    with_page(&whole(), |page| {
        let told: Vec<_> = all(page, "title").iter().filter_map(Node::text).collect();
        let second = "1–2 s: p50 767 µs, p99 2.06 ms, p99.9 2.10 ms, max 2.10 ms";
        assert!(told.contains(&second), "{told:#?}");
        assert!(told.contains(&"2–3 s: p50 none, p99 none, p99.9 none, max none"));
        assert!(told.contains(&"1–2 s: published 20, late 0"));
    });
}

#[test]
fn a_page_needs_nothing_but_itself() {
    with_page(&whole(), |page| {
        for node in page.descendants() {
            for attribute in ["src", "href", "data", "action"] {
                assert_eq!(node.attribute(attribute), None, "{node:?}");
            }
        }
        assert!(all(page, "script").is_empty() && all(page, "link").is_empty());
        let style = all(page, "style")[0].text().expect("it has a style");
        assert!(!style.contains("url(") && !style.contains("@import"));
        assert!(style.contains("prefers-color-scheme: dark"));
    });
}

#[test]
fn texts_are_told_as_they_are() {
    let mut results = whole();
    let text = "<script>alert(\"a & b\")</script>\u{1b}\u{0}".to_owned();
    results.run.scenario.clone_from(&text);
    results.run.targets = vec![text.clone()];
    results.processes[0].command_line = vec![text.clone()];
    results.hosts[0].sysctls.insert(text.clone(), text.clone());
    results.early_ends.push(EarlyEnd {
        process: None,
        at_nanos: 0,
        why: text,
    });
    with_page(&results, |page| {
        assert!(all(page, "script").is_empty());
        let heading = all(page, "h1")[0].text();
        assert_eq!(
            heading,
            Some("<script>alert(\"a & b\")</script>\u{fffd}\u{fffd}")
        );
        let verdict: Vec<_> = all(page, "li").iter().filter_map(Node::text).collect();
        assert_eq!(
            verdict,
            ["Wrong: <script>alert(\"a & b\")</script>\u{fffd}\u{fffd}"]
        );
        let scenario = all(page, "pre").last().and_then(Node::text);
        assert_eq!(scenario, Some(&*results.run.scenario_toml));
    });
}

#[test]
fn a_long_run_is_told_in_as_many_columns_as_a_screen_shows() {
    let mut results = process(0, &[0]);
    results.seconds[1].response = latencies([50]);
    results.seconds = vec![results.seconds[1].clone(); 2_000];
    results.seconds[1_000].response = latencies([9_000_000_000]);
    with_page(&results, |page| {
        let delivered = points(page, "Deliveries per second", "delivered");
        // Four seconds each.
        assert_eq!(delivered.len(), 500);
        // A rate stays a rate, however many seconds are told together.
        assert!(delivered.iter().all(|point| point.1 == delivered[0].1));
        let told: Vec<_> = all(page, "title").iter().filter_map(Node::text).collect();
        assert!(told.contains(&"1996–2000 s: delivered 10,000"), "{told:#?}");
        // The one slow second is still seen.
        let max = points(page, "Response time", "max");
        let highest = max
            .iter()
            .map(|point| point.1)
            .fold(f64::INFINITY, f64::min);
        assert_eq!(max.iter().filter(|point| point.1 == highest).count(), 1);
    });
}

#[test]
fn a_run_without_figures_has_a_page_without_plots() {
    let mut results = Results::new(Run {
        id: "5f3a9c".to_owned(),
        started_unix_millis: u64::MAX,
        scenario: "none".to_owned(),
        scenario_toml: String::new(),
        targets: Vec::new(),
    });
    with_page(&results, |page| assert_eq!(plots(page), []));
    // Nor is a run without deliveries any trouble.
    results.seconds = vec![Second::default()];
    results.response = Latencies::default();
    with_page(&results, |page| {
        let titles: Vec<_> = plots(page).into_iter().map(|(title, _)| title).collect();
        assert_eq!(
            titles,
            [
                "Deliveries per second",
                "Publishes per second",
                "Connections"
            ]
        );
    });
}
