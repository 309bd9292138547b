//! Names of the ATT&CK techniques that detectors give, for readers who expect them beside the ids.
//!
//! Source: MITRE ATT&CK Enterprise, <https://attack.mitre.org>.

/// A technique or sub-technique, and the tactic it serves here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Technique {
    /// `T1046`, `T1498.001`.
    pub(crate) id: &'static str,
    /// Its name; of a sub-technique, without its technique's.
    pub(crate) name: &'static str,
    /// Id of the tactic.
    pub(crate) tactic: &'static str,
}

const DISCOVERY: &str = "TA0007";
const IMPACT: &str = "TA0040";

const TECHNIQUES: [Technique; 7] = [
    Technique { id: "T1018", name: "Remote System Discovery", tactic: DISCOVERY },
    Technique { id: "T1046", name: "Network Service Discovery", tactic: DISCOVERY },
    Technique { id: "T1498", name: "Network Denial of Service", tactic: IMPACT },
    Technique { id: "T1498.001", name: "Direct Network Flood", tactic: IMPACT },
    Technique { id: "T1498.002", name: "Reflection Amplification", tactic: IMPACT },
    Technique { id: "T1499", name: "Endpoint Denial of Service", tactic: IMPACT },
    Technique { id: "T1499.001", name: "OS Exhaustion Flood", tactic: IMPACT },
];

/// The technique with this id, if a detector of today gives it.
pub(crate) fn technique(id: &str) -> Option<Technique> {
    TECHNIQUES.into_iter().find(|technique| technique.id == id)
}

/// The name of a tactic.
pub(crate) fn tactic_name(id: &str) -> Option<&'static str> {
    match id {
        DISCOVERY => Some("Discovery"),
        IMPACT => Some("Impact"),
        _ => None,
    }
}

/// The page of a technique.
pub(crate) fn reference(id: &str) -> String {
    format!("https://attack.mitre.org/techniques/{}/", id.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_technique_has_a_named_tactic_and_its_parent() {
        for found in TECHNIQUES {
            assert!(tactic_name(found.tactic).is_some(), "{}", found.id);
            let parent = found.id.split('.').next().and_then(technique);
            assert_eq!(parent.map(|parent| parent.tactic), Some(found.tactic), "{}", found.id);
        }
        assert_eq!(reference("T1498.001"), "https://attack.mitre.org/techniques/T1498/001/");
    }
}
