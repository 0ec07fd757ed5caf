//! The numbers of the writers and of the views, read when `/metrics` is asked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::log::Log;
use crate::log::record::Partition;
use crate::processor::metrics::{BATCH_BOUNDS_COMMANDS, Histogram, LATENCY_BOUNDS_MICROS, WriterMetrics};

type Encoded = Result<(), fmt::Error>;
/// Picks a counter of a writer.
type Read = fn(&WriterMetrics) -> &AtomicU64;

/// The writers of this process.
#[derive(Debug)]
pub struct Writers(pub Vec<(Partition, Arc<WriterMetrics>)>);

impl Collector for Writers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        self.commands(&mut encoder)?;
        let counters: [(&str, &str, Read); 7] = [
            ("ipam_command_duplicates", "Commands that had been decided before", |m| &m.duplicates),
            ("ipam_command_mismatches", "Command ids that came again with another command", |m| &m.mismatches),
            ("ipam_commands_forwarded", "Commands sent on to the partition that decides them", |m| &m.forwarded),
            ("ipam_dead_letters", "Records sent to the dead-letter topic", |m| &m.dead_letters),
            ("ipam_void_records", "Records without effect that writers saw", |m| &m.void_records),
            ("ipam_takeovers", "Reigns that writers of this process opened", |m| &m.takeovers),
            ("ipam_writer_restarts", "Writers that ended otherwise than by an orderly stop", |m| &m.restarts),
        ];
        for (name, help, read) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            self.each(&mut metric, |one, writer| count(one, read(writer).load(Ordering::Relaxed)))?;
        }
        let mut metric = encoder.encode_descriptor(
            "ipam_outcomes_in_flight",
            "Outcomes appended and not yet read back",
            None,
            MetricType::Gauge,
        )?;
        self.each(&mut metric, |one, writer| one.encode_gauge(&signed(writer.in_flight.load(Ordering::Relaxed))))?;
        let mut metric = encoder.encode_descriptor(
            "ipam_batch_commands",
            "Commands decided and appended at once",
            None,
            MetricType::Histogram,
        )?;
        self.each(&mut metric, |one, writer| histogram(one, &writer.batch_commands, &BATCH_BOUNDS_COMMANDS, 1.0))?;
        let mut metric = encoder.encode_descriptor(
            "ipam_append_latency_seconds",
            "From the decision of a batch to its acknowledgement",
            None,
            MetricType::Histogram,
        )?;
        self.each(&mut metric, |one, writer| histogram(one, &writer.append_micros, &LATENCY_BOUNDS_MICROS, 1e-6))
    }
}

impl Writers {
    fn commands(&self, encoder: &mut DescriptorEncoder<'_>) -> Encoded {
        let help = "Commands acknowledged, by type and outcome";
        let mut metric = encoder.encode_descriptor("ipam_commands", help, None, MetricType::Counter)?;
        for (partition, writer) in &self.0 {
            for (kind, accepted, rejected) in writer.commands() {
                for (outcome, value) in [("accepted", accepted), ("rejected", rejected)] {
                    let labels =
                        [("partition", partition.to_string()), ("type", kind.into()), ("outcome", outcome.into())];
                    count(&mut metric.encode_family(&labels)?, value)?;
                }
            }
        }
        Ok(())
    }

    fn each(
        &self,
        metric: &mut MetricEncoder<'_>,
        encode: impl Fn(&mut MetricEncoder<'_>, &WriterMetrics) -> Encoded,
    ) -> Encoded {
        self.0.iter().try_for_each(|(partition, writer)| {
            encode(&mut metric.encode_family(&[("partition", partition.to_string())])?, writer)
        })
    }
}

/// The views of this process, held against the log.
pub struct Views {
    pub views: crate::views::Views,
    pub log: Arc<dyn Log>,
}

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Views")
    }
}

impl Collector for Views {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Encoded {
        let partitions = self.views.progress().partitions();
        let mut metric = encoder.encode_descriptor(
            "ipam_views_lag_records",
            "Records of the log that the views have not folded; absent when the log does not answer",
            None,
            MetricType::Gauge,
        )?;
        for (partition, progress) in &partitions {
            // One that does not answer is waited for once, not once a partition.
            let Ok(end) = self.log.end(*partition) else { break };
            let labels = [("partition", partition.to_string())];
            metric.encode_family(&labels)?.encode_gauge(&signed(end.0.saturating_sub(progress.next.0)))?;
        }
        let help = "Records without effect that the views have passed over, ever";
        let mut metric = encoder.encode_descriptor("ipam_views_void_records", help, None, MetricType::Counter)?;
        for (partition, progress) in &partitions {
            count(&mut metric.encode_family(&[("partition", partition.to_string())])?, progress.void_count)?;
        }
        let help = "1 where the views of a partition have stopped at a record that they cannot fold";
        let mut metric = encoder.encode_descriptor("ipam_views_stopped", help, None, MetricType::Gauge)?;
        for (partition, progress) in &partitions {
            let labels = [("partition", partition.to_string())];
            metric.encode_family(&labels)?.encode_gauge(&i64::from(progress.stopped.is_some()))?;
        }
        Ok(())
    }
}

fn count(metric: &mut MetricEncoder<'_>, value: u64) -> Encoded {
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

#[expect(clippy::cast_precision_loss, reason = "monitoring needs no more than 15 digits")]
fn histogram<const BUCKETS: usize>(
    metric: &mut MetricEncoder<'_>,
    histogram: &Histogram<BUCKETS>,
    bounds: &[u64],
    unit: f64,
) -> Encoded {
    let bounds = bounds.iter().map(|bound| *bound as f64 * unit).chain([f64::MAX]);
    let buckets: Vec<_> = bounds.zip(histogram.buckets()).collect();
    metric.encode_histogram::<NoLabelSet>(histogram.sum() as f64 * unit, histogram.count(), &buckets, None)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::metrics::Metrics;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_writers_numbers_are_in_the_text() {
        let metrics = Arc::new(WriterMetrics::default());
        metrics.takeovers.store(3, Ordering::Relaxed);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Writers(vec![(Partition(2), metrics)])));
        let text = Metrics::new(registry).text();
        for line in [
            "ipam_takeovers_total{partition=\"2\"} 3",
            "ipam_commands_total{partition=\"2\",type=\"AllocateCidr\",outcome=\"accepted\"} 0",
            "ipam_append_latency_seconds_count{partition=\"2\"} 0",
            "ipam_batch_commands_bucket{le=\"+Inf\",partition=\"2\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
