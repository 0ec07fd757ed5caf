//! The store of the views: one RocksDB, one column family per view, no write-ahead log (design D11).
//!
//! Rows and position of a view go into its family in one batch, so after a crash a family is at some
//! earlier position with exactly the rows of that position. Nothing here knows what the rows mean.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRawIteratorWithThreadMode, DBWithThreadMode, ErrorKind, FlushOptions, MultiThreaded, Options, ReadOptions,
    SliceTransform, SnapshotWithThreadMode, WriteBatch, WriteOptions,
};

use super::position::{Position, position_key};
use super::table::{Rows, Table, TableError, Visit};
use super::view::Prefixes;
use crate::log::no_room::NoRoom;
use crate::log::record::Partition;

type Db = DBWithThreadMode<MultiThreaded>;

/// The version of the directory's layout; the version of a view's rows is in the view's name.
const FORMAT: &str = "ipam-views 1\n";
const FORMAT_NAME: &str = "ipam-views ";
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_FILE_NEW: &str = "FORMAT.new";

const BLOCK_CACHE_BYTES: usize = 128 << 20;
const WRITE_BUFFER_BYTES: usize = 32 << 20;
const OPEN_FILES_MAX: i32 = 512;
/// What a batch has beside the key and the value of a change, at most: type, family, two lengths.
const BYTES_PER_CHANGE: usize = 1 + 5 + 5 + 5;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path} is in use by another process; stop that one, or ask it over HTTP")]
    InUse { path: PathBuf },
    #[error(
        "{path} was written by another version (`{found}`, this one writes `{expected}`); views are derived from the log: \
         `ipam views rebuild` makes them anew"
    )]
    OtherVersion { path: PathBuf, found: String, expected: &'static str },
    #[error("{path} cannot be written: {reason}; give this user write access, or choose another data directory")]
    NotWritable { path: PathBuf, reason: String },
    #[error("the disk that holds {path} is full: free some space on it, then start again")]
    DiskFull { path: PathBuf },
    #[error(
        "a file in {path} may grow no further: raise the limit on the sizes of files (ulimit -f), then start again"
    )]
    FileLimit { path: PathBuf },
    #[error("{path} holds no views yet; start `ipam serve` once")]
    Missing { path: PathBuf },
    #[error(
        "the views in {path} are damaged: {reason}; nothing is lost, for they are derived from the log: check the disk, \
         then `ipam views rebuild` makes them anew"
    )]
    Damaged { path: PathBuf, reason: String },
}

/// A view's column family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub prefixes: Option<Prefixes>,
}

