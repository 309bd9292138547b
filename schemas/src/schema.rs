//! The Avro schemas and their fingerprints, as producers publish them to `weir.schemas.v1`.

/// One Avro schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Full name.
    pub name: &'static str,
    /// Text, JSON.
    pub text: &'static str,
    /// CRC-64-AVRO of its parsing canonical form. A constant, so that nothing parses JSON at start; a test computes it.
    pub fingerprint: u64,
}

/// Flow records and marks.
pub const FLOW: Schema =
    Schema { name: "weir.FlowV1", text: include_str!("../avro/flow.avsc"), fingerprint: 0x827f_5a22_1cf4_ce41 };

/// Findings.
pub const FINDING: Schema =
    Schema { name: "weir.FindingV1", text: include_str!("../avro/finding.avsc"), fingerprint: 0x6256_5b5c_7133_09d4 };

/// Anomalies: the shape of findings under another name.
pub const ANOMALY: Schema =
    Schema { name: "weir.AnomalyV1", text: include_str!("../avro/anomaly.avsc"), fingerprint: 0x1d55_d201_2ed9_6821 };

/// Partials.
pub const PARTIAL: Schema =
    Schema { name: "weir.PartialV1", text: include_str!("../avro/partial.avsc"), fingerprint: 0xfd7e_c9a2_edd1_34f3 };

/// State slots.
pub const STATE: Schema =
    Schema { name: "weir.StateV1", text: include_str!("../avro/state.avsc"), fingerprint: 0xcdc4_0f80_827f_4693 };

/// All of them.
pub const ALL: [Schema; 5] = [FLOW, FINDING, ANOMALY, PARTIAL, STATE];
