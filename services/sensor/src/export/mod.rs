//! Flow exports: datagrams of `NetFlow` v5, v7, v9, IPFIX and sFlow v5 to [`DeclaredFlow`]s, whatever brought the datagrams.
//!
//! What exporters count is taken as it is: sampled counts stay sampled and say so ([`DeclaredFlow::sampling`]); times are the
//! exporter's. A datagram whose lengths do not fit each other is counted and left out whole, but for what stood before the
//! fault in v9.

mod bounded;
mod clock;
mod counters;
mod element;
mod fixed;
mod held;
mod layout;
mod record;
mod remembered;
mod sampling;
mod sequence;
mod sflow;
mod templated;
#[cfg(test)]
pub(crate) mod tests;
mod totals;

use std::net::SocketAddr;

pub use counters::ExportCounters;
pub use layout::{Protocol, WELL_KNOWN_PORTS, claimed, message, recognise};
pub use remembered::RememberedTemplates;
use weir_schemas::Micros;

use crate::declared::{DeclaredFlow, Exporter};
use bounded::Bounded;
use sequence::Gap;

/// Exporters of which losses are told one by one.
const MOST_EXPORTERS: usize = 1024;
/// A header's time before 1996 is that of an exporter without a clock.
const EARLIEST: Micros = layout::EARLIEST as Micros * weir_schemas::SECOND_US;

/// The decoder of all exporters' datagrams.
#[derive(Debug)]
pub struct Exports {
    fixed: fixed::Fixed,
    templated: templated::Templated,
    sflow: sflow::Sflow,
    counters: ExportCounters,
    lost: Bounded<Exporter, u64>,
}

impl Default for Exports {
    fn default() -> Self {
        Self::new()
    }
}

impl Exports {
    /// A decoder that knows no template yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_templates(RememberedTemplates::default())
    }

    /// A decoder that also knows the templates that others told before, and tells them its own.
    #[must_use]
    pub fn with_templates(remembered: RememberedTemplates) -> Self {
        Self {
            fixed: fixed::Fixed::new(),
            templated: templated::Templated::new(remembered),
            sflow: sflow::Sflow::new(),
            counters: ExportCounters::default(),
            lost: Bounded::new(MOST_EXPORTERS),
        }
    }

    /// Decodes what `sender` sent and was received at `received`; flows are appended. False where it is no export, or not
    /// a whole one: counted, and without flows.
    pub fn datagram(
        &mut self,
        sender: SocketAddr,
        received: Micros,
        datagram: &[u8],
        flows: &mut Vec<DeclaredFlow>,
    ) -> bool {
        let Some((protocol, length)) = message(datagram) else {
            self.counters.error(if claimed(datagram).is_some() { "export_length" } else { "export_version" });
            return false;
        };
        if length < datagram.len() {
            self.counters.error("export_length");
        }
        *self.counters.datagrams.entry(protocol).or_default() += 1;
        let message = &datagram[..length];
        let mut output = Output { flows, counters: &mut self.counters, lost: &mut self.lost };
        match protocol {
            Protocol::V5 | Protocol::V7 => self.fixed.decode(sender, received, message, &mut output),
            Protocol::V9 | Protocol::Ipfix => {
                self.templated.decode(sender, protocol, received, message, &mut output);
            }
            Protocol::Sflow => self.sflow.decode(received, message, &mut output),
        }
        true
    }

    /// There are no more datagrams: what still waits for a template is lost.
    pub fn finish(&mut self) {
        self.templated.finish(&mut self.counters);
    }

    /// What was counted up to now.
    #[must_use]
    pub fn counters(&self) -> &ExportCounters {
        &self.counters
    }

    /// The protocol of what was decoded up to now, `exports` where there were several; `None` where there was none.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        let mut protocols = self.counters.datagrams.keys();
        let first = protocols.next()?;
        Some(if protocols.next().is_some() { "exports" } else { first.name() })
    }

    /// How much of each exporter's was lost, of the exporters seen last; units as of [`ExportCounters::lost`].
    pub fn lost_by_exporter(&self) -> impl Iterator<Item = (Exporter, u64)> {
        self.lost.iter().map(|(exporter, lost)| (*exporter, *lost)).filter(|(_, lost)| *lost > 0)
    }
}

/// Where decoders put what they find.
struct Output<'a> {
    flows: &'a mut Vec<DeclaredFlow>,
    counters: &'a mut ExportCounters,
    lost: &'a mut Bounded<Exporter, u64>,
}

impl Output<'_> {
    fn flow(&mut self, flow: DeclaredFlow) {
        self.counters.flows += 1;
        self.flows.push(flow);
    }

    fn note_gap(&mut self, exporter: Exporter, gap: Gap) {
        let lost = self.lost.of(&exporter);
        match gap {
            Gap::None => {}
            Gap::Lost(count) => {
                *lost += u64::from(count);
                self.counters.lost += u64::from(count);
            }
            Gap::Found(count) => {
                let found = u64::from(count).min(*lost);
                *lost -= found;
                self.counters.lost = self.counters.lost.saturating_sub(found);
            }
        }
    }
}

/// The time of export, unless the exporter has no clock.
fn plausible(export: Micros, received: Micros) -> Micros {
    if export >= EARLIEST { export } else { received }
}
