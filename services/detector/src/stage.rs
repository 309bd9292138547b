//! One stage over all partitions of its input: read, apply, commit.

use std::collections::VecDeque;
use std::time::Instant;

use weir_bus::partition::partition_of;
use weir_bus::{Batch, Bus, Delivery, GroupOffset, Headers};
use weir_engine::baseline::ExportedBaseline;
use weir_engine::{Checkpoint, Counters, SiteTask};
use weir_runtime::metrics::{DetectorMetrics, EngineMetrics};
use weir_schemas::{Micros, PANE_US};

use crate::outputs::{self, Letter, OutputCounts, StageTopics};
use crate::report::{Levels, Reporter, count_findings};
use crate::restore::restore_task;
use crate::task::{Taken, Task};
use crate::{DetectorConfig, DetectorError};

/// Records after which a commit is due even without outputs, so that a restart replays little.
const COMMIT_RECORDS: usize = 65_536;

/// How far a partition may run ahead of the slowest that still has records, in event time. The site stage holds a pane until
/// every partition has closed it, and it holds a bounded number of panes.
const AHEAD: Micros = PANE_US;

struct Owned<T> {
    partition: u32,
    task: T,
    /// Read, and not yet applied.
    pending: VecDeque<Delivery>,
    uncommitted: usize,
    letters: Vec<Letter>,
    /// What the metrics have been told.
    told: Counters,
    /// Append time of the last record applied.
    appended: Option<Micros>,
}

pub(crate) struct Stage<T> {
    topics: StageTopics,
    batch: usize,
    keep_state: bool,
    tasks: Vec<Owned<T>>,
    deliveries: Vec<Delivery>,
    reporter: Reporter,
}

impl<T: Task> Stage<T> {
    pub(crate) fn restore<B: Bus + ?Sized>(
        config: &DetectorConfig,
        topics: StageTopics,
        bus: &mut B,
    ) -> Result<Self, DetectorError> {
        let mut tasks = Vec::new();
        for partition in 0..bus.partition_count(&topics.input)? {
            let task: T = restore_task(config, &topics, partition, bus)?;
            // What was counted before the restart was told before it.
            let told = task.counters().clone();
            let (pending, letters) = (VecDeque::new(), Vec::new());
            tasks.push(Owned { partition, task, pending, uncommitted: 0, letters, told, appended: None });
        }
        let reporter = Reporter::new(topics.stage, DetectorMetrics::default(), EngineMetrics::default());
        let (batch, keep_state) = (config.batch, config.keep_state);
        Ok(Self { topics, batch, keep_state, tasks, deliveries: Vec::new(), reporter })
    }

    pub(crate) fn reporting_to(self, reporter: Reporter) -> Self {
        Self { reporter, ..self }
    }

    pub(crate) fn step<B: Bus + ?Sized>(&mut self, bus: &mut B) -> Result<usize, DetectorError> {
        for owned in self.tasks.iter_mut().filter(|owned| owned.pending.is_empty()) {
            bus.read(&self.topics.input, owned.partition, owned.task.position(), self.batch, &mut self.deliveries)?;
            owned.pending.extend(self.deliveries.drain(..));
        }
        let behind = self.tasks.iter().filter(|owned| !owned.pending.is_empty()).map(|owned| owned.task.pace()).min();
        // Before a partition's first mark nothing holds it, and it holds all others.
        let horizon = behind.flatten().map(|slowest| slowest.saturating_add(AHEAD));
        let mut applied = 0;
        let mut has_committed = false;
        for owned in &mut self.tasks {
            while owned.task.pace().is_none_or(|watermark| Some(watermark) <= horizon) {
                let Some(delivery) = owned.pending.pop_front() else { break };
                applied += 1;
                owned.uncommitted += 1;
                owned.appended = Some(delivery.append_time);
                // What a replay sets aside again was dead-lettered when it was read first. A replay ends with its last record.
                let was_read_before = owned.task.is_replaying();
                if let Taken::Dead(reason) = owned.task.take(&delivery)
                    && !was_read_before
                {
                    owned.letters.push(Letter { delivery, reason });
                }
                if owned.task.outbox().urgent {
                    has_committed |= commit(&self.topics, &self.reporter, self.keep_state, owned, bus)?;
                }
            }
            let is_due = !owned.task.outbox().is_empty() || owned.uncommitted >= COMMIT_RECORDS;
            if is_due {
                has_committed |= commit(&self.topics, &self.reporter, self.keep_state, owned, bus)?;
            }
        }
        if applied == 0 {
            for owned in self.tasks.iter_mut().filter(|owned| owned.uncommitted > 0) {
                has_committed |= commit(&self.topics, &self.reporter, self.keep_state, owned, bus)?;
            }
        }
        if has_committed {
            self.report_levels();
        }
        Ok(applied)
    }

    fn report_levels(&self) {
        for owned in &self.tasks {
            if let Some((appended, watermark)) = owned.appended.zip(owned.task.watermark()) {
                self.reporter.watermark_delay(owned.partition, appended.saturating_sub(watermark));
            }
        }
        self.reporter.levels(Levels {
            partitions: self.tasks.len(),
            panes_open: self.tasks.iter().map(|owned| owned.task.open_panes()).sum(),
            state_bytes: self.tasks.iter().map(|owned| owned.task.state_bytes()).sum(),
        });
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for owned in &self.tasks {
            sum.add(owned.task.counters());
        }
        sum
    }

    pub(crate) fn tasks(&self) -> impl Iterator<Item = &T> {
        self.tasks.iter().map(|owned| &owned.task)
    }
}

impl Stage<SiteTask> {
    pub(crate) fn import(&mut self, rows: &[ExportedBaseline]) -> usize {
        let count = self.tasks.len() as u32;
        let mut unknown = 0;
        for owned in &mut self.tasks {
            let of_partition = |row: &&ExportedBaseline| partition_of(&row.key, count) == owned.partition;
            let mine: Vec<ExportedBaseline> = rows.iter().filter(of_partition).cloned().collect();
            unknown += owned.task.import_baselines(&mine);
        }
        unknown
    }
}

/// Appends a task's outputs, state and offset as one batch. False where a task still refills panes: it has nothing to commit
/// yet.
fn commit<T: Task, B: Bus + ?Sized>(
    topics: &StageTopics,
    reporter: &Reporter,
    keep_state: bool,
    owned: &mut Owned<T>,
    bus: &mut B,
) -> Result<bool, DetectorError> {
    if owned.task.is_replaying() {
        return Ok(false);
    }
    let began = Instant::now();
    let state_end = if keep_state { bus.offsets(&topics.state, owned.partition)?.1 } else { 0 };
    let counts = OutputCounts {
        partials: bus.partition_count(&topics.partials)?,
        findings: bus.partition_count(&topics.findings)?,
        dead: bus.partition_count(&topics.dead)?,
    };
    let Checkpoint { offset, metadata, state, outbox } = owned.task.checkpoint(state_end);
    let findings = count_findings(&outbox);
    let state = if keep_state { state } else { Vec::new() };
    let letters = std::mem::take(&mut owned.letters);
    let messages = outputs::messages(topics, counts, owned.partition, letters, outbox, state, &Headers::new());
    let (group, topic, partition) = (topics.group.clone(), topics.input.clone(), owned.partition);
    bus.append(Batch { messages, offsets: vec![GroupOffset { group, topic, partition, offset, metadata }] })?;
    owned.uncommitted = 0;
    reporter.commit(&mut owned.told, owned.task.counters(), &findings, began.elapsed());
    Ok(true)
}
