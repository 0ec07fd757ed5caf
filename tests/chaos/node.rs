//! A node under a supervisor: started whenever it is wanted and does not run, killed when it is not wanted.
//! A node that ends by itself after it served is a finding.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::server::Server;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it waits after a start that failed, as when no broker can be reached.
const START_PAUSE: Duration = Duration::from_millis(500);

pub struct Node {
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
}

struct Shared {
    data: PathBuf,
    flags: Vec<String>,
    log: PathBuf,
    wanted: AtomicBool,
    leave: AtomicBool,
    /// 0 when it does not run.
    pid: AtomicU32,
    url: Mutex<Option<String>>,
    findings: Mutex<Vec<String>>,
}

impl Node {
    pub fn start(data: PathBuf, flags: Vec<String>, log: PathBuf) -> Self {
        let shared = Arc::new(Shared {
            data,
            flags,
            log,
            wanted: AtomicBool::new(true),
            leave: AtomicBool::new(false),
            pid: AtomicU32::new(0),
            url: Mutex::new(None),
            findings: Mutex::default(),
        });
        let watched = Arc::clone(&shared);
        Self { shared, supervisor: Some(thread::spawn(move || watched.supervise())) }
    }

    /// Where it answers, when it runs.
    pub fn url(&self) -> Option<String> {
        self.shared.url().clone()
    }

    /// `kill -9`, at once; it stays down until it is wanted again.
    pub fn kill(&self) {
        self.shared.wanted.store(false, Ordering::Relaxed);
        self.signal("-KILL");
    }

    pub fn revive(&self) {
        self.shared.wanted.store(true, Ordering::Relaxed);
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.shared.pid.load(Ordering::Relaxed);
        if pid != 0 {
            // It may have ended this very moment.
            let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
        }
    }

    /// Ends of the process that nobody wanted.
    pub fn findings(&self) -> Vec<String> {
        self.shared.findings.lock().expect("no supervisor has failed").clone()
    }

    /// An orderly stop.
    pub fn stop(mut self) {
        self.shared.leave.store(true, Ordering::Relaxed);
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.join().expect("an orderly stop");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.supervisor.is_some() {
            self.kill();
        }
    }
}

impl Shared {
    fn supervise(&self) {
        let mut running: Option<Server> = None;
        loop {
            thread::sleep(LOOK_EVERY);
            let (wanted, leave) = (self.wanted.load(Ordering::Relaxed), self.leave.load(Ordering::Relaxed));
            match running.take() {
                None if leave => return,
                None if wanted => running = self.launch(),
                None => {}
                Some(server) if leave => {
                    self.gone();
                    server.stop();
                    return;
                }
                Some(server) if !wanted => {
                    self.gone();
                    server.kill();
                }
                Some(mut server) => match server.ended() {
                    None => running = Some(server),
                    // It was killed, and is wanted again already.
                    Some(status) if status.code().is_none() => self.gone(),
                    Some(status) => {
                        self.gone();
                        let finding = format!("a node ended by itself: {status}; its log is {}", self.log.display());
                        self.findings.lock().expect("nobody has failed").push(finding);
                    }
                },
            }
        }
    }

    fn launch(&self) -> Option<Server> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log file");
        let flags: Vec<_> = self.flags.iter().map(String::as_str).collect();
        let Some(server) = Server::try_spawn(&self.data, &flags, Stdio::from(log)) else {
            thread::sleep(START_PAUSE);
            return None;
        };
        self.pid.store(server.pid(), Ordering::Relaxed);
        *self.url() = Some(server.url.clone());
        Some(server)
    }

    fn gone(&self) {
        self.pid.store(0, Ordering::Relaxed);
        *self.url() = None;
    }

    fn url(&self) -> MutexGuard<'_, Option<String>> {
        self.url.lock().expect("nobody has failed")
    }
}
