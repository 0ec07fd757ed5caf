//! Runs of the real binary that end by themselves.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a run may take until it is taken for one that never ends.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// What a run left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// Its result line, without the line's end.
    pub fn result(&self) -> &str {
        self.out.trim_end()
    }

    /// Asserts an exit code and words of the explanation.
    #[track_caller]
    pub fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in {self:#?}");
        }
    }
}

/// `ipam` with nothing of the environment but a home directory.
pub fn ipam(home: &Path, arguments: &[&str]) -> Ended {
    ipam_with(home, &[], arguments)
}

/// The same, with further variables in the environment.
pub fn ipam_with(home: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipam"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("IPAM_") || name.to_string_lossy().starts_with("XDG_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).env("HOME", home).envs(variables.iter().copied());
    run(&mut command)
}

/// `ipam serve` on a free port, that must end by itself.
pub fn serve(data: &Path, flags: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipam"));
    run(command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(flags))
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    run_within(command, ENDS_WITHIN)
}

/// As [`run`], for what may take longer.
pub fn run_within(command: &mut Command, limit: Duration) -> Ended {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    std::thread::scope(|scope| {
        let out = scope.spawn(move || text(&mut out));
        let err = scope.spawn(move || text(&mut err));
        let code = end(&mut child, limit);
        Ended { code, out: out.join().expect("text"), err: err.join().expect("text") }
    })
}

fn text(pipe: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("the pipe is read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit code; -1 of a run that had to be ended.
fn end(child: &mut Child, limit: Duration) -> i32 {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            return status.code().unwrap_or(-1);
        }
        if Instant::now() > until {
            child.kill().expect("it runs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
