//! libFuzzer on JSON replies of the gateway.
#![forbid(unsafe_code)]
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ringcast_codec_fuzz::gateway::reply(data));
