//! What is told of a run whose figures are known.

mod compare;
mod files;
mod folder;
mod html;
mod merge;
mod metrics;
mod progress;
mod sample;
mod table;
