//! Frames that etherparse builds decode to what was built; no bytes make the decoder panic.
