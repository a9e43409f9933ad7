//! Compresses rotated files in the background: under a temporary name, read back and compared, and
//! only then given its name and the plain file removed. Whatever a crash interrupts is begun anew.

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::CompressionLevel;

use super::config::Compression;
use super::file::{FileError, io_error, open_ours, parent};
use super::rotate::{PART_SUFFIX, Rotated, sync_folder};
use crate::stats::in_words;

/// Bytes compared at a time when a compressed file is read back.
const COMPARE_BYTES: usize = 64 << 10;

/// The background thread of one sink: at most one runs, and none when there is nothing to do.
#[derive(Debug)]
pub(super) struct Compressor {
    active: PathBuf,
    compression: Compression,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Compressor {
    pub(super) fn new(active: &Path, compression: Compression) -> Compressor {
        Compressor {
            active: active.to_owned(),
            compression,
            stop: Arc::new(AtomicBool::new(false)),
            thread: None,
        }
    }

    /// Compresses every rotated file that is still plain, and removes what a crash left half done.
    /// A thread that still runs also takes the files that are rotated meanwhile.
    pub(super) fn start(&mut self) {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let (active, compression) = (self.active.clone(), self.compression);
        let stop = Arc::clone(&self.stop);
        let spawned = thread::Builder::new()
            .name("jsonl-compress".into())
            .spawn(move || while compress_all(&active, compression, &stop) {});
        match spawned {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::warn!(%error, "cannot start the thread that compresses files"),
        }
    }

    /// Waits until the thread has nothing left to do.
    #[cfg(test)]
    pub(super) fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the compressor does not panic");
        }
    }
}

impl Drop for Compressor {
    /// Ends the thread at its next chunk; the file at hand is begun anew at the next start.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has no result, and a panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// One pass, oldest first; true if another may find more to do. An error is logged, and its file
/// stays as it is until the next rotation or start.
fn compress_all(active: &Path, compression: Compression, stop: &AtomicBool) -> bool {
    let files = Rotated::list(active).unwrap_or_else(|error| {
        tracing::warn!("{}", in_words(&error));
        Vec::new()
    });
    let (mut compressed, mut failed) = (false, false);
    for file in files.iter().rev().take_while(|_| !stop.load(Ordering::Relaxed)) {
        let result = if file.is_part {
            remove_part(&file.path)
        } else if file.compression == Compression::None && compression != Compression::None {
            compressed = true;
            compress_file(&file.path, compression, stop)
        } else {
            Ok(())
        };
        if let Err(error) = result {
            failed = true;
            tracing::warn!("{}", in_words(&error));
        }
    }
    compressed && !failed && !stop.load(Ordering::Relaxed)
}

/// Why a rotated file stays as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompressError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot compress {}; it is kept as it is", path.display())]
    Encode { path: PathBuf, source: io::Error },
    #[error("{} does not read back as it was; the plain file is kept", path.display())]
    Differs { path: PathBuf },
}

/// Replaces `plain` by its compressed form. Returns without doing so once `stop` is set.
pub(super) fn compress_file(
    plain: &Path,
    compression: Compression,
    stop: &AtomicBool,
) -> Result<(), CompressError> {
    let whole = with_suffix(plain, compression.suffix());
    let part = with_suffix(&whole, PART_SUFFIX);
    remove_part(&part)?;
    let result = write_part(plain, &part, compression, stop);
    if stop.load(Ordering::Relaxed) || result.is_err() {
        // A leftover is removed at the next start.
        let _ = fs::remove_file(&part);
        return if stop.load(Ordering::Relaxed) { Ok(()) } else { result };
    }
    fs::rename(&part, &whole).map_err(io_error("rename to", &whole))?;
    sync_folder(parent(&whole))?;
    fs::remove_file(plain).map_err(io_error("remove", plain))?;
    Ok(())
}

/// Reads a rotated file in whichever form it is.
pub(super) fn open_plain(path: &Path, compression: Compression) -> io::Result<Box<dyn Read>> {
    let file = open_ours(path, OpenOptions::new().read(true)).map_err(io::Error::other)?;
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Compression::Zstd => Box::new(
            StreamingDecoder::new(BufReader::new(file))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?,
        ),
    })
}

fn remove_part(part: &Path) -> Result<(), CompressError> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", part)(error).into())
        }
        _ => Ok(()),
    }
}

fn write_part(
    plain: &Path,
    part: &Path,
    compression: Compression,
    stop: &AtomicBool,
) -> Result<(), CompressError> {
    let source = open_ours(plain, OpenOptions::new().read(true))?;
    let target = open_ours(part, OpenOptions::new().write(true).create_new(true))?;
    encode(Interruptible { file: source, stop }, &target, compression)
        .map_err(|source| CompressError::Encode { path: plain.to_owned(), source })?;
    target.sync_all().map_err(io_error("sync", part))?;
    let same = reads_back(part, plain, compression, stop)
        .map_err(|source| CompressError::Encode { path: plain.to_owned(), source })?;
    if same { Ok(()) } else { Err(CompressError::Differs { path: part.to_owned() }) }
}

fn encode(
    mut source: Interruptible<'_>,
    target: &File,
    compression: Compression,
) -> io::Result<()> {
    let mut target = BufWriter::new(target);
    match compression {
        Compression::None => drop(io::copy(&mut source, &mut target)?),
        Compression::Gzip => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(&mut target, level);
            io::copy(&mut source, &mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd => encode_zstd(source, &mut target)?,
    }
    target.flush()
}

/// The encoder panics where reading or writing fails, so it gets ends that keep their error to
/// themselves; it is young, so its own panics become errors, too.
fn encode_zstd(source: impl Read, target: impl Write) -> io::Result<()> {
    let mut source = Latch { inner: source, error: None };
    let mut target = Latch { inner: target, error: None };
    let encoded = catch_unwind(AssertUnwindSafe(|| {
        ruzstd::encoding::compress(&mut source, &mut target, CompressionLevel::Fastest);
    }));
    if let Some(error) = source.error.or(target.error) {
        return Err(error);
    }
    encoded.map_err(|_| io::Error::other("the zstd encoder panicked"))
}

/// True if the compressed file holds exactly the plain one's bytes.
fn reads_back(
    compressed: &Path,
    plain: &Path,
    compression: Compression,
    stop: &AtomicBool,
) -> io::Result<bool> {
    let file = open_ours(plain, OpenOptions::new().read(true)).map_err(io::Error::other)?;
    let mut expected = BufReader::with_capacity(COMPARE_BYTES, Interruptible { file, stop });
    let mut actual = open_plain(compressed, compression)?;
    let (mut ours, mut theirs) = (vec![0; COMPARE_BYTES], vec![0; COMPARE_BYTES]);
    loop {
        let filled = fill(&mut *actual, &mut ours)?;
        if fill(&mut expected, &mut theirs)? != filled || ours[..filled] != theirs[..filled] {
            return Ok(false);
        }
        if filled == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A file that fails to be read once the sink is to stop.
struct Interruptible<'a> {
    file: File,
    stop: &'a AtomicBool,
}

impl Read for Interruptible<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the sink is stopping"));
        }
        self.file.read(buffer)
    }
}

/// Pretends that all is well, and keeps the first error. After one, a source is at its end.
struct Latch<T> {
    inner: T,
    error: Option<io::Error>,
}

impl<R: Read> Read for Latch<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.error.is_none() {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.error = Some(error),
                read => return read,
            }
        }
        Ok(0)
    }
}

impl<W: Write> Write for Latch<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none() {
            self.error = self.inner.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