/// The opened store.
pub struct Store {
    db: Db,
    families: Vec<Family>,
    options: BTreeMap<&'static str, Options>,
    /// What was found damaged first, since the store was opened.
    damage: OnceLock<String>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store for the one process that folds; creates what is missing.
    ///
    /// # Errors
    /// When the directory is in use, of another version, not writable, or damaged.
    pub fn open(path: &Path, families: &[Family]) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|error| io_error(path, &error))?;
        check_format(path)?;
        let options = database_options();
        let present = Db::list_cf(&options, path).unwrap_or_default();
        let own: BTreeMap<_, _> = own_options(families);
        // RocksDB wants every family that is there to be named; those of other versions are dropped later.
        let foreign = present.iter().filter(|name| !own.contains_key(name.as_str()));
        let descriptors = own
            .iter()
            .map(|(name, options)| ColumnFamilyDescriptor::new(*name, options.clone()))
            .chain(foreign.map(|name| ColumnFamilyDescriptor::new(name, Options::default())))
            .collect::<Vec<_>>();
        let db = Db::open_cf_descriptors(&options, path, descriptors).map_err(|error| rocks_error(path, &error))?;
        if !path.join(FORMAT_FILE).exists() {
            write_format(path).map_err(|error| io_error(path, &error))?;
        }
        Ok(Self { db, families: families.to_vec(), options: own, damage: OnceLock::new() })
    }

    /// Opens the store to be read only, whether or not another process has it open; shows what was last flushed.
    ///
    /// # Errors
    /// When there is nothing, or it is of another version or damaged.
    pub fn open_read_only(path: &Path, families: &[Family]) -> Result<Self, StoreError> {
        if !path.join(FORMAT_FILE).exists() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        check_format(path)?;
        let options = database_options();
        let present = Db::list_cf(&options, path).map_err(|error| rocks_error(path, &error))?;
        let own = own_options(families);
        if own.keys().any(|name| !present.iter().any(|present| present == name)) {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let descriptors = own.iter().map(|(name, options)| ColumnFamilyDescriptor::new(*name, options.clone()));
        let db = Db::open_cf_descriptors_read_only(&options, path, descriptors, false)
            .map_err(|error| rocks_error(path, &error))?;
        Ok(Self { db, families: families.to_vec(), options: own, damage: OnceLock::new() })
    }

    /// Removes a store that cannot be opened, so that the next opening makes a new one. Files of others stay.
    ///
    /// # Errors
    /// When another process has it open, or it cannot be removed.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        Db::destroy(&database_options(), path).map_err(|error| rocks_error(path, &error))?;
        match fs::remove_file(path.join(FORMAT_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path, &error)),
            _ => Ok(()),
        }
    }

    /// What was found damaged since the store was opened, and what to do.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// A consistent picture of all views.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { store: self, inner: self.db.snapshot() }
    }

    /// The positions of a view, by partition.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn positions(&self, family: &str) -> Result<BTreeMap<Partition, Position>, TableError> {
        Position::all(&self.snapshot().rows(family)?)
    }

    /// Writes every view's changes and positions, each into its own family, visible all at once.
    pub(super) fn commit(&self, commits: Vec<Commit>) -> Result<(), TableError> {
        let commits: Vec<_> = commits.into_iter().map(|commit| (commit.family, commit.into_rows())).collect();
        // Made as large as it becomes: growing would copy all of it again and again.
        let bytes = |(key, change): (&Vec<u8>, &Option<Vec<u8>>)| {
            key.len() + change.as_ref().map_or(0, Vec::len) + BYTES_PER_CHANGE
        };
        let bytes = commits.iter().flat_map(|(_, rows)| rows).map(bytes).sum();
        let mut batch = WriteBatch::with_capacity_bytes(bytes);
        for (family, rows) in commits {
            let family = self.family(family)?;
            // One sorted put per key: random order costs 4 to 13 times as much.
            for (key, change) in rows {
                match change {
                    Some(value) => batch.put_cf(&family, key, value),
                    None => batch.delete_cf(&family, key),
                }
            }
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(|error| self.error(error))
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&self) -> Result<(), TableError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        for family in &self.families {
            self.db.flush_cf_opt(&self.family(family.name)?, &options).map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    /// Empties a view, so that its fold begins again at the start of the log.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn clear(&self, family: &str) -> Result<(), TableError> {
        let Some((name, options)) = self.options.get_key_value(family) else {
            return Err(TableError(format!("there is no view {family}")));
        };
        self.db.drop_cf(name).map_err(|error| self.error(error))?;
        self.db.create_cf(*name, options).map_err(|error| self.error(error))
    }

    /// Drops what other versions left, once this version's views have caught up. Returns the names dropped.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn drop_other_versions(&self) -> Result<Vec<String>, TableError> {
        let present = Db::list_cf(&database_options(), self.db.path()).map_err(|error| self.error(error))?;
        let mut dropped = Vec::new();
        for name in present {
            let older = |family: &Family| family.name != name && base_name(family.name) == base_name(&name);
            if self.families.iter().any(older) && !self.options.contains_key(name.as_str()) {
                self.db.drop_cf(&name).map_err(|error| self.error(error))?;
                dropped.push(name);
            }
        }
        Ok(dropped)
    }

    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    fn error(&self, error: rocksdb::Error) -> TableError {
        // A file that is gone is damage, too.
        if error.kind() != ErrorKind::Corruption && !error.as_ref().contains("No such file") {
            return TableError(error.to_string());
        }
        let text = format!(
            "the views are damaged ({error}); nothing is lost, for they are derived from the log: stop the server, check \
             the disk, then `ipam views rebuild` makes them anew"
        );
        if self.damage.set(text.clone()).is_ok() {
            tracing::error!("{text}");
        }
        TableError(text)
    }

    fn family(&self, name: &str) -> Result<Arc<BoundColumnFamily<'_>>, TableError> {
        self.db.cf_handle(name).ok_or_else(|| TableError(format!("there is no view {name}")))
    }
}

