"""Memory orderings, fences and the order of stores: the models of `bus/src/drain/models` must notice."""

from mutants import Equivalent, Mutation, loom

LANE = "bus/src/lane.rs"
BELL = "bus/src/doorbell.rs"
READER = "bus/src/drain/lane_reader.rs"
SALVAGE = "bus/src/drain/lane_reader/salvage.rs"

MUTATIONS = [
    Mutation(
        "tail stored without release",
        LANE,
        "control.tail(lane).store(self.tail, Ordering::Release)",
        "control.tail(lane).store(self.tail, Ordering::Relaxed)",
        loom("publish"),
        is_quick=True,
    ),
    Mutation(
        "tail loaded without acquire",
        READER,
        "self.tail = control.tail(self.index).load(Ordering::Acquire)",
        "self.tail = control.tail(self.index).load(Ordering::Relaxed)",
        loom("publish"),
    ),
    Mutation(
        "head loaded without acquire at a claim",
        LANE,
        "let head = control.head(lane).load(Ordering::Acquire);\n        let tail",
        "let head = control.head(lane).load(Ordering::Relaxed);\n        let tail",
        loom("publish"),
    ),
    Mutation(
        "head loaded without acquire when it is looked at again",
        LANE,
        "let head = control.head(lane).load(Ordering::Acquire);\n        let sane",
        "let head = control.head(lane).load(Ordering::Relaxed);\n        let sane",
        loom("publish"),
    ),
    Mutation(
        "head stored without release",
        READER,
        ".store(self.released, Ordering::Release)",
        ".store(self.released, Ordering::Relaxed)",
        loom("publish"),
    ),
    Mutation(
        "head stored before the bytes are zeroed",
        READER,
        "lane.data.zero(self.base + from, to_end);",
        "lane.control.head(self.index).store(self.given, Ordering::Release);\n"
        "        lane.data.zero(self.base + from, to_end);",
        loom("publish"),
    ),
    Mutation(
        "no fence between a publish and the look at the doorbell",
        BELL,
        "    fence(Ordering::SeqCst);\n    look(word)",
        "    look(word)",
        loom("doorbell"),
        is_quick=True,
    ),
    Mutation(
        "a weaker fence between a publish and the look at the doorbell",
        BELL,
        "    fence(Ordering::SeqCst);\n    look(word)",
        "    fence(Ordering::AcqRel);\n    look(word)",
        loom("doorbell"),
    ),
    Mutation(
        "no compiler fence in a process that joined the barrier",
        BELL,
        "    compiler_fence(Ordering::SeqCst);\n    look(word)",
        "    look(word)",
        loom("doorbell"),
    ),
    Mutation(
        "no fence between the reader's announcement and its look",
        BELL,
        "    // Pairs with the fence in `ring`.\n    fence(Ordering::SeqCst);\n",
        "",
        loom("doorbell"),
    ),
    Mutation(
        "no barrier between the reader's announcement and its look",
        BELL,
        "let _ = has_joined && sys::barrier();",
        "",
        loom("doorbell"),
    ),
    Mutation(
        "no look between the reader's announcement and its sleep",
        BELL,
        "if !has_work() {",
        "let _ = has_work;\n    {",
        loom("doorbell"),
    ),
    Mutation(
        "a wake that clears the bit and makes no call",
        BELL,
        "sys::futex_wake(word.as_ptr());",
        "let _ = word;",
        loom("doorbell"),
    ),
    Mutation(
        "no fence behind the retired bit",
        BELL,
        "the lock that was taken before that one.\n    fence(Ordering::SeqCst);",
        "the lock that was taken before that one.\n",
        loom("retire"),
    ),
    Mutation(
        "no fence between a lane's lock and the look at the retired bit",
        BELL,
        "none promises it.\n    fence(Ordering::SeqCst);",
        "none promises it.\n",
        loom("retire"),
    ),
    Mutation(
        "no fence between a free lane and the last look at its tail",
        "bus/src/drain/ring_reader.rs",
        "fence(Ordering::SeqCst);\n                if locked",
        "if locked",
        loom("retire"),
    ),
    Mutation(
        "no fence between a round's clock and its tails",
        "bus/src/drain/mod.rs",
        "        fence(Ordering::SeqCst);\n        // Behind the clock, too",
        "        // Behind the clock, too",
        loom("order"),
    ),
    Mutation(
        "the tails are read before the round's clock",
        "bus/src/drain/mod.rs",
        "self.round_ns = sys::boottime_ns();\n",
        "self.places.load_tails(&mut self.counts);\n        self.round_ns = sys::boottime_ns();\n"
        "        if true {\n            self.horizon_ns = u64::MAX;\n            return;\n        }\n",
        loom("order"),
    ),
]

RMW = (
    "what the doorbell's bits say is ordered by the full fences around these changes; changes of one "
    "word see each other whatever their ordering"
)
LOCK = "the lane's lock, which the reader holds here and gives back behind it, orders it for the next owner"

EQUIVALENT = [
    Equivalent(
        "a barrier that asks nothing of the kernel",
        "bus/src/sys/linux/barrier.rs",
        "    call!(MEMBARRIER, GLOBAL_EXPEDITED, 0, 0).is_ok()",
        "whether a processor lets the load overtake the store just then is chance, and on a busy machine "
        "seldom seen: `no_wake_is_lost_between_a_reader_and_a_process_that_joined` notices it now and then. "
        "That the reader makes the barrier has a mutation",
    ),
    Equivalent(
        "tail loaded without acquire when a ring is opened",
        READER,
        "let tail = lane.control.tail(index).load(Ordering::Acquire);",
        "only the number is used; the lane's bytes are read behind `load_tail`",
    ),
    Equivalent("SLEEPING set without ordering", BELL, "word.fetch_or(SLEEPING, Ordering::AcqRel)", RMW),
    Equivalent(
        "SLEEPING cleared by a producer without ordering",
        BELL,
        "if word.fetch_and(!SLEEPING, Ordering::AcqRel)",
        RMW,
    ),
    Equivalent(
        "SLEEPING cleared by the reader without ordering",
        BELL,
        "        word.fetch_and(!SLEEPING, Ordering::AcqRel);",
        RMW,
    ),
    Equivalent("RETIRED set without ordering", BELL, "word.fetch_or(RETIRED, Ordering::AcqRel)", RMW),
    Equivalent(
        "a mended lane's tail without release",
        SALVAGE,
        "lane.control.tail(self.index).store(restart, Ordering::Release);",
        LOCK,
    ),
    Equivalent(
        "a mended lane's head without release",
        SALVAGE,
        "lane.control.head(self.index).store(restart, Ordering::Release);",
        LOCK,
    ),
    Equivalent(
        "a lane condemned without release",
        READER,
        "control.condemned(self.index).store(1, Ordering::Release);",
        "the word stands alone: whoever sees it leaves the lane and reads nothing else of it",
    ),
]
