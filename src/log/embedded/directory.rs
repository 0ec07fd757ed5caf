//! The directory of an embedded log: what lies in it, who has it open, and every way in which opening it can
//! fail, each with what to do.
//!
//! `FORMAT` says the version and the number of partitions, `records/` is the RocksDB store, whose lock keeps
//! a second process out, `END` says how far it is known to go, and `OWNER` names the process that has it open, for the
//! message only. A log is looked at before it is opened to be written, so that a damaged one stays as it is.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rocksdb::{DB, DBCompressionType, DBRecoveryMode, ErrorKind, Options};

use super::mark::{self, Mark};
use super::{encoding, wal};
use crate::log::no_room::NoRoom;

/// The version of the directory's format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

const FORMAT: &str = "FORMAT";
const FORMAT_NEW: &str = "FORMAT.new";
const OWNER: &str = "OWNER";
const RECORDS: &str = "records";
/// Written and deleted to see whether there is room.
const PROBE: &str = "PROBE";
const PROBE_CHUNK_BYTES: usize = 64 << 10;
/// Room beside what is in the write-ahead logs.
const ROOM_BYTES_MIN: u64 = 1 << 20;
const MAGIC: &str = "ipam embedded log";
/// How often a store is looked at while the writer replaces files under it.
const LOOKS_MAX: usize = 5;

/// Why a log's directory cannot be opened. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the log in {} has format version {found}; this program reads version {FORMAT_VERSION}: run the program that \
         wrote it, or choose another directory", .directory.display()
    )]
    OtherVersion { directory: PathBuf, found: String },
    #[error(
        "the log in {} has {found} partitions, not {asked}: their number is fixed for ever; ask for {found}, or choose \
         another directory", .directory.display()
    )]
    OtherPartitions { directory: PathBuf, found: u32, asked: u32 },
    #[error("the log in {} is in use by {owner}: stop it first, or send commands to it", .directory.display())]
    InUse { directory: PathBuf, owner: String },
    #[error(
        "{} cannot be written ({reason}): give this user write permission on it, or choose another directory",
        .directory.display()
    )]
    NotWritable { directory: PathBuf, reason: String },
    #[error("the disk that holds {} is full: free some space on it, then start again", .directory.display())]
    DiskFull { directory: PathBuf },
    #[error(
        "a file in {} may grow no further: raise the limit on the sizes of files (ulimit -f), then start again",
        .directory.display()
    )]
    FileLimit { directory: PathBuf },
    #[error(
        "{} holds other files and no log: choose an empty or a new directory for the log", .directory.display()
    )]
    NotALog { directory: PathBuf },
    #[error("there is no log in {}: check the directory's name", .directory.display())]
    Missing { directory: PathBuf },
    #[error(
        "the log in {} is damaged: {detail}. Nothing was changed. Keep a copy of the directory, check the disk, and \
         restore the directory from a backup", .directory.display()
    )]
    Damaged { directory: PathBuf, detail: String },
    #[error("the log in {} cannot be opened: {detail}", .directory.display())]
    Failed { directory: PathBuf, detail: String },
}

/// An opened store.
pub(super) struct Opened {
    pub(super) db: DB,
    pub(super) ends: Vec<u64>,
    /// `None` where it was opened to be read.
    pub(super) mark: Option<Mark>,
    pub(super) claim: Claim,
}

/// Says in the directory who has it open; withdrawn on drop.
#[derive(Debug)]
pub(super) struct Claim(Option<PathBuf>);

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

pub(super) fn open(directory: &Path, partitions: u32) -> Result<Opened, OpenError> {
    create_durably(directory).map_err(|error| from_io(directory, &error))?;
    let known = read_format(directory)?;
    if let Some(found) = known.filter(|&found| found != partitions) {
        return Err(OpenError::OtherPartitions { directory: directory.into(), found, asked: partitions });
    }
    let records = directory.join(RECORDS);
    if known.is_some() {
        drop(look(directory, partitions)?);
    } else if holds_records(directory) {
        return Err(damaged(
            directory,
            format!(
                "it has records, but its file {FORMAT} is gone, which says `{MAGIC}`, `version {FORMAT_VERSION}`, and \
                 `partitions {partitions}` in three lines"
            ),
        ));
    } else if !may_begin_in(directory)? {
        return Err(OpenError::NotALog { directory: directory.into() });
    }
    let mut options = store_options();
    // A store that has gone missing is not replaced by an empty one.
    options.create_if_missing(known.is_none());
    let db = DB::open(&options, &records).map_err(|error| from_store(directory, &error))?;
    let claim = claim(directory)?;
    let ends = super::ends(&db, partitions).map_err(|detail| damaged(directory, detail))?;
    if known.is_none() {
        write_format(directory, partitions).map_err(|error| from_io(directory, &error))?;
    }
    let mark = Mark::begin(directory, &ends).map_err(|error| from_io(directory, &error))?;
    Ok(Opened { db, ends, mark: Some(mark), claim })
}

