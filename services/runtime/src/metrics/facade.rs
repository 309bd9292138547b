//! The instruments of every service. To add one, add it here.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};
use opentelemetry::{KeyValue, StringValue};

use super::instrument::{Instrument, facade};

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
        /// Sensor clock minus reference clock.
        clock_offset(): Gauge<f64> = "weir.sensor.clock_offset", "s";
        /// Newest event time read minus the last mark's.
        mark_delay(): Gauge<f64> = "weir.sensor.mark.delay", "s";
    }

    /// Instruments of the detector. Both its stages may run in one process: `stage` tells them apart.
    DetectorMetrics {
        /// Records (site stage: partials) read, by fate: counted, overlap, late, `clock_fault`, duplicate, dead or mark.
        records(stage, result): Counter<u64> = "weir.detector.records", "{record}";
        /// Records between the committed offset and the log's end.
        consumer_lag(partition): Gauge<f64> = "weir.detector.consumer.lag", "{record}";
        /// Append time of the log's end minus that of the last record read.
        consumer_time_lag(partition): Gauge<f64> = "weir.detector.consumer.time_lag", "s";
        /// Newest append time minus the watermark.
        watermark_delay(partition): Gauge<f64> = "weir.detector.watermark.delay", "s";
        /// Panes that take records.
        panes_open(stage): Gauge<f64> = "weir.detector.panes.open", "{pane}";
        /// Panes closed.
        panes_closed(stage): Counter<u64> = "weir.detector.panes.closed", "{pane}";
        /// Commits.
        commits(stage): Counter<u64> = "weir.detector.commits", "{commit}";
        /// Time a commit took.
        commit_duration(stage): Histogram<f64> = "weir.detector.commit.duration", "s";
        /// Transactions, by outcome.
        transactions(outcome): Counter<u64> = "weir.detector.transactions", "{transaction}";
        /// Time a restore took, by phase.
        restore_duration(phase): Histogram<f64> = "weir.detector.restore.duration", "s";
        /// Records read again to refill open panes.
        replayed_records(): Counter<u64> = "weir.detector.replayed.records", "{record}";
        /// How far the replay's begin is from falling out of the log.
        replay_margin(): Gauge<f64> = "weir.detector.replay_margin", "s";
        /// Size of the state held.
        state_bytes(stage): Gauge<f64> = "weir.detector.state.bytes", "By";
        /// Entries that a stage's full tables let go.
        evicted(stage): Counter<u64> = "weir.detector.evicted", "{entry}";
        /// Partitions owned.
        partitions_owned(stage): Gauge<f64> = "weir.detector.partitions.owned", "{partition}";
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
    }
}
