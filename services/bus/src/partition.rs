//! placeholder: keys to partitions
