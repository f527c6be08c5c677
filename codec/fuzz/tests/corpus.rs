//! Every body over the kept corpus and over some thousands of seeded inputs.

use ringcast_codec_fuzz::choices::{Choices, mutate, seeded_bytes};
use ringcast_codec_fuzz::{BODIES, Body};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the seeded inputs begin; the number of an input is added to it.
const SEED: u64 = 0x7269_6E67_6361_7374;

/// Seeded inputs per body.
const INPUTS: u64 = 3_000;

/// The most files and bytes that the repository keeps for one body.
const CORPUS_FILES_MAX: usize = 200;
const CORPUS_BYTES_MAX: usize = 200 * 1024;

fn corpus_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name)
}

fn corpus(body: &Body) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(corpus_folder(body.name))
        .expect("every body has a corpus")
        .map(|entry| entry.expect("readable").path())
        .map(|path| (path.clone(), fs::read(path).expect("readable")))
        .collect();
    files.sort();
    files
}

/// Says which input it was when a body panics.
struct OnPanic(String);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

#[test]
fn the_kept_corpus_holds() {
    for body in BODIES {
        let files = corpus(body);
        assert!(!files.is_empty(), "{} has an empty corpus", body.name);
        for (path, input) in files {
            let _named = OnPanic(format!("{}: {}", body.name, path.display()));
            (body.check)(&input);
        }
    }
}

#[test]
fn the_kept_corpus_is_small() {
    for body in BODIES {
        let files = corpus(body);
        let bytes: usize = files.iter().map(|(_, input)| input.len()).sum();
        assert!(files.len() <= CORPUS_FILES_MAX, "{}", body.name);
        assert!(bytes <= CORPUS_BYTES_MAX, "{}: {bytes} bytes", body.name);
    }
}

#[test]
fn seeded_inputs_hold() {
    println!("seeds {SEED:#x} and the {} that follow", INPUTS - 1);
    for body in BODIES {
        let kept = corpus(body);
        for number in 0..INPUTS {
            let seed = SEED + number;
            let bytes = seeded_bytes(seed, 600);
            let mut choices = Choices::new(&bytes);
            let input = match (number % 4, body.generate) {
                (0, _) => choices.rest().to_vec(),
                (1, _) | (_, None) => {
                    let (_, mut input) = kept[choices.below(kept.len())].clone();
                    mutate(&mut choices, &mut input);
                    input
                }
                (_, Some(generate)) => generate(&mut choices),
            };
            let _named = OnPanic(format!("{}: seed {seed:#x}: {input:02X?}", body.name));
            (body.check)(&input);
        }
    }
}

#[test]
fn every_body_has_a_target_and_nothing_else_has() {
    let bodies: BTreeSet<_> = BODIES.iter().map(|body| body.name.to_owned()).collect();
    assert_eq!(bodies.len(), BODIES.len(), "two bodies of one name");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names_in = |folder: &str| -> BTreeSet<String> {
        fs::read_dir(manifest.join(folder))
            .expect("readable")
            .map(|entry| entry.expect("readable").path())
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names_in("targets"), bodies);
    assert_eq!(names_in("corpus"), bodies);
    let text = fs::read_to_string(manifest.join("Cargo.toml")).expect("readable");
    for body in &bodies {
        assert!(text.contains(&format!("name = \"{body}\"\npath = \"targets/{body}.rs\"")));
    }
}
