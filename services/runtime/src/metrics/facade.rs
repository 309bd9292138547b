//! The instruments of every service. To add one, add it here.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use opentelemetry::{KeyValue, StringValue};

use super::instrument::{Description, Instrument, description, facade};
use super::level::Level;
use super::readings::Readings;

facade! {
    /// Instruments of the sensor.
    SensorMetrics {
        /// Packets read.
        packets(): Counter<u64> = "weir.sensor.packets", "{packet}";
        /// Link-layer bytes read.
        bytes(): Counter<u64> = "weir.sensor.bytes", "By";
        /// Packets lost before they could be read.
        drops(reason): Counter<u64> = "weir.sensor.drops", "{packet}";
        /// Packets that could not be decoded, or not to their end.
        decode_errors(kind): Counter<u64> = "weir.sensor.decode_errors", "{packet}";
        /// Flows in the flow table.
        flows_active(): Gauge<f64> = "weir.sensor.flows.active", "{flow}";
        /// Flow records published.
        flows_exported(reason): Counter<u64> = "weir.sensor.flows.exported", "{record}";
        /// Flows with payload, by the application protocol that they were found to speak; `unknown`: read and not recognised (one
        /// that is recognised later counts twice); `unread`: no memory was left to read it.
        applications(name): Counter<u64> = "weir.sensor.applications", "{flow}";
        /// Sensor clock minus reference clock.
        clock_offset(): Gauge<f64> = "weir.sensor.clock_offset", "s";
        /// Newest event time read minus the last mark's.
        mark_delay(): Gauge<f64> = "weir.sensor.mark.delay", "s";
        /// Records handed to the broker, by outcome: delivered or failed.
        deliveries(outcome): Counter<u64> = "weir.sensor.deliveries", "{record}";
    }

    /// Instruments of the detector. Both its stages may run in one process: `stage` tells them apart.
    DetectorMetrics {
        /// Records (site stage: partials) read, by fate: counted, overlap, late, `clock_fault`, duplicate, dead or mark.
        records(stage, result): Counter<u64> = "weir.detector.records", "{record}";
        /// Records between the committed offset and the log's end.
        consumer_lag(stage, partition): Readings = "weir.detector.consumer.lag", "{record}";
        /// Append time of the log's end minus that of the last record read.
        consumer_time_lag(stage, partition): Readings = "weir.detector.consumer.time_lag", "s";
        /// Newest append time minus the watermark.
        watermark_delay(stage, partition): Readings = "weir.detector.watermark.delay", "s";
        /// Panes that take records.
        panes_open(stage): Level = "weir.detector.panes.open", "{pane}";
        /// Panes closed.
        panes_closed(stage): Counter<u64> = "weir.detector.panes.closed", "{pane}";
        /// Commits.
        commits(stage): Counter<u64> = "weir.detector.commits", "{commit}";
        /// Time a commit took.
        commit_duration(stage): Histogram<f64> = "weir.detector.commit.duration", "s";
        /// Transactions, by outcome: committed, aborted or unknown.
        transactions(stage, outcome): Counter<u64> = "weir.detector.transactions", "{transaction}";
        /// Partitions that were restored from their state.
        restores(stage): Counter<u64> = "weir.detector.restores", "{restore}";
        /// Time a restore took, by phase: state or replay.
        restore_duration(stage, phase): Histogram<f64> = "weir.detector.restore.duration", "s";
        /// Starts of a partition, by what its committed offset and its state said (the rows of the table of offsets):
        /// normal, `first_start`, `group_expired`, operator, `state_lost`, `offset_lost` or `retention_overtaken`.
        recoveries(stage, row): Counter<u64> = "weir.detector.recoveries", "{recovery}";
        /// Records read again to refill open panes.
        replayed_records(stage): Counter<u64> = "weir.detector.replayed.records", "{record}";
        /// Records between the log's start and the oldest one that a replay would need: at 0 retention has overtaken us.
        replay_margin(stage, partition): Readings = "weir.detector.replay_margin", "{record}";
        /// Size of the state held.
        state_bytes(stage): Level = "weir.detector.state.bytes", "By";
        /// Entries that a stage's full tables let go.
        evicted(stage): Counter<u64> = "weir.detector.evicted", "{entry}";
        /// Partitions owned.
        partitions_owned(stage): Level = "weir.detector.partitions.owned", "{partition}";
        /// Partitions that the group assigned and `detector.max_partitions` refuses: nobody reads them.
        partitions_refused(stage): Level = "weir.detector.partitions.refused", "{partition}";
    }

    /// Instruments of the engine, reported by the service around it.
    EngineMetrics {
        /// Judgements, by detector and result: fired, quiet or `cannot_judge`.
        judged(detector, result): Counter<u64> = "weir.engine.judged", "{judgement}";
        /// Findings published, by detector and severity.
        findings(detector, severity): Counter<u64> = "weir.engine.findings", "{finding}";
    }

    /// Instruments of results.
    ResultsMetrics {
        /// Anomalies published, by state: opened, updated or closed.
        anomalies(state): Counter<u64> = "weir.results.anomalies", "{anomaly}";
        /// Anomalies held back, by the name of the policy.
        suppressed(policy): Counter<u64> = "weir.results.suppressed", "{anomaly}";
        /// Deliveries, by sink and outcome.
        deliveries(sink, outcome): Counter<u64> = "weir.results.deliveries", "{delivery}";
        /// Time a delivery took, by sink.
        delivery_duration(sink): Histogram<f64> = "weir.results.delivery.duration", "s";
        /// Time from the newest record of a window to its anomaly.
        end_to_end_latency(): Histogram<f64> = "weir.results.end_to_end.latency", "s";
        /// Findings read, by fate: published, duplicate, replayed or dead.
        findings(result): Counter<u64> = "weir.results.findings", "{finding}";
        /// Findings between the committed offset and the log's end.
        consumer_lag(partition): Readings = "weir.results.consumer.lag", "{finding}";
        /// Append time of the log's end minus that of the last finding read.
        consumer_time_lag(partition): Readings = "weir.results.consumer.time_lag", "s";
        /// Transactions, by outcome: committed, aborted or unknown.
        transactions(outcome): Counter<u64> = "weir.results.transactions", "{transaction}";
        /// Time a commit took.
        commit_duration(): Histogram<f64> = "weir.results.commit.duration", "s";
        /// Starts of a partition, by what its committed offset and its state said; rows as the detector's.
        recoveries(row): Counter<u64> = "weir.results.recoveries", "{recovery}";
        /// Time a restore took, by phase: state or replay.
        restore_duration(phase): Histogram<f64> = "weir.results.restore.duration", "s";
        /// Partitions owned.
        partitions_owned(): Level = "weir.results.partitions.owned", "{partition}";
    }
}

impl DetectorMetrics {
    /// Takes back what was said of a partition that is no longer this process's: another says it now.
    pub fn forget_partition(&self, stage: &'static str, partition: u32) {
        let labels = [KeyValue::new("stage", stage), KeyValue::new("partition", partition.to_string())];
        for readings in [&self.consumer_lag, &self.consumer_time_lag, &self.watermark_delay, &self.replay_margin] {
            readings.forget(&labels);
        }
    }
}

impl ResultsMetrics {
    /// Takes back what was said of a partition that is no longer this process's: another says it now.
    pub fn forget_partition(&self, partition: u32) {
        let labels = [KeyValue::new("partition", partition.to_string())];
        for readings in [&self.consumer_lag, &self.consumer_time_lag] {
            readings.forget(&labels);
        }
    }
}
