//! libFuzzer on streams of command frames.
#![forbid(unsafe_code)]
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ringcast_codec_fuzz::gateway::command_stream(data));
