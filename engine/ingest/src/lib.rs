//! ringcast-ingest: feeds, and the sequencer that puts all messages in one order.

#![forbid(unsafe_code)]
