//! What a client may cost: one bound for everything that comes from outside, each with its unit.

use std::time::Duration;

use crate::log::wire::COMMAND_BYTES_MAX;

/// The bounds of one server. The defaults suit one machine that serves people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one command, as it is sent and as it is completed.
    pub body_bytes_max: usize,
    /// Bytes of one batch of commands.
    pub batch_bytes_max: usize,
    /// Commands in one batch.
    pub batch_commands_max: usize,
    /// Time for a client to send its request line and headers.
    pub header_time_max: Duration,
    /// Time for a client to send its body.
    pub body_time_max: Duration,
    /// Time for a client to take some of an answer: who reads nothing for so long is cut off.
    pub write_time_max: Duration,
    /// Bytes of request line and headers.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub header_fields_max: usize,
    /// Connections at a time; more wait to be accepted.
    pub connections_max: usize,
    /// Requests being answered at a time; more are refused.
    pub requests_open_max: usize,
    /// Time that a command waits for its outcome.
    pub outcome_wait_max: Duration,
    /// Time that a query waits for a revision, at most and when it does not say.
    pub revision_wait_max: Duration,
    pub revision_wait_default: Duration,
    /// Rows of one page, at most and when the query does not say.
    pub page_rows_max: usize,
    pub page_rows_default: usize,
    /// Bytes of `after`, where a page begins: many times what a page says as `next`.
    pub cursor_bytes_max: usize,
    /// Clients of the event stream at a time.
    pub stream_clients_max: usize,
    /// Events read ahead for a client of the event stream that is slower than the log.
    pub stream_events_max: usize,
    /// Time for connections to finish after the server was told to stop.
    pub stop_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: COMMAND_BYTES_MAX,
            batch_bytes_max: 8 << 20,
            batch_commands_max: 1_000,
            header_time_max: Duration::from_secs(10),
            body_time_max: Duration::from_secs(30),
            write_time_max: Duration::from_secs(30),
            header_bytes_max: 32 << 10,
            header_fields_max: 100,
            connections_max: 1_024,
            requests_open_max: 512,
            outcome_wait_max: Duration::from_secs(30),
            revision_wait_max: Duration::from_secs(30),
            revision_wait_default: Duration::from_secs(5),
            page_rows_max: 1_000,
            page_rows_default: 100,
            cursor_bytes_max: 1_024,
            stream_clients_max: 64,
            stream_events_max: 32,
            stop_time_max: Duration::from_secs(10),
        }
    }
}