/// A view's name without its version.
pub(super) fn base_name(name: &str) -> &str {
    name.trim_end_matches(|character: char| character.is_ascii_digit()).trim_end_matches('-')
}

/// What one view has to write.
#[derive(Debug)]
pub struct Commit {
    pub family: &'static str,
    pub changes: Changes,
    pub positions: BTreeMap<Partition, Position>,
}

impl Commit {
    /// All of it, the positions among the rows: to be written at once or not at all.
    #[must_use]
    pub fn into_rows(self) -> Changes {
        let mut changes = self.changes;
        for (partition, position) in self.positions {
            changes.insert(position_key(partition), Some(position.to_bytes()));
        }
        changes
    }
}

/// Rows to be put or, where `None`, deleted.
pub type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A consistent picture of all views.
pub struct Snapshot<'a> {
    store: &'a Store,
    inner: SnapshotWithThreadMode<'a, Db>,
}

impl Snapshot<'_> {
    /// An overlay to fold into.
    pub(super) fn overlay(&self, family: &str) -> Result<Overlay<'_>, TableError> {
        Ok(Overlay::over(Box::new(self.rows(family)?)))
    }

    /// The rows of one view.
    ///
    /// # Errors
    /// When there is no such view.
    pub fn rows(&self, family: &str) -> Result<FamilyRows<'_>, TableError> {
        let prefixes = self.store.families.iter().find(|own| own.name == family).and_then(|own| own.prefixes);
        let family = self.store.family(family)?;
        Ok(FamilyRows {
            store: self.store,
            snapshot: &self.inner,
            family,
            prefixes,
            within_prefix: RefCell::default(),
            anywhere: RefCell::default(),
        })
    }
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

/// The rows of one view in a snapshot.
pub struct FamilyRows<'a> {
    store: &'a Store,
    snapshot: &'a SnapshotWithThreadMode<'a, Db>,
    family: Arc<BoundColumnFamily<'a>>,
    prefixes: Option<Prefixes>,
    within_prefix: Idle<'a>,
    anywhere: Idle<'a>,
}

/// Iterators that no scan is using: making one costs more than a seek.
type Idle<'a> = RefCell<Vec<DBRawIteratorWithThreadMode<'a, Db>>>;

impl<'a> FamilyRows<'a> {
    /// Whether every key of the range has the prefix of the first: then filters may say "nothing here".
    fn is_within_prefix(&self, from: &[u8], to: &[u8]) -> bool {
        let length = self.prefixes.and_then(|prefixes| (prefixes.length)(from));
        length.and_then(|length| from.get(..length)).is_some_and(|prefix| to <= super::keys::after(prefix).as_slice())
    }

    fn iterator(&self, within_prefix: bool) -> DBRawIteratorWithThreadMode<'a, Db> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(within_prefix);
        options.set_total_order_seek(!within_prefix);
        self.snapshot.raw_iterator_cf_opt(&self.family, options)
    }
}

impl Rows for FamilyRows<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.snapshot.get_cf(&self.family, key).map_err(|error| self.store.error(error))
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Visit<'_>) -> Result<(), TableError> {
        if from >= to {
            return Ok(());
        }
        let within_prefix = self.is_within_prefix(from, to);
        let idle = if within_prefix { &self.within_prefix } else { &self.anywhere };
        // Taken out while it is used: a visitor may scan, too.
        let taken = idle.borrow_mut().pop();
        let mut rows = taken.unwrap_or_else(|| self.iterator(within_prefix));
        rows.seek(from);
        while let Some((key, value)) = rows.item()
            && key < to
            && each(key, value).is_continue()
        {
            rows.next();
        }
        let status = rows.status().map_err(|error| self.store.error(error));
        idle.borrow_mut().push(rows);
        status
    }
}

impl std::fmt::Debug for FamilyRows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FamilyRows").finish_non_exhaustive()
    }
}