pub(super) fn open_read_only(directory: &Path) -> Result<Opened, OpenError> {
    let Some(partitions) = read_format(directory)? else {
        return Err(OpenError::Missing { directory: directory.into() });
    };
    let (db, ends) = look(directory, partitions)?;
    Ok(Opened { db, ends, mark: None, claim: Claim(None) })
}

/// Opens the store again in a directory that this process has claimed.
pub(super) fn reopen(directory: &Path, partitions: u32) -> Result<(DB, Vec<u64>), OpenError> {
    drop(look(directory, partitions)?);
    let mut options = store_options();
    options.create_if_missing(false);
    let db = DB::open(&options, directory.join(RECORDS)).map_err(|error| from_store(directory, &error))?;
    let ends = super::ends(&db, partitions).map_err(|detail| damaged(directory, detail))?;
    Ok((db, ends))
}

/// Opens the store to be read, and sees whether it is all there. Changes nothing.
fn look(directory: &Path, partitions: u32) -> Result<(DB, Vec<u64>), OpenError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match look_once(directory, partitions) {
            // The process that writes the log may have just replaced a file that was to be opened.
            Err(_) if attempt < LOOKS_MAX => {}
            looked => return looked,
        }
    }
}

fn look_once(directory: &Path, partitions: u32) -> Result<(DB, Vec<u64>), OpenError> {
    let records = directory.join(RECORDS);
    // First of all: whoever writes may go on meanwhile.
    let marks = mark::read(directory, partitions);
    let firsts = wal::check(&records).map_err(|detail| damaged(directory, detail))?;
    let db =
        DB::open_for_read_only(&store_options(), &records, false).map_err(|error| from_store(directory, &error))?;
    let ends = super::ends(&db, partitions).map_err(|detail| damaged(directory, detail))?;
    for wal::FirstRecord { file, partition, offset } in firsts {
        let Some(before) = offset.checked_sub(1) else { continue };
        let found = db.get_pinned(encoding::key(partition, before)).map_err(|error| from_store(directory, &error))?;
        if found.is_none() {
            let file = file.display();
            let detail =
                format!("{file} begins with offset {offset} of partition {partition}, and {before} is missing");
            return Err(damaged(directory, detail));
        }
    }
    for (partition, (mark, end)) in marks.iter().zip(&ends).enumerate() {
        if let Some(mark) = mark.filter(|mark| mark > end) {
            let detail = format!(
                "partition {partition} ends at offset {end}, but {mark} records of it were acknowledged: a file in \
                 {RECORDS} was deleted, cut off or replaced by an older one, or the directory was copied while it was \
                 written. Where no other copy is left, deleting the file {} accepts the loss of the last {}",
                mark::FILE,
                mark - end
            );
            return Err(damaged(directory, detail));
        }
    }
    Ok((db, ends))
}

fn damaged(directory: &Path, detail: String) -> OpenError {
    OpenError::Damaged { directory: directory.into(), detail }
}

/// Whether the store can be opened again: that writes what is in its write-ahead logs to a table. Tried with a file of
/// that size, because no other question knows of quotas.
pub(super) fn has_room(directory: &Path) -> bool {
    let probe = directory.join(PROBE);
    let has_room = wal_bytes(&directory.join(RECORDS)).and_then(|bytes| {
        let mut file = File::create(&probe)?;
        let chunk = vec![1; PROBE_CHUNK_BYTES];
        let mut left = bytes + ROOM_BYTES_MIN;
        while left > 0 {
            file.write_all(&chunk)?;
            left = left.saturating_sub(PROBE_CHUNK_BYTES as u64);
        }
        file.sync_all()
    });
    let _ = fs::remove_file(&probe);
    has_room.is_ok()
}

