//! The cache's bounds, batches of it, and waiting.

use super::*;
use crate::line::Origin;

fn lines(numbers: impl IntoIterator<Item = Seq>, filler: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for seq in numbers {
        let start = out.len();
        line::begin(&mut out, seq, &Origin::Daemon);
        out.extend_from_slice(format!(",\"filler\":\"{}\"", "x".repeat(filler)).as_bytes());
        line::finish(&mut out, start, 0);
    }
    out
}

fn chunk(first: Seq, last: Seq) -> Arc<Chunk> {
    Arc::new(Chunk::new(first, last, lines(first..=last, 100)))
}

fn numbers(batch: &Batch) -> Vec<Seq> {
    batch.lines().map(|line| line.seq).collect()
}

#[test]
fn the_cache_holds_the_last_chunks_within_its_bytes() {
    let cost = chunk(1, 10).cost_bytes();
    let tail = Tail::new(0, 5 * cost);
    for first in (1..1000).step_by(10) {
        tail.publish(chunk(first, first + 9));
        assert!(tail.cached_bytes() <= 5 * cost);
    }
    assert_eq!(tail.written(), 1000);
    assert!(tail.chunk(950).is_none() && tail.chunk(1001).is_none() && tail.chunk(0).is_none());
    for seq in 961..=1000 {
        let chunk = tail.chunk(seq).unwrap();
        assert!((chunk.first()..=chunk.last()).contains(&seq));
    }
    // Numbers between chunks, which nobody has, are in none.
    tail.publish(chunk(2000, 2001));
    assert!(tail.chunk(1500).is_none());
    // One that is larger than everything is not kept, and makes no room for others.
    tail.publish(Arc::new(Chunk::new(2002, 2002, lines([2002], 10 * cost))));
    assert_eq!((tail.written(), tail.cached_bytes()), (2002, 0));
}

#[test]
fn a_batch_has_at_most_so_many_lines_and_bytes_and_at_least_one() {
    let ten = chunk(1, 10);
    let len = ten.bytes().len() / 10;
    let of = |from, events, bytes| numbers(&Batch::of(&ten, from, events, bytes).unwrap());
    assert_eq!(of(0, 100, usize::MAX), (1..=10).collect::<Vec<_>>());
    assert_eq!(of(4, 3, usize::MAX), [4, 5, 6]);
    assert_eq!(of(4, 100, 2 * len), [4, 5]);
    assert_eq!(of(4, 100, 3 * len - 1), [4, 5]);
    assert_eq!(of(10, 0, 0), [10]);
    assert!(Batch::of(&ten, 11, 100, usize::MAX).is_none());
    let batch = Batch::of(&ten, 4, 3, usize::MAX).unwrap();
    assert_eq!((batch.first(), batch.last(), batch.len()), (4, 6, 3));
    assert_eq!(batch.bytes(), &ten.bytes()[3 * len..6 * len]);
    let none = Batch::empty();
    assert_eq!((none.len(), none.bytes(), none.lines().count()), (0, &b""[..], 0));
}

#[test]
fn batches_become_one_whatever_lies_between_them() {
    let (ten, more) = (chunk(1, 10), chunk(21, 23));
    let of = |chunk, from, events| Batch::of(chunk, from, events, usize::MAX).unwrap();
    let parts = [of(&ten, 4, 3), of(&ten, 7, 1), of(&more, 21, 2)];
    let all = Batch::joined(&parts);
    assert_eq!(numbers(&all), [4, 5, 6, 7, 21, 22]);
    assert_eq!((all.first(), all.last(), all.len()), (4, 22, 6));
    assert_eq!(numbers(&Batch::joined(&parts[..1])), [4, 5, 6]);
    assert!(Batch::joined(&[]).is_empty());
}

#[test]
fn a_waiting_reader_is_woken_by_a_chunk_and_by_the_end() {
    let tail = Arc::new(Tail::new(0, 1 << 20));
    assert_eq!(tail.wait_beyond(0, Duration::ZERO), 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| tail.wait_beyond(1, Duration::MAX));
        tail.publish(chunk(1, 1));
        tail.publish(chunk(2, 3));
        assert!(waiting.join().unwrap() >= 2);
        let waiting = scope.spawn(|| tail.wait_beyond(3, Duration::MAX));
        tail.close();
        assert_eq!(waiting.join().unwrap(), 3);
    });
    assert!(tail.is_closed());
}

#[test]
fn whoever_waits_for_a_sync_is_woken_by_it_and_by_the_end() {
    let tail = Tail::new(0, 10_000);
    tail.publish(chunk(1, 3));
    assert_eq!(tail.wait_synced(1, Duration::ZERO), 0);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| tail.wait_synced(2, Duration::MAX));
        tail.set_synced(1);
        tail.set_synced(3);
        assert_eq!(waiting.join().unwrap(), 3);
        let waiting = scope.spawn(|| tail.wait_synced(4, Duration::MAX));
        tail.close();
        assert_eq!(waiting.join().unwrap(), 3);
    });
}

#[test]
fn what_every_reader_has_leaves_the_cache() {
    let tail = Tail::new(0, 10_000);
    for first in [1, 3, 5] {
        tail.publish(chunk(first, first + 1));
    }
    let all = tail.cached_bytes();
    tail.forget_before(4);
    assert!(tail.chunk(2).is_none() && tail.chunk(3).is_some());
    assert!(0 < tail.cached_bytes() && tail.cached_bytes() < all);
    tail.forget_before(Seq::MAX);
    assert_eq!((tail.cached_bytes(), tail.written()), (0, 6));
}

#[test]
fn some_of_a_batch_stand_for_all_its_numbers() {
    let batch = Batch::of(&chunk(5, 8), 5, usize::MAX, usize::MAX).unwrap();
    let even = batch.only(|line| line.seq % 2 == 0);
    assert_eq!((even.first(), even.last(), even.len()), (5, 8, 2));
    assert_eq!(numbers(&even), [6, 8]);
    let none = batch.only(|_| false);
    assert!(none.is_empty() && none.bytes().is_empty());
    assert_eq!((none.first(), none.last()), (5, 8));
    assert_eq!(batch.only(|_| true).bytes(), batch.bytes());
}

#[test]
fn the_parts_of_a_batch_stand_for_its_numbers() {
    let bytes = lines([3, 4, 7, 9], 10);
    let batch = Batch::whole(Arc::new(Chunk::new(3, 9, bytes)), 4);
    for events in 1..4 {
        let (first, rest) = batch.split(events);
        let rest = rest.expect("some are left");
        assert_eq!([numbers(&first), numbers(&rest)].concat(), [3, 4, 7, 9]);
        assert_eq!((first.len(), rest.len()), (events, 4 - events));
        assert_eq!((first.first(), first.last() + 1, rest.last()), (3, rest.first(), 9));
    }
    let (all, rest) = batch.split(4);
    assert_eq!((numbers(&all), rest.is_none()), (vec![3, 4, 7, 9], true));
    // What a filter left out at the end belongs to the last part.
    let some = batch.only(|line| line.seq < 7);
    let (first, rest) = some.split(1);
    let rest = rest.expect("one is left");
    assert_eq!((first.first(), first.last(), rest.first(), rest.last()), (3, 3, 4, 9));
}