/// Changes over rows: reads what it wrote.
pub struct Overlay<'a> {
    base: Box<dyn Rows + 'a>,
    changes: Changes,
}

impl<'a> Overlay<'a> {
    /// No changes yet over `base`.
    #[must_use]
    pub fn over(base: Box<dyn Rows + 'a>) -> Self {
        Self { base, changes: BTreeMap::new() }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }
}

impl std::fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

impl Rows for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], each: &mut Visit<'_>) -> Result<(), TableError> {
        if from >= to {
            return Ok(());
        }
        let mut changes = self.changes.range(from.to_vec()..to.to_vec()).peekable();
        let mut flow = ControlFlow::Continue(());
        self.base.scan(from, to, &mut |key, value| {
            while let Some((changed, change)) = changes.next_if(|(changed, _)| changed.as_slice() < key) {
                if let Some(value) = change {
                    flow = each(changed, value);
                    if flow.is_break() {
                        return flow;
                    }
                }
            }
            flow = match changes.next_if(|(changed, _)| changed.as_slice() == key) {
                Some((_, Some(value))) => each(key, value),
                Some((_, None)) => ControlFlow::Continue(()),
                None => each(key, value),
            };
            flow
        })?;
        if flow.is_continue() {
            for (key, change) in changes {
                if let Some(value) = change
                    && each(key, value).is_break()
                {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Table for Overlay<'_> {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changes.insert(key, Some(value));
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.changes.insert(key, None);
    }
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options
}

fn own_options(families: &[Family]) -> BTreeMap<&'static str, Options> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    families.iter().map(|family| (family.name, family_options(family, &cache))).collect()
}

fn family_options(family: &Family, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_whole_key_filtering(true);
    // Filters and indexes stay in memory, about 3 bytes a row. In the cache they would be driven out by rows, and a seek
    // would then read megabytes: measured, a rebuild of a million outcomes took ten times as long.
    blocks.set_cache_index_and_filter_blocks(false);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_level_compaction_dynamic_level_bytes(true);
    if let Some(prefixes) = family.prefixes {
        options.set_prefix_extractor(SliceTransform::create(family.name, prefixes.transform, Some(prefixes.in_domain)));
        options.set_memtable_prefix_bloom_ratio(0.1);
    }
    options
}

fn check_format(path: &Path) -> Result<(), StoreError> {
    let found = match fs::read(path.join(FORMAT_FILE)) {
        Ok(found) => String::from_utf8_lossy(&found).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error(path, &error)),
    };
    if found == FORMAT {
        Ok(())
    } else if found.starts_with(FORMAT_NAME) {
        let found = found.trim_end().chars().take(64).collect();
        Err(StoreError::OtherVersion { path: path.to_owned(), found, expected: FORMAT.trim_ascii_end() })
    } else {
        Err(StoreError::Damaged { path: path.to_owned(), reason: format!("{FORMAT_FILE} cannot be understood") })
    }
}

/// Whole or not at all: half a file would keep the next start out.
fn write_format(path: &Path) -> io::Result<()> {
    let new = path.join(FORMAT_FILE_NEW);
    let mut file = fs::File::create(&new)?;
    file.write_all(FORMAT.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path.join(FORMAT_FILE))
}

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    let path = path.to_owned();
    match NoRoom::of_io(error) {
        Some(no_room) => without_room(path, no_room),
        None => StoreError::NotWritable { path, reason: error.to_string() },
    }
}

fn without_room(path: PathBuf, no_room: NoRoom) -> StoreError {
    match no_room {
        NoRoom::Disk => StoreError::DiskFull { path },
        NoRoom::File => StoreError::FileLimit { path },
    }
}

/// RocksDB says what went wrong in its message alone.
fn rocks_error(path: &Path, error: &rocksdb::Error) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    if reason.contains("lock hold by current process") || reason.contains("While lock file") {
        StoreError::InUse { path }
    } else if let Some(no_room) = NoRoom::of_rocksdb(error) {
        without_room(path, no_room)
    } else if ["Permission denied", "Read-only file system"].iter().any(|text| reason.contains(text)) {
        StoreError::NotWritable { path, reason }
    } else {
        StoreError::Damaged { path, reason }
    }
}
