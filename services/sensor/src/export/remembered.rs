//! Templates that other files told: a capture that was begun anew every hour holds data whose template stands in the one before.

use std::sync::{Arc, Mutex, PoisonError};

use weir_schemas::Micros;

use super::held::{LONGEST_WAIT, Scope};

/// Sets of templates that are remembered, the newest.
const MOST_SETS: usize = 4096;

/// A set of templates, as it was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    scope: Scope,
    templates: Vec<u16>,
    exported: Micros,
    pub(super) header: Vec<u8>,
    pub(super) set: Vec<u8>,
}

/// What all decoders that share it were told.
#[derive(Clone, Debug, Default)]
pub struct RememberedTemplates(Arc<Mutex<Vec<Told>>>);

impl RememberedTemplates {
    /// Notes a set of templates that was exported at a time.
    pub(super) fn note(&self, scope: &Scope, templates: &[u16], exported: Micros, header: &[u8], set: &[u8]) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Exporters tell the same again and again.
        let is_same = |known: &Told| known.scope == *scope && known.set == set;
        if let Some(known) = told.iter_mut().find(|known| is_same(known)) {
            known.exported = known.exported.max(exported);
            return;
        }
        if told.len() >= MOST_SETS {
            told.remove(0);
        }
        let (header, set) = (header.to_vec(), set.to_vec());
        told.push(Told { scope: *scope, templates: templates.to_vec(), exported, header, set });
    }

    /// The set with a template, told last before data that were exported at a time, and not too long before.
    pub(super) fn recall(&self, scope: &Scope, template: u16, exported: Micros) -> Option<Told> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |known: &&Told| {
            known.scope == *scope
                && known.templates.contains(&template)
                && (0..=LONGEST_WAIT).contains(&exported.saturating_sub(known.exported))
        };
        told.iter().filter(is_wanted).max_by_key(|known| known.exported).cloned()
    }
}
