//! A small seeded generator, and texts made by its chance: the same ones on every machine.

/// The state of SplitMix64.
pub(crate) struct Chance(pub(crate) u64);

const DIGITS: &str = "0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn letters(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// Fills a template: `{w20}` stands for twenty letters and digits, and so on; see the match.
    pub(crate) fn fill(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some(begin) = rest.find('{') {
            out.push_str(&rest[..begin]);
            let end = begin + rest[begin..].find('}').expect("a closing brace");
            out.push_str(&self.part(&rest[begin + 1..end]));
            rest = &rest[end + 1..];
        }
        out + rest
    }

    fn part(&mut self, part: &str) -> String {
        let (kind, count) = part.split_at(1);
        let count = count.parse().unwrap_or(1);
        let alphabet = match kind {
            "w" => [DIGITS, LOWER, UPPER].concat(),
            "h" => [DIGITS, "abcdef"].concat(),
            "d" => DIGITS.to_owned(),
            "a" => [LOWER, UPPER].concat(),
            "l" => [DIGITS, LOWER].concat(),
            "U" => [DIGITS, UPPER].concat(),
            "3" => [UPPER, "234567"].concat(),
            "u" => [DIGITS, LOWER, UPPER, "-_"].concat(),
            "b" => [DIGITS, LOWER, UPPER, "+/"].concat(),
            "p" => return self.password(count),
            "g" => return self.fill("{h8}-{h4}-4{h3}-a{h3}-{h12}"),
            "L" => {
                // Lines as in a PEM file.
                return (0..count).map(|_| self.fill("{b64}\n")).collect();
            }
            // Nothing: where a shape is written in two parts.
            "_" => return String::new(),
            other => panic!("no such part: {other}"),
        };
        self.letters(&alphabet, count)
    }

    /// With a letter, a digit and another character at least.
    fn password(&mut self, count: usize) -> String {
        let inner =
            self.letters(&[DIGITS, LOWER, UPPER, "!#*-_"].concat(), count.saturating_sub(3));
        self.fill(&format!("{{a1}}{inner}{{d1}}")) + self.pick(&["!", "#", "*", "x7"])
    }
}
