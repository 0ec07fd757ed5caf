//! Which faults come when: drawn from the seed before anything runs, so that a seed names one plan.

use std::time::Duration;

use crate::draw::Draw;
use crate::network::Way;

pub const BROKERS: usize = 3;
pub const NODES: usize = 3;
/// Before the first fault, and between one and the next.
const GAP_MILLIS: (u64, u64) = (1_500, 9_000);
/// Long enough for everything to be as it was.
const QUIET_GAP_MILLIS: (u64, u64) = (22_000, 26_000);
/// Faults at a time: one node of the three is always well, so that there is something to disagree with.
const ON_MAX: usize = 2;
/// How often another fault is drawn when one does not fit beside those that are on.
const DRAWS_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9`; it is started again when the fault is over.
    KillNode(usize),
    /// SIGSTOP, and SIGCONT when it is over.
    StopNode(usize),
    KillBroker(u32),
    StopBroker(u32),
    /// Between a node and one broker, or all of them.
    Link {
        node: usize,
        broker: Option<u32>,
        way: Way,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub at: Duration,
    pub fault: Fault,
    /// Whether the fault begins or is over.
    pub begins: bool,
}

/// Steps in the order of time, all faults over at the end.
pub fn draw(draw: &mut Draw, length: Duration) -> Vec<Step> {
    let mut faults: Vec<(Duration, Duration, Fault)> = Vec::new();
    let mut at = draw.millis(GAP_MILLIS.0, GAP_MILLIS.1);
    while at < length {
        let on: Vec<_> = faults.iter().filter(|(_, until, _)| *until > at).map(|(_, _, fault)| *fault).collect();
        let fits = |(new, _): &(Fault, Duration)| on.len() < ON_MAX && on.iter().all(|other| fits(*new, *other));
        let drawn = (0..DRAWS_MAX).map(|_| fault(draw)).find(fits);
        if let Some((fault, lasts)) = drawn {
            faults.push((at, at + lasts, fault));
        }
        at += draw.millis(GAP_MILLIS.0, GAP_MILLIS.1);
    }
    let steps = faults.into_iter().flat_map(|(from, until, fault)| {
        [Step { at: from, fault, begins: true }, Step { at: until, fault, begins: false }]
    });
    let mut steps: Vec<_> = steps.collect();
    steps.sort_by_key(|step| step.at);
    steps
}

/// Nodes killed, one after the other, when everything is well: to measure how long a takeover takes.
pub fn kills(draw: &mut Draw, length: Duration) -> Vec<Step> {
    let (mut steps, mut at) = (Vec::new(), Duration::from_secs(10));
    while at < length {
        let fault = Fault::KillNode(draw.below(NODES));
        let down = draw.millis(13_000, 15_000);
        steps.extend([Step { at, fault, begins: true }, Step { at: at + down, fault, begins: false }]);
        at += draw.millis(QUIET_GAP_MILLIS.0, QUIET_GAP_MILLIS.1);
    }
    steps
}

fn fault(draw: &mut Draw) -> (Fault, Duration) {
    let (node, broker) = (draw.below(NODES), *draw.pick(&[1, 2, 3]));
    match draw.below(10) {
        // At once, within the session of its membership, and long after it.
        0..=3 => {
            let down = *draw.pick(&[(50, 500), (1_000, 8_000), (15_000, 25_000)]);
            (Fault::KillNode(node), draw.millis(down.0, down.1))
        }
        // A pause, and long enough to be deposed.
        4 | 5 => {
            let stopped = *draw.pick(&[(200, 3_000), (16_000, 30_000)]);
            (Fault::StopNode(node), draw.millis(stopped.0, stopped.1))
        }
        6 => (Fault::KillBroker(broker), draw.millis(1_000, 20_000)),
        7 => (Fault::StopBroker(broker), draw.millis(1_000, 20_000)),
        _ => {
            let way = *draw.pick(&[Way::Cut, Way::Stalled]);
            let broker = draw.one_in(2).then_some(broker);
            (Fault::Link { node, broker, way }, draw.millis(500, 25_000))
        }
    }
}

/// One broker may be away, as two must have every record; a node and its links suffer one thing at a time.
fn fits(fault: Fault, on: Fault) -> bool {
    match (node(fault), node(on)) {
        (None, None) => false,
        (Some(one), Some(other)) => one != other,
        _ => true,
    }
}

fn node(fault: Fault) -> Option<usize> {
    match fault {
        Fault::KillNode(node) | Fault::StopNode(node) | Fault::Link { node, .. } => Some(node),
        Fault::KillBroker(_) | Fault::StopBroker(_) => None,
    }
}