fn wal_bytes(records: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(records)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn store_options() -> Options {
    let mut options = Options::default();
    // The default mode opens without an error after a flipped bit and drops everything behind it. This one drops
    // a tail that was cut short and reports everything else.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_paranoid_checks(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(64 << 20);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options
}

/// The number of partitions; `None` when there is no log here yet.
fn read_format(directory: &Path) -> Result<Option<u32>, OpenError> {
    let text = match fs::read(directory.join(FORMAT)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(from_io(directory, &error)),
    };
    let mut lines = text.lines();
    let (magic, version, partitions) = (lines.next(), lines.next(), lines.next());
    let damaged = || damaged(directory, format!("its file {FORMAT} cannot be understood"));
    if magic != Some(MAGIC) {
        return Err(damaged());
    }
    let version = version.and_then(|line| line.strip_prefix("version ")).ok_or_else(damaged)?;
    if version != FORMAT_VERSION.to_string() {
        return Err(OpenError::OtherVersion { directory: directory.into(), found: version.to_owned() });
    }
    let partitions = partitions.and_then(|line| line.strip_prefix("partitions ")).ok_or_else(damaged)?;
    partitions.parse().map(Some).map_err(|_| damaged())
}

fn write_format(directory: &Path, partitions: u32) -> io::Result<()> {
    let new = directory.join(FORMAT_NEW);
    let mut file = File::create(&new)?;
    write!(file, "{MAGIC}\nversion {FORMAT_VERSION}\npartitions {partitions}\n")?;
    file.sync_all()?;
    fs::rename(&new, directory.join(FORMAT))?;
    File::open(directory)?.sync_all()
}

/// Creates the directory and those above it that are missing, so that a power failure does not take them away again
/// with all that was synced in them.
///
/// # Errors
/// When it cannot be created or synced.
pub fn create_durably(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|path| !path.exists()).collect();
    fs::create_dir_all(directory)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Whether records of a log are here: a first start that crashed leaves none.
fn holds_records(directory: &Path) -> bool {
    let is_filled = |entry: &fs::DirEntry| {
        let path = entry.path();
        let extension = path.extension().unwrap_or_default();
        extension == "sst" || extension == "log" && entry.metadata().is_ok_and(|file| file.len() > 0)
    };
    directory.join(mark::FILE).exists()
        || fs::read_dir(directory.join(RECORDS))
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| is_filled(&entry))))
}

/// Whether a new log may begin here: nothing is there but what a first start that crashed leaves.
fn may_begin_in(directory: &Path) -> Result<bool, OpenError> {
    for entry in fs::read_dir(directory).map_err(|error| from_io(directory, &error))? {
        let name = entry.map_err(|error| from_io(directory, &error))?.file_name();
        if ![FORMAT_NEW, OWNER, PROBE, RECORDS].iter().any(|ours| name == *ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn claim(directory: &Path) -> Result<Claim, OpenError> {
    let path = directory.join(OWNER);
    fs::write(&path, std::process::id().to_string()).map_err(|error| from_io(directory, &error))?;
    Ok(Claim(Some(path)))
}

fn from_io(directory: &Path, error: &io::Error) -> OpenError {
    let directory = directory.to_owned();
    if let Some(no_room) = NoRoom::of_io(error) {
        return without_room(directory, no_room);
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists => OpenError::NotWritable { directory, reason: error.to_string() },
        _ => OpenError::Failed { directory, detail: error.to_string() },
    }
}

fn without_room(directory: PathBuf, no_room: NoRoom) -> OpenError {
    match no_room {
        NoRoom::Disk => OpenError::DiskFull { directory },
        NoRoom::File => OpenError::FileLimit { directory },
    }
}

fn from_store(directory: &Path, error: &rocksdb::Error) -> OpenError {
    let text = error.to_string();
    // RocksDB gives operating system errors as text only.
    let says = |what: &str| text.contains(what);
    let directory = directory.to_owned();
    if says("lock hold by current process") || says("While lock file") {
        let owner = match fs::read_to_string(directory.join(OWNER)) {
            Ok(id) => format!("process {id}"),
            Err(_) => "another process".to_owned(),
        };
        OpenError::InUse { directory, owner }
    } else if let Some(no_room) = NoRoom::of_rocksdb(error) {
        without_room(directory, no_room)
    } else if says("Permission denied") || says("Read-only file system") || says("Operation not permitted") {
        OpenError::NotWritable { directory, reason: text }
    } else if error.kind() == ErrorKind::Corruption || says("does not exist") || says("No such file") {
        OpenError::Damaged { directory, detail: text }
    } else {
        OpenError::Failed { directory, detail: text }
    }
}
