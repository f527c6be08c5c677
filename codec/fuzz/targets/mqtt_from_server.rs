//! libFuzzer on what a server sends.
#![forbid(unsafe_code)]
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ringcast_codec_fuzz::mqtt::from_server(data));
