//! Fuzz targets come with the decoders.
#![forbid(unsafe_code)]
fn main() {}
