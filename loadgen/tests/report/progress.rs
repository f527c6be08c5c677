//! What stands on a screen, and in a log, while a run goes on.

use crate::sample::process;
use ringcast_loadgen::report::Progress;
use std::time::Duration;

fn told(is_terminal: bool, planned: Option<Duration>, seconds: usize) -> String {
    let mut text = Vec::new();
    let mut progress = Progress::new(&mut text, is_terminal, 500, planned);
    let of_run = process(0, &[0]).seconds;
    for second in of_run.iter().cycle().take(seconds) {
        let mut second = second.clone();
        second.late = 1;
        progress.on_second(&second);
    }
    String::from_utf8(text).expect("it is text")
}

/// What a terminal shows that knows only what is used here.
fn shown(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut row = 0;
    for piece in text.split_inclusive('\n') {
        let mut piece = piece.replace("\x1b[?7l", "").replace("\x1b[?7h", "");
        if let Some((up, rest)) = piece
            .strip_prefix("\x1b[")
            .and_then(|rest| rest.split_once('A'))
        {
            row -= up.parse::<usize>().expect("a number of lines");
            piece = rest.to_owned();
        }
        let line = piece.strip_prefix('\r').expect("it begins at the left");
        let line = line
            .strip_suffix("\x1b[K\n")
            .expect("what stood there is cleared");
        assert!(!line.contains('\x1b'), "{line:?}");
        lines.truncate(lines.len().max(row));
        match lines.get_mut(row) {
            Some(old) => *old = line.to_owned(),
            None => lines.push(line.to_owned()),
        }
        row += 1;
    }
    lines
}

#[test]
fn without_a_terminal_there_is_a_line_for_each_second() {
    let expected = "\
time 1 s of 60 s, connections 500 of 500, published 0.00/s, delivered 0.00/s, late 1, wrong 0, response none
time 2 s of 60 s, connections 500 of 500, published 10/s, delivered 10,000/s, late 2, wrong 0, response p50 600 µs p90 1.00 ms p99 1.09 ms p99.9 1.10 ms p99.99 1.10 ms max 1.10 ms
";
    assert_eq!(told(false, Some(Duration::from_secs(60)), 2), expected);
}

#[test]
fn on_a_terminal_figures_stay_where_they_are() {
    for seconds in [1, 2, 4] {
        let shown = shown(&told(true, None, seconds));
        assert_eq!(shown.len(), 8, "{shown:#?}");
        assert_eq!(shown[0], format!("time         {seconds} s"));
        assert_eq!(shown[4], format!("late         {seconds}"));
    }
    let shown = shown(&told(true, None, 4));
    assert_eq!(shown[3], "delivered    10,000/s");
    assert_eq!(shown[7], "             ▁█▁█");
}

#[test]
fn the_bars_are_those_of_the_last_minute() {
    let shown = shown(&told(true, None, 75));
    let bars = shown[7].trim_start();
    assert_eq!(bars.chars().count(), 60);
    assert!(bars.starts_with("█▁█"), "{bars}");
}
