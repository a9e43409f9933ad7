//! A disk that may lose its power: it notes every change, and says what may be left of them after a
//! cut at any moment. Besides the journal it holds a spool, of which it knows the names only.
//!
//! What a sync covered is there. Of what came later each directory entry and each sector may be there
//! or not, in any combination; a file may have grown without its bytes, and then holds zeros.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::Seq;
use crate::storage::{FileId, RealStorage, SegmentFile, Storage};
use crate::tail::Tail;

/// A write is torn at multiples of this.
const SECTOR_BYTES: u64 = 512;

/// A file, by the order of creation. (Names change.)
type Number = usize;

#[derive(Clone, Debug)]
enum Change {
    Write { file: Number, offset: u64, bytes: Vec<u8> },
    Cut { file: Number, len: u64 },
    SyncFile { file: Number },
    Create { name: String, file: Number },
    Rename { from: String, to: String, file: Number },
    Remove { name: String },
    SyncDirectory,
    Link { entry: u64 },
    Unlink { entry: u64 },
    SyncSpool,
}

/// What is on the disk.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Content {
    files: BTreeMap<String, Vec<u8>>,
    /// The spool's.
    pub(crate) entries: BTreeSet<u64>,
}

impl Content {
    /// Makes `dir` hold these files and nothing else.
    pub(crate) fn put_into(&self, dir: &Path) {
        for entry in std::fs::read_dir(dir).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in &self.files {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

#[derive(Default)]
struct Log {
    /// What was there, durable, before the first change.
    before: Vec<Vec<u8>>,
    names_before: BTreeMap<String, Number>,
    names: BTreeMap<String, Number>,
    files: usize,
    entries_before: BTreeSet<u64>,
    changes: Vec<Change>,
    /// For each change, what the tail called synced when it was made: a cursor may say so.
    promised: Vec<Seq>,
    tail: Option<Arc<Tail>>,
    failing_syncs: usize,
    failing_directory_syncs: usize,
}

/// The real disk, with a log of what was done to it.
#[derive(Clone)]
pub(crate) struct PowerStorage {
    real: Arc<RealStorage>,
    log: Arc<Mutex<Log>>,
}

/// What may be there after a cut and is not certain.
pub(crate) struct Cut {
    files: Vec<FileAtCut>,
    names: BTreeMap<String, Number>,
    /// Changes of names since the last sync of the directory.
    loose_names: Vec<Change>,
    entries: BTreeSet<u64>,
    /// The same of the spool.
    loose_entries: Vec<Change>,
}

#[derive(Clone, Default)]
struct FileAtCut {
    durable: Vec<u8>,
    /// Writes, in pieces that are there or not, and cuts.
    loose: Vec<Change>,
}

impl PowerStorage {
    /// What `dir` holds now, and a spool with these entries, counts as durable.
    pub(crate) fn new(dir: &Path, entries: &BTreeSet<u64>) -> PowerStorage {
        let mut log = Log { entries_before: entries.clone(), ..Log::default() };
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            log.names.insert(entry.file_name().into_string().unwrap(), log.before.len());
            log.before.push(std::fs::read(entry.path()).unwrap());
        }
        log.names_before = log.names.clone();
        log.files = log.before.len();
        PowerStorage { real: Arc::new(RealStorage::new(dir)), log: Arc::new(Mutex::new(log)) }
    }

    pub(crate) fn watch(&self, tail: Arc<Tail>) {
        self.lock().tail = Some(tail);
    }

    pub(crate) fn fail_syncs(&self, files: usize, directories: usize) {
        let mut log = self.lock();
        (log.failing_syncs, log.failing_directory_syncs) = (files, directories);
    }

    /// A hook stores an entry in the spool. It syncs nothing, but an entry that is gone is tried as one
    /// whose unlinking came to the disk first: here it is durable at once.
    pub(crate) fn link_entry(&self, entry: u64) {
        self.lock().push(Change::Link { entry });
    }

    pub(crate) fn unlink_entry(&self, entry: u64) {
        self.lock().push(Change::Unlink { entry });
    }

    pub(crate) fn sync_spool(&self) {
        self.lock().push(Change::SyncSpool);
    }

    /// How many changes were made so far.
    pub(crate) fn changes(&self) -> usize {
        self.lock().changes.len()
    }

    /// The highest number that was called synced before change `at`.
    pub(crate) fn promised_before(&self, at: usize) -> Seq {
        let log = self.lock();
        let now = log.tail.as_ref().map_or(0, |tail| tail.synced());
        log.promised.get(at).copied().unwrap_or(now)
    }

    /// The power is cut after the first `changes`.
    pub(crate) fn cut_after(&self, changes: usize) -> Cut {
        let log = self.lock();
        let mut files: Vec<_> = log.before.iter().cloned().map(FileAtCut::durable).collect();
        files.resize(log.files, FileAtCut::default());
        let mut names = log.names_before.clone();
        let mut loose_names = Vec::new();
        let (mut entries, mut loose_entries) = (log.entries_before.clone(), Vec::new());
        for change in &log.changes[..changes] {
            match change {
                Change::Write { file, offset, bytes } => files[*file].write(*file, *offset, bytes),
                Change::Cut { file, .. } => files[*file].loose.push(change.clone()),
                Change::SyncFile { file } => {
                    let all = files[*file].with(&mut |_| usize::MAX);
                    files[*file] = FileAtCut::durable(all);
                }
                Change::SyncDirectory => {
                    loose_names.drain(..).for_each(|change| apply(&mut names, &change));
                }
                Change::SyncSpool => {
                    loose_entries.drain(..).for_each(|change| apply_entry(&mut entries, &change));
                }
                Change::Link { .. } => apply_entry(&mut entries, change),
                Change::Unlink { .. } => loose_entries.push(change.clone()),
                name => loose_names.push(name.clone()),
            }
        }
        Cut { files, names, loose_names, entries, loose_entries }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

fn apply(names: &mut BTreeMap<String, Number>, change: &Change) {
    match change {
        Change::Create { name, file } => _ = names.insert(name.clone(), *file),
        Change::Rename { from, to, file } => {
            if names.get(from) == Some(file) {
                names.remove(from);
            }
            names.insert(to.clone(), *file);
        }
        Change::Remove { name } => _ = names.remove(name),
        _ => unreachable!("no change of names"),
    }
}

fn apply_entry(entries: &mut BTreeSet<u64>, change: &Change) {
    match change {
        Change::Link { entry } => _ = entries.insert(*entry),
        Change::Unlink { entry } => _ = entries.remove(entry),
        _ => unreachable!("no change of entries"),
    }
}

impl FileAtCut {
    fn durable(durable: Vec<u8>) -> FileAtCut {
        FileAtCut { durable, loose: Vec::new() }
    }

    fn write(&mut self, file: Number, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let to_edge = (SECTOR_BYTES - offset % SECTOR_BYTES) as usize;
            let (piece, rest) = bytes.split_at(to_edge.min(bytes.len()));
            self.loose.push(Change::Write { file, offset, bytes: piece.to_vec() });
            (offset, bytes) = (offset + piece.len() as u64, rest);
        }
    }

    /// Its bytes. `choose(n)` gives one of `0..n`: first how much of the file's growing is there,
    /// then for each piece whether it is (not 0).
    fn with(&self, choose: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if self.loose.is_empty() {
            return bytes;
        }
        let grown = choose(self.loose.len() + 1);
        for (at, change) in self.loose.iter().enumerate() {
            match change {
                Change::Cut { len, .. } if at < grown => bytes.resize(*len as usize, 0),
                Change::Write { offset, bytes: piece, .. } => {
                    let begin = *offset as usize;
                    let end = begin + piece.len();
                    if at < grown {
                        bytes.resize(end.max(bytes.len()), 0);
                    }
                    if end <= bytes.len() && choose(2) != 0 {
                        bytes[begin..end].copy_from_slice(piece);
                    }
                }
                _ => {}
            }
        }
        bytes
    }
}

impl Cut {
    /// One of the things that may be left; `choose(n)` gives a number below `n` (or any number for
    /// the last).
    pub(crate) fn content(&self, choose: &mut dyn FnMut(usize) -> usize) -> Content {
        let mut names = self.names.clone();
        for change in &self.loose_names {
            if choose(2) != 0 {
                apply(&mut names, change);
            }
        }
        let mut entries = self.entries.clone();
        for change in &self.loose_entries {
            if choose(2) != 0 {
                apply_entry(&mut entries, change);
            }
        }
        let named = names.into_iter();
        let files = named.map(|(name, file)| (name, self.files[file].with(choose))).collect();
        Content { files, entries }
    }

    /// Everything that may be left, if that is at most `limit` choices.
    pub(crate) fn contents(&self, limit: usize) -> Option<Vec<Content>> {
        let mut all = Vec::new();
        // The choices made last time, and how many there were: counted up like digits.
        let mut digits: Vec<(usize, usize)> = Vec::new();
        loop {
            let mut at = 0;
            let content = self.content(&mut |choices| {
                if at == digits.len() {
                    digits.push((0, choices));
                }
                at += 1;
                digits[at - 1].0
            });
            all.push(content);
            while digits.pop_if(|(chosen, choices)| *chosen + 1 == *choices).is_some() {}
            match digits.last_mut() {
                Some((chosen, _)) => *chosen += 1,
                None => break,
            }
            if all.len() > limit {
                return None;
            }
        }
        all.sort();
        all.dedup();
        Some(all)
    }
}

impl Log {
    fn push(&mut self, change: Change) {
        let synced = self.tail.as_ref().map_or(0, |tail| tail.synced());
        self.promised.push(synced);
        self.changes.push(change);
    }
}

impl Storage for PowerStorage {
    fn create(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.real.create(name)?;
        let mut log = self.lock();
        let number = match log.names.get(name).copied() {
            Some(number) => {
                log.push(Change::Cut { file: number, len: 0 });
                number
            }
            None => {
                let number = log.files;
                log.files += 1;
                log.names.insert(name.to_owned(), number);
                log.push(Change::Create { name: name.to_owned(), file: number });
                number
            }
        };
        Ok(Box::new(PowerFile { file, number, log: Arc::clone(&self.log) }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn SegmentFile>> {
        let file = self.real.open(name)?;
        let number = self.lock().names[name];
        Ok(Box::new(PowerFile { file, number, log: Arc::clone(&self.log) }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.real.rename(from, to)?;
        let mut log = self.lock();
        let file = log.names.remove(from).unwrap();
        log.names.insert(to.to_owned(), file);
        log.push(Change::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.real.remove(name)?;
        let mut log = self.lock();
        log.names.remove(name);
        log.push(Change::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut log = self.lock();
        super::fail(&mut log.failing_directory_syncs)?;
        log.push(Change::SyncDirectory);
        Ok(())
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.real.id(name)
    }
}

struct PowerFile {
    file: Box<dyn SegmentFile>,
    number: Number,
    log: Arc<Mutex<Log>>,
}

impl SegmentFile for PowerFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let written = self.file.write_at(bytes, offset)?;
        let bytes = bytes[..written].to_vec();
        self.log.lock().unwrap().push(Change::Write { file: self.number, offset, bytes });
        Ok(written)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.log.lock().unwrap().push(Change::Cut { file: self.number, len });
        Ok(())
    }

    fn reserve(&mut self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        super::fail(&mut log.failing_syncs)?;
        log.push(Change::SyncFile { file: self.number });
        Ok(())
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }

    fn is_linked(&self) -> io::Result<bool> {
        self.file.is_linked()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }
}
