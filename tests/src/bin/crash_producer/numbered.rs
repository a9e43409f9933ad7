//! What the crash tests' producer and their account share: random choices from a seed, and payloads
//! that say which event they are and show whether they are whole.

/// SplitMix64 (Steele, Lea and Flood, 2014): the same choices for the same seed.
pub(crate) struct Rng(u64);

impl Rng {
    /// Begins a sequence of choices.
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// True this many times in a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// A payload's filling: mostly what hooks send, sometimes more than a lane holds.
    pub(crate) fn fill_bytes(&mut self) -> usize {
        let (from, to) = match self.below(100) {
            0..90 => (10, 600),
            90..98 => (600, 8_000),
            _ => (8_000, 200_000),
        };
        (from + self.below(to - from)) as usize
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// Which event it is. In this order the events of a stream are published.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Number {
    /// A sequence of processes, of which each begins when the one before it is gone.
    pub(crate) stream: u32,
    /// Which of these processes, from 0.
    pub(crate) life: u32,
    /// The event's number in its process, from 1.
    pub(crate) event: u32,
}

/// A daemon cuts longer texts.
const MAX_TEXT_BYTES: usize = 32 << 10;

/// The payload of an event: its number, and a filling that no other event has.
pub(crate) fn payload(number: Number, fill_bytes: usize) -> Vec<u8> {
    let Number { stream, life, event } = number;
    let mut payload = format!("{{\"of\":[{stream},{life},{event},{fill_bytes}],\"fill\":[\"");
    let place = u64::from(stream) << 48 ^ u64::from(life) << 32 ^ u64::from(event);
    // 17 bytes: bytes of one event in the place of another's show, wherever they begin.
    let block = format!("{:016x}.", mix(place));
    let fill = block.repeat(fill_bytes / block.len() + 1);
    let (fill, _) = fill.split_at(fill_bytes);
    let texts = fill
        .as_bytes()
        .chunks(MAX_TEXT_BYTES)
        .map(|text| std::str::from_utf8(text).expect("ASCII"));
    payload.push_str(&texts.collect::<Vec<_>>().join("\",\""));
    payload.push_str("\"]}");
    payload.into_bytes()
}
