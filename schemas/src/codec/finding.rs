//! `weir.FindingV1` and `weir.AnomalyV1`: one body under two names. Field order is that of `avro/finding.avsc`.

use super::error::DecodeError;
use super::wire::{Failed, Input, Wire, put_octets, wire_record};
use crate::finding::{
    Baseline, Contribution, EpisodeState, Evidence, EvidenceFlow, EvidenceSensor, Finding, Party, Provenance, Scope,
    ScopeKind, Severity, Technique, Window,
};

wire_record!(Scope { kind, key });
wire_record!(Party { ip, name, port });
wire_record!(Window { start, end });
wire_record!(Baseline { kind, mean, spread, n, quantile });
wire_record!(Contribution { feature, value, unit, threshold });
wire_record!(Technique { attack_version, ids });
wire_record!(EvidenceFlow { flow_id, community_id, src, dst, proto, first_time, packets, bytes, outcome });
wire_record!(EvidenceSensor { id, vantage, loss });
wire_record!(Evidence { flows, n_flows, sensors });
wire_record!(Provenance { topic, partition, first_offset, last_offset, engine, rules_hash, emitted_at });
wire_record!(Finding {
    v,
    id,
    revision,
    state,
    detector,
    rule_version,
    profile,
    severity,
    score,
    confidence,
    scope,
    source,
    target,
    discriminator,
    episode_start,
    window,
    metric,
    unit,
    observed,
    threshold,
    baseline,
    deviation,
    counterfactual,
    contributions,
    scores,
    message,
    reason,
    variant,
    technique,
    evidence,
    complete,
    degraded,
    labels,
    provenance,
});

/// Enums that travel as their lower-case word.
macro_rules! wire_word {
    ($type:ty, $field:literal, [$($value:ident),+]) => {
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_octets(out, self.name().as_bytes());
            }
            fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
                let word = input.text()?;
                let known = [$(Self::$value),+].into_iter().find(|value| value.name() == word);
                let fault = || DecodeError::UnknownWord { field: $field, value: word.chars().take(32).collect() };
                known.ok_or_else(|| input.fail(fault()))
            }
        }
    };
}
wire_word!(Severity, "severity", [Info, Low, Medium, High, Critical]);
wire_word!(ScopeKind, "scope kind", [Source, Target, Pair, Prefix, Site, Sensor, Flow]);
wire_word!(EpisodeState, "episode state", [Opened, Updated, Closed]);
