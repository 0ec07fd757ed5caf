//! A network that can be cut: a TCP proxy per link between a node and a broker.
//!
//! Brokers say that they are to be found at the proxies (`LINKS` in `broker.sh`), so that a node that came through one
//! stays behind it. A cut link refuses and resets, a stalled one swallows: packets are neither delivered nor refused,
//! and come when it is mended.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

const BUFFER_BYTES: usize = 16 << 10;
const STACK_BYTES: usize = 128 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Open,
    Cut,
    Stalled,
}

#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    way: Way,
    open: Vec<Arc<TcpStream>>,
}

impl Link {
    /// Takes connections at one port and carries them to another.
    pub fn start(from: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", from)).expect("the port was kept free");
        let shared =
            Arc::new(Shared { state: Mutex::new(State { way: Way::Open, open: Vec::new() }), changed: Condvar::new() });
        let link = Self { shared: Arc::clone(&shared) };
        spawn(move || {
            for connection in listener.incoming().flatten() {
                carry(&shared, connection, to);
            }
        });
        link
    }

    pub fn set(&self, way: Way) {
        let mut state = self.shared.lock();
        state.way = way;
        if way == Way::Cut {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }
}

fn carry(shared: &Arc<Shared>, client: TcpStream, to: u16) {
    let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let ends = [client, broker].map(|stream| {
        let _ = stream.set_nodelay(true);
        Arc::new(stream)
    });
    let mut state = shared.lock();
    if state.way == Way::Cut {
        return;
    }
    state.open.retain(|stream| Arc::strong_count(stream) > 1);
    state.open.extend(ends.iter().cloned());
    drop(state);
    for (from, to) in [(0, 1), (1, 0)] {
        let (from, to, shared) = (Arc::clone(&ends[from]), Arc::clone(&ends[to]), Arc::clone(shared));
        spawn(move || {
            pump(&from, &to, &shared);
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        let mut state = shared.lock();
        while state.way == Way::Stalled {
            state = shared.changed.wait(state).expect("no proxy has failed");
        }
        drop(state);
        if to.write_all(&buffer[..bytes]).is_err() {
            return;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no proxy has failed")
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread");
}
