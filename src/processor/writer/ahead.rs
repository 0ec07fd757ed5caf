//! Reads a batch ahead of the writer, on a thread of its own: the writer's one thread decides all commands of a
//! partition and bounds how many a second that can be, so others do what need not be done in its turn.

use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::log::record::Record;
use crate::log::{ReadError, Reader};

/// Batches read and not taken; one more is in the reading thread's hands, and what was taken only in part.
const BATCHES_AHEAD: usize = 1;

/// What a thread has read ahead.
pub(super) struct Ahead<T> {
    batches: Option<Receiver<Result<Vec<T>, ReadError>>>,
    /// Read before, and more than there was room for.
    rest: Vec<T>,
    /// What ended the reading; told when all before it was taken.
    failure: Option<ReadError>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Reads until it is dropped or `read` fails. `read` gives nothing after a while in which nothing came: so long may
    /// the dropping take.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: String,
        read: impl FnMut() -> Result<Vec<T>, ReadError> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = bounded(BATCHES_AHEAD);
        let thread = thread::Builder::new().name(name).spawn(move || keep_reading(read, &sender))?;
        Ok(Self { batches: Some(receiver), rest: Vec::new(), failure: None, thread: Some(thread) })
    }

    /// The next ones, at most `max` and in order. Waits up to `wait` for the first; empty when none came.
    ///
    /// # Errors
    /// With what ended the reading, when everything read before it was taken.
    pub(super) fn take(&mut self, max: usize, wait: Duration) -> Result<Vec<T>, ReadError> {
        let deadline = Instant::now() + wait;
        let mut taken = std::mem::take(&mut self.rest);
        // What one read gathers is bounded in bytes; so is what is taken at once.
        let mut batches_left = 1 + BATCHES_AHEAD;
        while taken.len() < max && batches_left > 0 && self.failure.is_none() {
            let Some(batches) = &self.batches else { break };
            let deadline = if taken.is_empty() { deadline } else { Instant::now() };
            match batches.recv_deadline(deadline) {
                Ok(Ok(batch)) => {
                    batches_left -= usize::from(!batch.is_empty());
                    taken.extend(batch);
                }
                Ok(Err(failure)) => self.failure = Some(failure),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    if let Some(Err(panic)) = self.end() {
                        resume_unwind(panic);
                    }
                }
            }
        }
        if taken.len() > max {
            self.rest = taken.split_off(max);
        }
        match self.failure.take_if(|_| taken.is_empty()) {
            Some(failure) => Err(failure),
            None => Ok(taken),
        }
    }
}

impl<T> Ahead<T> {
    /// Waits for the thread, which ends when nobody takes what it reads; gives its panic.
    fn end(&mut self) -> Option<thread::Result<()>> {
        self.batches = None;
        self.thread.take().map(JoinHandle::join)
    }
}

impl Reader for Ahead<Record> {
    fn read(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Record>, ReadError> {
        self.take(records_max, wait)
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        // A panic is in the log, and nothing waits for what it read.
        let _ = self.end();
    }
}

impl<T> fmt::Debug for Ahead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").field("rest", &self.rest.len()).finish_non_exhaustive()
    }
}

fn keep_reading<T>(mut read: impl FnMut() -> Result<Vec<T>, ReadError>, batches: &Sender<Result<Vec<T>, ReadError>>) {
    loop {
        let batch = read();
        let failed = batch.is_err();
        if batches.send(batch).is_err() || failed {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// Reads these batches, and then nothing for ever.
    fn ahead(batches: impl IntoIterator<Item = Result<Vec<u32>, ReadError>>) -> Ahead<u32> {
        let mut batches = batches.into_iter().collect::<VecDeque<_>>();
        let read = move || {
            batches.pop_front().unwrap_or_else(|| {
                thread::sleep(Duration::from_millis(1));
                Ok(Vec::new())
            })
        };
        Ahead::start("ahead".to_owned(), read).expect("a thread")
    }

    fn take(ahead: &mut Ahead<u32>, max: usize, wait: Duration) -> Result<Vec<u32>, String> {
        ahead.take(max, wait).map_err(|error| error.to_string())
    }

    #[test]
    fn all_comes_in_order_and_never_more_than_there_is_room_for() {
        let batches: Vec<Vec<u32>> = vec![(0..5).collect(), Vec::new(), vec![5], (6..100).collect()];
        for max in [1, 2, 3, 5, 7, 1_000] {
            let mut ahead = ahead(batches.iter().cloned().map(Ok));
            let mut taken = Vec::new();
            while taken.len() < 100 {
                let some = take(&mut ahead, max, SOON).expect("it reads");
                assert!((1..=max).contains(&some.len()), "{some:?} for {max}");
                taken.extend(some);
            }
            assert_eq!(taken, (0..100).collect::<Vec<_>>());
            assert_eq!(take(&mut ahead, max, Duration::from_millis(5)), Ok(Vec::new()), "there is no more");
        }
    }

    #[test]
    fn a_failure_is_told_behind_all_that_was_read_before_it() {
        let mut ahead = ahead([Ok(vec![1, 2, 3]), Err(ReadError::Damaged("here".to_owned()))]);
        assert_eq!(take(&mut ahead, 2, SOON), Ok(vec![1, 2]));
        while ahead.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            thread::yield_now();
        }
        assert_eq!(take(&mut ahead, 2, SOON), Ok(vec![3]));
        assert_eq!(take(&mut ahead, 2, SOON), Err("the log is damaged: here".to_owned()));
        assert_eq!(take(&mut ahead, 2, Duration::ZERO), Ok(Vec::new()), "it is told once");
    }

    #[test]
    fn a_panic_goes_on_in_the_writer() {
        let mut ahead = Ahead::<u32>::start("ahead".to_owned(), || panic!("a defect")).expect("a thread");
        let panic = catch_unwind(AssertUnwindSafe(|| take(&mut ahead, 1, SOON))).expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a defect"));
    }

    #[test]
    fn no_thread_outlives_it() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let read = move || Ok(vec![Arc::strong_count(&held)]);
        let ahead = Ahead::start("ahead".to_owned(), read).expect("a thread");
        drop(ahead);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
