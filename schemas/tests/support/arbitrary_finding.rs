//! Arbitrary findings. Numbers are finite, because only those have a JSON form; the codec's own test adds the others.

use std::collections::BTreeMap;

use proptest::array::uniform7;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use weir_schemas::finding::{Evidence, EvidenceSensor, Party, Scope, Window};
use weir_schemas::{
    Baseline, Contribution, EpisodeState, EvidenceFlow, Finding, Provenance, ScopeKind, Severity, Technique,
};

use super::arbitrary::{any_count, any_string, any_text, maybe};

fn any_number() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("a finite number", |number| number.is_finite())
}

fn any_party() -> impl Strategy<Value = Party> {
    (maybe(any_string()), maybe(any_string()), any::<Option<u16>>()).prop_map(|(ip, name, port)| Party {
        ip,
        name,
        port,
    })
}

prop_compose! {
    fn any_evidence_flow()(
        (flow_id, community_id, src, dst, outcome) in
            (any_string(), any_string(), any_string(), any_string(), any_string()),
        proto: u8,
        first_time: i64,
        packets in any_count(),
        bytes in any_count(),
    ) -> EvidenceFlow {
        EvidenceFlow { flow_id, community_id, src, dst, proto, first_time, packets, bytes, outcome }
    }
}

prop_compose! {
    fn any_evidence()(
        flows in vec(any_evidence_flow(), 0..4),
        n_flows in any_count(),
        sensors in vec((any_text(), any::<u8>(), any_count()), 0..3),
    ) -> Evidence {
        let sensors = sensors.into_iter().map(|(id, vantage, loss)| EvidenceSensor { id, vantage, loss }).collect();
        Evidence { flows, n_flows, sensors }
    }
}

prop_compose! {
    fn any_baseline()(
        kind in any_string(),
        (mean, spread, quantile) in (maybe(any_number()), maybe(any_number()), maybe(any_number())),
        n in any_count(),
    ) -> Baseline {
        Baseline { kind, mean, spread, n, quantile }
    }
}

prop_compose! {
    fn any_contribution()(
        (feature, unit) in (any_string(), any_string()),
        value in any_number(),
        threshold in maybe(any_number()),
    ) -> Contribution {
        Contribution { feature, value, unit, threshold }
    }
}

prop_compose! {
    fn any_provenance()(
        (topic, engine, rules_hash) in (any_string(), any_string(), any_string()),
        partition: u32,
        (first_offset, last_offset) in any::<(i64, i64)>(),
        emitted_at: Option<i64>,
    ) -> Provenance {
        Provenance { topic, partition, first_offset, last_offset, engine, rules_hash, emitted_at }
    }
}

fn any_words() -> impl Strategy<Value = (Severity, ScopeKind, EpisodeState)> {
    (
        select(vec![Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical]),
        select(vec![
            ScopeKind::Source,
            ScopeKind::Target,
            ScopeKind::Pair,
            ScopeKind::Prefix,
            ScopeKind::Site,
            ScopeKind::Sensor,
            ScopeKind::Flow,
        ]),
        select(vec![EpisodeState::Opened, EpisodeState::Updated, EpisodeState::Closed]),
    )
}

fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(any_string(), any_string(), 0..3)
}

prop_compose! {
    pub fn any_finding()(
        (v, revision, rule_version, complete) in any::<(u32, u32, u32, bool)>(),
        (severity, kind, state) in any_words(),
        [id, detector, profile, key, discriminator, metric, unit] in uniform7(any_string()),
        [message, reason, variant, attack_version, id_1, id_2, word] in uniform7(any_string()),
        [score, confidence, observed, threshold, deviation, counterfactual, model] in uniform7(any_number()),
        (source, target) in (maybe(any_party()), maybe(any_party())),
        (episode_start, start, end) in any::<(i64, i64, i64)>(),
        baseline in any_baseline(),
        contributions in vec(any_contribution(), 0..3),
        (evidence, labels, provenance) in (any_evidence(), any_labels(), any_provenance()),
        models in 0..3_usize,
    ) -> Finding {
        Finding {
            v, id, revision, state, detector, rule_version, profile, severity, score, confidence,
            scope: Scope { kind, key },
            source, target, discriminator, episode_start,
            window: Window { start, end },
            metric, unit, observed, threshold, baseline, deviation, counterfactual, contributions,
            scores: (0..models).map(|index| (format!("model_{index}"), model)).collect(),
            message, reason, variant,
            technique: Technique { attack_version, ids: vec![id_1, id_2] },
            evidence, complete,
            degraded: vec![word],
            labels, provenance,
        }
    }
}
