//! Flow exports: datagrams one after another, as one exporter sends them.

use weir_schemas::{Micros, SECOND_US};
use weir_sensor::declared::DeclaredFlow;
use weir_sensor::export::{self, Exports};

use crate::promises;
use crate::targets::Answer;

/// When all of them are received.
const RECEIVED: Micros = 1_767_607_200 * SECOND_US;

/// What comes out is what a flow can be, and the same twice.
pub fn datagrams(bytes: &[u8]) -> Result<Answer, String> {
    let (flows, whole) = decode(bytes);
    promises::same(&decode(bytes), &(flows.clone(), whole))?;
    flows.iter().try_for_each(possible)?;
    Ok(if whole > 0 { Answer::Accepted } else { Answer::Refused })
}

/// The flows, and how many datagrams were whole; what is no message at the end is a datagram too.
fn decode(mut bytes: &[u8]) -> (Vec<DeclaredFlow>, u64) {
    let (mut exports, mut flows) = (Exports::new(), Vec::new());
    while !bytes.is_empty() {
        let length = export::message(bytes).map_or(bytes.len(), |(_, length)| length);
        let (datagram, rest) = bytes.split_at(length);
        exports.datagram(([192, 0, 2, 254], 40_000).into(), RECEIVED, datagram, &mut flows);
        bytes = rest;
    }
    exports.finish();
    (flows, exports.counters().all_datagrams())
}

fn possible(flow: &DeclaredFlow) -> Result<(), String> {
    let is_possible = flow.start <= flow.end
        && flow.sampling > 0
        && (flow.fwd.packets > 0 || flow.fwd.bytes == 0)
        && flow.rev.is_none_or(|reverse| reverse.packets > 0 || reverse.bytes == 0);
    if is_possible { Ok(()) } else { Err(format!("no flow is like this: {flow:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn every_seed_is_accepted_and_has_flows() {
        for folder in ["netflow", "sflow"] {
            let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(folder);
            let files: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
            assert!(!files.is_empty());
            for file in files {
                let seed = std::fs::read(&file).unwrap();
                assert!(!decode(&seed).0.is_empty(), "{}", file.display());
                let target = TARGETS.iter().find(|target| target.name == folder).unwrap();
                assert_eq!((target.run)(&seed), Ok(Answer::Accepted));
            }
        }
    }
}
