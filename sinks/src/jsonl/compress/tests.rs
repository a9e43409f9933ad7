//! Compression: every byte comes back, and a crash at any point leaves a whole file.

use std::process::Command;

use proptest::prelude::*;

use super::super::deliver::JsonlSink;
use super::super::tests::{accept, journal, names, read_rotated, rotating};
use super::*;
use crate::sink::Sink;
use crate::testing::seqs;

#[test]
fn compression_keeps_every_byte_and_leaves_one_form() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (journal, path) = journal(4);
        let mut sink = JsonlSink::new(rotating(&path, compression));
        accept(&mut sink, &journal.batch(1, 4));
        sink.wait_for_compression();
        let files = Rotated::list(&path).expect("a list");
        assert_eq!(files.len(), 3);
        assert!(files.iter().all(|file| file.compression == compression && !file.is_part));
        let firsts: Vec<_> = files.iter().rev().map(|file| seqs(&read_rotated(file))).collect();
        assert_eq!(firsts, [[1], [2], [3]]);
    }
}

#[test]
fn a_compression_that_a_crash_interrupted_is_finished_at_the_next_start() {
    let (journal, path) = journal(3);
    accept(&mut JsonlSink::new(rotating(&path, Compression::None)), &journal.batch(1, 3));
    let plain = Rotated::list(&path).expect("a list");
    assert_eq!(plain.len(), 2);
    // Killed while it wrote, and killed between the new name and the removal of the old file.
    fs::write(with_suffix(&plain[1].path, ".zst.part"), "half").expect("a file");
    let copy = fs::read(&plain[0].path).expect("a file");
    compress_file(&plain[0].path, Compression::Zstd, &AtomicBool::new(false)).expect("compressed");
    fs::write(&plain[0].path, copy).expect("a file");

    let mut sink = JsonlSink::new(rotating(&path, Compression::Zstd));
    sink.open().expect("opened");
    sink.wait_for_compression();
    let files = Rotated::list(&path).expect("a list");
    assert!(files.iter().all(|file| file.compression == Compression::Zstd && !file.is_part));
    let found: Vec<_> = files.iter().rev().flat_map(|file| seqs(&read_rotated(file))).collect();
    assert_eq!(found, [1, 2]);
}

#[test]
fn a_compression_that_is_stopped_leaves_the_plain_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, "text").expect("a file");
    compress_file(&plain, Compression::Gzip, &AtomicBool::new(true)).expect("stopped");
    assert_eq!(names(folder.path()), ["plain"]);
}

#[test]
fn a_file_that_cannot_be_compressed_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, "text").expect("a file");
    fs::create_dir_all(folder.path().join("plain.zst/in the way")).expect("a folder");
    let result = compress_file(&plain, Compression::Zstd, &AtomicBool::new(false));
    assert!(matches!(result, Err(CompressError::File(_))), "{result:?}");
    assert_eq!(fs::read_to_string(&plain).expect("a file"), "text");
}

#[test]
fn a_file_that_cannot_be_compressed_does_not_keep_the_others_from_it() {
    let (journal, path) = journal(4);
    accept(&mut JsonlSink::new(rotating(&path, Compression::None)), &journal.batch(1, 4));
    let files = Rotated::list(&path).expect("a list");
    let oldest = files.last().expect("three files");
    fs::create_dir_all(with_suffix(&oldest.path, ".gz/in the way")).expect("a folder");
    let mut sink = JsonlSink::new(rotating(&path, Compression::Gzip));
    sink.open().expect("opened");
    sink.wait_for_compression();
    assert!(oldest.path.is_file());
    assert!(files[..2].iter().all(|file| with_suffix(&file.path, ".gz").is_file()));
}

#[test]
fn large_and_odd_inputs_come_back_from_zstd() {
    // What the block format treats specially: empty, one byte, one repeated byte, exact blocks and
    // their neighbours, bytes that do not compress, and long JSON.
    const BLOCK: usize = 128 << 10;
    let mut inputs: Vec<Vec<u8>> = vec![vec![], vec![7], vec![0; 3 * BLOCK]];
    for length in [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 17] {
        inputs.push((0..length).map(|at| (at * at / 7) as u8).collect());
        inputs.push(noise(length, 256));
        inputs.push(noise(length, 3));
    }
    let json = (0..40_000_u32).map(|seq| {
        format!("{{\"seq\":{seq},\"payload\":{{\"tool\":\"Read\",\"n\":{}}}}}\n", seq ^ 0x5a5a)
    });
    inputs.push(json.collect::<String>().into_bytes());
    // Blocks that do not shrink between blocks that do: state of the one must not reach the other.
    inputs.push([noise(BLOCK, 60), noise(BLOCK, 256), noise(BLOCK, 60)].concat());
    for input in &inputs {
        round_trip(input);
    }
}

/// A fixed sequence (xorshift64) of bytes below `values`.
fn noise(length: usize, values: u64) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 20) % values) as u8
    })
    .take(length)
    .collect()
}

/// Through our own decoder, and through the reference one where its command is installed.
fn round_trip(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, input).expect("a file");
    compress_file(&plain, Compression::Zstd, &AtomicBool::new(false)).expect("compressed");
    assert_eq!(names(folder.path()), ["plain.zst"]);
    let compressed = folder.path().join("plain.zst");
    match Command::new("zstd").args(["-dcq", "--"]).arg(&compressed).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == input, "zstd gives other bytes back");
        }
        Err(_) => eprintln!("left out: no zstd command to check {} bytes with", input.len()),
    }
    let mut ours = Vec::new();
    open_plain(&compressed, Compression::Zstd)
        .and_then(|mut reader| reader.read_to_end(&mut ours))
        .expect("readable");
    assert!(ours == input, "other bytes back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_come_back_from_zstd(
        pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..400), 1..400_usize), 0..8)
    ) {
        let input: Vec<u8> = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect();
        round_trip(&input);
    }
}
