//! placeholder: filled by the local bus
