//! libFuzzer on the encoder of PUBLISH for subscribers.
#![forbid(unsafe_code)]
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ringcast_codec_fuzz::mqtt::publish_frame(data));
