//! What this process counts, in Prometheus' text format. Label values come from closed sets only:
//! a client cannot make new time series.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::domain::command::CommandBody;
use crate::domain::outcome::{Decision, Outcome};

/// The media type of the text format that `prometheus-client` writes.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CommandLabels {
    r#type: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

type Durations = Family<OperationLabels, Histogram, fn() -> Histogram>;

/// The counters of the HTTP room, and the registry with those of the others.
pub struct Metrics {
    registry: Mutex<Registry>,
    commands: Family<CommandLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    pub(super) stream_clients: Gauge,
    pub(super) stream_cut_off: Counter,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Adds this room's metrics to a registry that may hold those of the processor, the log and the views.
    pub fn new(mut registry: Registry) -> Arc<Self> {
        let commands = Family::default();
        let requests = Family::default();
        let durations: Durations = Family::new_with_constructor(|| {
            Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0])
        });
        let stream_clients = Gauge::default();
        let stream_cut_off = Counter::default();
        registry.register(
            "ipam_http_commands",
            "Commands answered over HTTP, by type and outcome",
            Family::clone(&commands),
        );
        registry.register("ipam_http_requests", "Requests answered, by operation and status", requests.clone());
        registry.register(
            "ipam_http_request_duration_seconds",
            "Time from the request's headers to the answer's, by operation",
            durations.clone(),
        );
        registry.register(
            "ipam_http_stream_clients",
            "Clients of the event stream that are connected now",
            stream_clients.clone(),
        );
        registry.register(
            "ipam_http_stream_cut_off",
            "Clients of the event stream that were cut off because they did not read",
            stream_cut_off.clone(),
        );
        Arc::new(Self { registry: Mutex::new(registry), commands, requests, durations, stream_clients, stream_cut_off })
    }

    /// Counts a command's outcome.
    pub fn command(&self, outcome: &Outcome) {
        let known = CommandBody::TYPES.iter().find(|name| **name == outcome.command_type);
        let labels = CommandLabels {
            r#type: known.copied().unwrap_or("unknown"),
            outcome: match outcome.decision {
                Decision::Accepted(_) => "accepted",
                Decision::Rejected(_) => "rejected",
            },
        };
        self.commands.get_or_create(&labels).inc();
    }

    /// Counts an answered request.
    pub fn request(&self, operation: &'static str, status: u16, seconds: f64) {
        self.requests.get_or_create(&RequestLabels { operation, status }).inc();
        self.durations.get_or_create(&OperationLabels { operation }).observe(seconds);
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("a String takes all that is written to it");
        text
    }
}
