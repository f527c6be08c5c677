//! The tool against machines that are made of files, and the program itself.

mod apply;
mod book;
mod check;
mod machine;
mod plan;
mod program;
mod prove;
mod start;
mod topology;
mod unit;
