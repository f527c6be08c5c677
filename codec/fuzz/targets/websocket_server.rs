//! libFuzzer on what a client sends over WebSocket.
#![forbid(unsafe_code)]
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ringcast_codec_fuzz::websocket::websocket_server(data));
