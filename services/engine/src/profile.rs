//! Profiles: every threshold of every detector, as data. `default` is what an operator would want to be paged by; `classic`
//! keeps the plain thresholds of textbook rules, for comparison.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use crate::detectors::{CATALOGUE, Detector};
use crate::hash::HashSeed;

/// One threshold of one detector.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Key under `[profile.<name>.<detector>]`.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Value in the `default` profile.
    pub default: f64,
    /// Value in the `classic` profile.
    pub classic: f64,
    /// What it does, and where the default comes from.
    pub doc: &'static str,
}

/// The resolved thresholds of one detector, in the order of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules(Vec<f64>);

impl Rules {
    /// The value of the parameter at `index` in the detector's list.
    #[must_use]
    pub fn get(&self, index: usize) -> f64 {
        self.0[index]
    }

    /// The value as a count.
    #[must_use]
    pub fn count(&self, index: usize) -> u64 {
        self.0[index] as u64
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn is_on(&self, index: usize) -> bool {
        self.0[index] != 0.0
    }
}

/// A named set of thresholds for the whole catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `default`, `classic`, or a name from the config.
    pub name: String,
    rules: Vec<Rules>,
    hash: u64,
}

/// Overrides from the config: detector → parameter → value.
pub type Overrides = BTreeMap<String, BTreeMap<String, f64>>;

/// Input errors of a profile: the config names something the catalogue does not have.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ProfileError {
    /// Unknown profile.
    #[error(
        "no profile is called {0:?}; there are \"default\" and \"classic\", and those the config names under [profile.…]"
    )]
    UnknownProfile(String),
    /// Unknown detector.
    #[error(
        "profile {profile:?} sets a threshold of {detector:?}, which is no detector; `weir detectors list` names them"
    )]
    UnknownDetector {
        /// Profile.
        profile: String,
        /// The word at fault.
        detector: String,
    },
    /// Unknown parameter.
    #[error("{detector} has no threshold {parameter:?}; it has {known}")]
    UnknownParameter {
        /// Detector.
        detector: String,
        /// The word at fault.
        parameter: String,
        /// The valid ones.
        known: String,
    },
    /// Not a number a threshold can be.
    #[error("{detector}.{parameter} = {value} is not a threshold; give a finite number of at least 0")]
    BadValue {
        /// Detector.
        detector: String,
        /// Parameter.
        parameter: String,
        /// The value.
        value: f64,
    },
}

impl Profile {
    /// The profile called `name`, with the config's overrides for it. A name of the config's own starts from `default`.
    pub fn named(name: &str, overrides: Option<&Overrides>) -> Result<Self, ProfileError> {
        let classic = name == "classic";
        if !classic && name != "default" && overrides.is_none() {
            return Err(ProfileError::UnknownProfile(name.to_owned()));
        }
        let column = |parameter: &Parameter| if classic { parameter.classic } else { parameter.default };
        let mut rules: Vec<Rules> =
            CATALOGUE.iter().map(|detector| Rules(detector.entry().parameters.iter().map(column).collect())).collect();
        for (detector, values) in overrides.into_iter().flatten() {
            let Some(index) = CATALOGUE.iter().position(|known| known.entry().id == detector) else {
                return Err(ProfileError::UnknownDetector { profile: name.to_owned(), detector: detector.clone() });
            };
            let parameters = CATALOGUE[index].entry().parameters;
            for (parameter, value) in values {
                let Some(place) = parameters.iter().position(|known| known.name == parameter) else {
                    let known: Vec<&str> = parameters.iter().map(|known| known.name).collect();
                    return Err(ProfileError::UnknownParameter {
                        detector: detector.clone(),
                        parameter: parameter.clone(),
                        known: known.join(", "),
                    });
                };
                if !value.is_finite() || *value < 0.0 {
                    let (detector, parameter) = (detector.clone(), parameter.clone());
                    return Err(ProfileError::BadValue { detector, parameter, value: *value });
                }
                rules[index].0[place] = *value;
            }
        }
        let hash = hash_of(name, &rules);
        Ok(Self { name: name.to_owned(), rules, hash })
    }

    /// Rules of the detector at `index` in the catalogue.
    #[must_use]
    pub fn rules(&self, index: usize) -> &Rules {
        &self.rules[index]
    }

    /// Rules of `detector`.
    #[must_use]
    pub fn rules_of(&self, detector: &dyn Detector) -> &Rules {
        let id = detector.entry().id;
        let index = CATALOGUE.iter().position(|known| known.entry().id == id);
        // Every detector is a member of the catalogue: it is where they live.
        &self.rules[index.unwrap_or_default()]
    }

    /// Names these thresholds in checkpoints, partials and findings.
    #[must_use]
    pub fn rules_hash(&self) -> u64 {
        self.hash
    }
}

fn hash_of(name: &str, rules: &[Rules]) -> u64 {
    use std::hash::BuildHasher;
    let mut hasher = HashSeed::default().build_hasher();
    name.hash(&mut hasher);
    for (detector, rules) in CATALOGUE.iter().zip(rules) {
        let entry = detector.entry();
        (entry.id, entry.rule_version).hash(&mut hasher);
        for value in &rules.0 {
            value.to_bits().hash(&mut hasher);
        }
    }
    hasher.finish()
}
