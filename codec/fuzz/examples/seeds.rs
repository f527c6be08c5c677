//! Writes generated inputs for fuzzers to begin from:
//! `cargo run -p ringcast-codec-fuzz --example seeds FOLDER` makes one folder
//! per body in it.

#![forbid(unsafe_code)]

use ringcast_codec_fuzz::BODIES;
use ringcast_codec_fuzz::choices::{Choices, seeded_bytes};
use std::path::PathBuf;
use std::{env, fs, io};

/// Inputs per body; minimising them keeps a small part.
const INPUTS: u64 = 2_000;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or(io::ErrorKind::InvalidInput)?);
    for body in BODIES {
        let folder = folder.join(body.name);
        fs::create_dir_all(&folder)?;
        for seed in 0..INPUTS {
            let bytes = seeded_bytes(seed, 400);
            let input = match body.generate {
                Some(generate) => generate(&mut Choices::new(&bytes)),
                None => bytes,
            };
            // Long inputs slow the search down and find nothing that short ones don't.
            if input.len() <= 4096 {
                fs::write(folder.join(format!("{seed:04}")), input)?;
            }
        }
    }
    Ok(())
}
